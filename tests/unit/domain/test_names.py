"""Names that become paths: one pattern, wherever a name enters."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from districts.labels import LabelledCrop
from districts.layout import Problem, read_district
from districts.prepare import PrepareSettings
from domain.attributes import AttributeSchema
from domain.cameras import Camera
from domain.errors import InputError
from domain.model_card import EngineFile
from domain.names import InnerPath, Name, require_name
from domain.paths import district_folder
from evaluation.experiments.connection import MlflowSettings
from export.settings import ExportSettings
from serving.deployment import Deployment
from serving.ingest import main as ingest
from serving.ingestion.following import TrackingSettings
from serving.streams import StreamsFile
from serving.video.recordings import Naming
from training.reid.train import ReidSettings

GOOD = (
    "c1",
    "reid-osnet",
    "suseong_no_colour",
    "model.int8.onnx",
    "수성구",
    "가동-3.정문",
    "_x",
    "7",
    "x" * 64,
    "가" * 64,
)
BAD = (
    "", " ", ".", "..", "../x", "a/b", "a\\b", "/etc", "a\0b", "a..b", ".hidden", "end.", "-rf", " a", "a ", "a\n",
    "a\tb", "=1+1", "+1", "@x", "a,b", "x" * 65, "가" * 65, "x" * 100_000, "a\u202eb", "a\u2044b", "%2e%2e", "~", "C:",
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_name_of_letters_and_digits_is_kept(name: str) -> None:
    assert require_name(name) == name == TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("name", BAD, ids=lambda name: repr(name[:20]))
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="a name must have 1 to 64 letters"):
        require_name(name)
    with pytest.raises(ValidationError, match="a name must have 1 to 64 letters"):
        TypeAdapter(Name).validate_python(name)


def test_a_korean_name_is_one_name_however_it_was_typed() -> None:
    decomposed = unicodedata.normalize("NFD", "수성구")
    assert decomposed != "수성구"
    assert require_name(decomposed) == "수성구"
    assert require_name(unicodedata.normalize("NFD", "각" * 64)) == "각" * 64


@given(st.text(max_size=80))
def test_every_name_is_one_part_of_a_path_and_fits_a_file_system(text: str) -> None:
    try:
        name = require_name(text)
    except InputError:
        return
    assert (Path("/folder") / name).resolve() == Path("/folder", name)
    assert Path(name).parts == (name,)
    assert len(name.encode()) <= 192
    assert require_name(name) == name == unicodedata.normalize("NFC", name)
    assert not name.startswith(("=", "+", "-", "@", "\t", "\r", "."))


@pytest.mark.parametrize("path", ["../x", "a/../b", "/etc/passwd", "a//b", "./a", "a/", "", "a\\b", "a\0b"])
def test_a_path_in_a_table_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="a path must lead into its folder"):
        TypeAdapter(InnerPath).validate_python(path)


ENTRANCES: dict[str, Callable[[str], Any]] = {
    "a camera": lambda name: field_of(Camera, "id", name),
    "an attribute schema": lambda name: field_of(AttributeSchema, "name", name),
    "the file of an engine": lambda name: field_of(EngineFile, "file", name),
    "the district to prepare": lambda name: field_of(PrepareSettings, "name", name),
    "an experiment": lambda name: field_of(MlflowSettings, "experiment", name),
    "a model to export": lambda name: field_of(ExportSettings, "model", name),
    "a backbone": lambda name: field_of(ReidSettings, "backbone", name),
    "the engine of the detector": lambda name: field_of(TrackingSettings, "detector", name),
    "the engine of attributes": lambda name: field_of(TrackingSettings, "attributes", name),
    "the district of live cameras": lambda name: field_of(StreamsFile, "district", name),
    "a labelled crop": lambda name: field_of(LabelledCrop, "file", name),
    "the district of a labelled crop": lambda name: field_of(LabelledCrop, "district", name),
    "the camera of a labelled crop": lambda name: field_of(LabelledCrop, "camera_id", name),
    "a problem": lambda name: field_of(Problem, "id", name),
    "the camera of a problem": lambda name: field_of(Problem, "camera", name),
}


def field_of(model: Any, field: str, value: str) -> None:
    """Validate one field alone, as the model does."""
    try:
        model.model_validate({model.model_fields[field].alias or field: value})
    except ValidationError as error:
        for item in error.errors():
            if item["loc"] == (field,):
                raise InputError(item["msg"]) from error


@pytest.mark.parametrize("name", ["../../outside", "a/b", "..", "a\\b", "=x"])
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_no_entrance_takes_a_name_that_leads_elsewhere(entrance: str, name: str) -> None:
    with pytest.raises(InputError, match="a name must have"):
        ENTRANCES[entrance](name)


@pytest.mark.parametrize("name", ["../../outside", "a/b", ".."])
def test_no_parameter_that_becomes_a_path_leads_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    Deployment.read(tmp_path)
    for key in ("tracking.detector", "tracking.attributes", "reid.backbone"):
        with pytest.raises(InputError, match=f"^{key}: a name must have"):
            Deployment.read(tmp_path, [f"{key}={name}"])
    with pytest.raises(InputError, match=r"^district\.name: a name must have"):
        district_folder([f"district.name={name}"])
    with pytest.raises(InputError, match="a name must have"):
        ingest(["somewhere", "--district", name])
    assert not (tmp_path / "store").exists()


def test_no_sidecar_and_no_argument_names_a_camera_elsewhere(tmp_path: Path) -> None:
    video = tmp_path / "gate.mp4"
    video.with_name("gate.mp4.yaml").write_text("camera: ../../c1\nstart: 2026-05-12T18:40:00\n")
    with pytest.raises(InputError, match=r"gate\.mp4 must be of a camera: a name must have"):
        Naming("x", "Asia/Seoul").recording(video)
    with pytest.raises(InputError, match=r"gate\.mp4 must be of a camera: a name must have"):
        Naming("x", "Asia/Seoul", camera_id="a/b").recording(video)


def test_no_district_yaml_names_a_district_a_camera_or_a_schema_elsewhere(tmp_path: Path) -> None:
    camera = {"id": "c1", "name": "gate", "latitude": 35, "longitude": 128, "fps": 5, "width_px": 64, "height_px": 48}
    content: dict[str, Any] = {
        "name": "toy", "time_zone": "Asia/Seoul", "attribute_schema": "suseong", "source": "", "licence": "",
        "cameras": [camera],
    }  # fmt: skip
    (tmp_path / "district.yaml").write_text(yaml.safe_dump(content))
    assert read_district(tmp_path).name == "toy"
    for changed in (
        {"name": "../../x"},
        {"name": "a/b"},
        {"cameras": [camera | {"id": "../c"}]},
        {"attribute_schema": "../x.yaml"},
    ):
        (tmp_path / "district.yaml").write_text(yaml.safe_dump(content | changed))
        with pytest.raises(InputError, match="must"):
            read_district(tmp_path)

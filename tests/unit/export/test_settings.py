from pathlib import Path

import pytest
import yaml

from domain.errors import InputError
from domain.settings import Settings, read_params
from export.import_weights import ImportArguments
from export.import_weights import main as import_weights
from export.keyed_arguments import parse_arguments
from export.settings import ExportSettings, district_folder
from tests.helpers.project import ROOT


class Numbers(Settings):
    count: int
    names: tuple[str, ...] = ()


def test_arguments_are_read_as_yaml() -> None:
    assert parse_arguments(Numbers, ["count=3", 'names=["8.0", "9.0"]']) == Numbers(count=3, names=("8.0", "9.0"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["count"], "an argument must look like key=value, got 'count'; keys: count, names", id="no value"),
        pytest.param(["cuont=3"], r"unknown key cuont; did you mean count\?", id="typo"),
        pytest.param(["zzz=3"], "unknown key zzz; keys: count, names", id="unknown"),
        pytest.param(["count=1", "count=2"], "count must be given once, got it twice", id="twice"),
        pytest.param([], "count=… must be given; keys: count, names", id="missing"),
        pytest.param(["count=many"], "count: .* integer.*, got 'many'", id="wrong type"),
        pytest.param(["count=[1"], r"the value of count must be YAML, got '\[1'", id="no YAML"),
    ],
)
def test_wrong_arguments_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_arguments(Numbers, argv)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(read_params(file=ROOT / "params.yaml") | {"district": {"name": "here"}}))
    return file


@pytest.mark.parametrize("model", ["detector", "attributes", "reid-osnet", "reid-resnet50"])
def test_the_default_configuration_fits_the_settings(params: Path, model: str) -> None:
    settings = ExportSettings.from_params("export", [f"export.model={model}"])
    assert settings.model == model
    assert settings.profile("reid").max_batch >= settings.profile("reid").opt_batch


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            "export.model=unet",
            "model must be one of detector, attributes, reid-osnet, reid-resnet50, got unet",
            id="model",
        ),
        pytest.param("export.precisions={detector: [fp32, fp16]}", "precisions.attributes must hold fp32", id="task"),
        pytest.param("export.profiles.reid.opt_batch=900", "min_batch <= opt_batch <= max_batch", id="profile"),
        pytest.param("export.plan.precission=fp32", "did you mean export.plan.precision", id="typo"),
    ],
)
def test_wrong_settings_stop_the_run(params: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExportSettings.from_params("export", [override])


def test_the_district_comes_from_the_parameters(params: Path) -> None:
    assert district_folder(["district.name=there"]) == Path("data/there")


def test_parameters_without_a_district_are_refused(params: Path) -> None:
    params.write_text("export: {}\n")
    with pytest.raises(InputError, match=r"params\.yaml must name the district"):
        district_folder([])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["task=detector", "weights=w", "out=o"], "task=detector needs cfg=…", id="no cfg"),
        pytest.param(["task=reid", "weights=w", "out=o"], "task=reid needs backbone=…", id="no backbone"),
        pytest.param(
            ["task=reid", "backbone=osnet_x0_25", "cfg=c", "weights=w", "out=o"],
            "cfg must be given with task=detector only, got task=reid",
            id="cfg of re-ID",
        ),
        pytest.param(
            ["task=attributes", "weights=w", "out=o"], "task: Input should be 'detector' or 'reid'", id="task"
        ),
    ],
)
def test_wrong_imports_are_refused(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_arguments(ImportArguments, argv)


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.pth must be a file; it is missing"):
        import_weights(["task=reid", "backbone=osnet_x0_25", f"weights={tmp_path}/nothing.pth", f"out={tmp_path}/out"])
    assert not (tmp_path / "out").exists()

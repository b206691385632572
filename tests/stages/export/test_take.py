"""The stage `take`: engines and weights from elsewhere become engines of the district, and are run as its own."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from domain.model_card import read_card, write_card
from domain.settings import read_params
from export import import_weights, take
from export.engines import load
from tests.helpers.project import ROOT
from tests.helpers.tiny_engines import HEIGHT, WIDTH, write_engines
from training.reid.network import build_reid_network


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`params.yaml` of the district `mine`, and the engines of the district `demo`."""
    monkeypatch.chdir(tmp_path)
    write_engines(tmp_path / "engines" / "demo")
    return tmp_path


def run(models: dict[str, Any], model: str) -> None:
    section = read_params(file=ROOT / "params.yaml")["export"]
    export = section | {"models": ["detector", "attributes", *models], "threads": 1}
    params = {"district": {"name": "mine"}, "take": models, "export": export}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    take.main([f"export.model={model}"])


def test_the_engine_of_another_district_is_taken_as_it_is(workplace: Path) -> None:
    run({"detector": "engines/demo/detector"}, "detector")
    source, taken = (read_card(workplace / "engines" / name / "detector") for name in ("demo", "mine"))
    assert taken == source.model_copy(update={"taken": True})
    assert taken.version == source.version
    images = np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8)
    found, expected = (load(Path("engines", name, "detector"), threads=1)(images) for name in ("mine", "demo"))
    assert all((found[name] == expected[name]).all() for name in expected)


def test_weights_of_torchreid_are_imported(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build_reid_network("osnet_x0_25", num_identities=1)
    torch.save(network.state_dict(), "zoo.pth")
    run({"reid-zoo": {"backbone": "osnet_x0_25", "weights": "zoo.pth", "height": 64, "width": 32}}, "reid-zoo")
    card = read_card(workplace / "engines/mine/reid-zoo")
    assert (card.taken, card.source, card.input_height_px) == (True, "zoo.pth", 64)
    assert card.version == f"osnet_x0_25-{sha256_of(Path('zoo.pth'))[:12]}"
    said = capsys.readouterr().out
    assert "match probabilities are not fitted to this district" in said
    assert f"engines/mine/reid-zoo: {card.version}, of zoo.pth, not trained here" in said


@pytest.mark.parametrize(
    ("model", "more"), [("detector", {}), ("attributes", {"attribute_schema": "bags.yaml"}), ("reid-other", {})]
)
def test_an_onnx_file_with_our_inputs_is_imported(workplace: Path, model: str, more: dict[str, str]) -> None:
    task = model.partition("-")[0]
    (source,) = (workplace / "engines/demo").glob(f"{task}*")
    shutil.copy(source / "model.onnx", "theirs.onnx")
    if more:
        schema = read_card(source).attribute_schema
        assert schema is not None
        Path("bags.yaml").write_text(yaml.safe_dump(json.loads(schema.model_dump_json())))
    run({model: {"weights": "theirs.onnx", **more}}, model)
    images = np.random.default_rng(0).integers(0, 255, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    found, expected = load(Path("engines/mine") / model, threads=1)(images), load(source, threads=1)(images)
    assert found.keys() == expected.keys()
    assert all((found[name] == expected[name]).all() for name in expected)


def test_an_onnx_file_of_another_form_is_refused(workplace: Path) -> None:
    with pytest.raises(ArtifactError, match=r"does not fit its card: outputs must be embeddings, got boxes, scores"):
        run({"reid-x": {"weights": "engines/demo/detector/model.onnx"}}, "reid-x")
    assert not (workplace / "engines/mine/reid-x").exists()
    with pytest.raises(InputError, match=r"task=attributes needs attribute_schema=…"):
        import_weights.main(["task=attributes", "weights=a.onnx", "out=e"])
    with pytest.raises(InputError, match=r"must be an .onnx file, got a.pth"):
        import_weights.main(["task=attributes", "weights=a.pth", "out=e"])
    with pytest.raises(InputError, match=r"height must not be given with an ONNX file"):
        import_weights.main(["task=reid", "weights=a.onnx", "height=64", "out=e"])


def test_what_is_no_engine_for_the_task_is_refused(workplace: Path) -> None:
    with pytest.raises(ArtifactError, match="must be an engine for reid, got a model for detector"):
        run({"reid-x": "engines/demo/detector"}, "reid-x")
    folder = workplace / "engines/demo/detector"
    write_card(read_card(folder).model_copy(update={"engines": ()}), folder)
    with pytest.raises(ArtifactError, match="must be an engine for detector, got weights without an engine"):
        run({"detector": "engines/demo/detector"}, "detector")
    with pytest.raises(InputError, match="take must name attributes, got detector"):
        run({"detector": "engines/demo/detector"}, "attributes")

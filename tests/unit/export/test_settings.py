from pathlib import Path

import pytest
import yaml

from domain.errors import InputError
from domain.settings import read_params
from export.import_weights import ImportArguments
from export.import_weights import main as import_weights
from export.settings import ExportSettings
from tests.helpers.project import ROOT


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(read_params(file=ROOT / "params.yaml")))
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


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["task=detector", "weights=w", "out=o"], "task=detector needs cfg=…", id="no cfg"),
        pytest.param(["task=attributes", "weights=w", "out=o"], r"must be an \.onnx file, got w", id="no file of ours"),
        pytest.param(["task=reid", "weights=w", "out=o"], "task=reid needs backbone=…", id="no backbone"),
        pytest.param(
            ["task=reid", "backbone=osnet_x0_25", "cfg=c", "weights=w", "out=o"],
            "cfg must be given with task=detector only, got task=reid",
            id="cfg of re-ID",
        ),
        pytest.param(
            ["task=faces", "weights=w", "out=o"], "task: Input should be 'detector', 'attributes' or 'reid'", id="task"
        ),
    ],
)
def test_wrong_imports_are_refused(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImportArguments.from_arguments(argv)


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.pth must be a file; it is missing"):
        import_weights(["task=reid", "backbone=osnet_x0_25", f"weights={tmp_path}/nothing.pth", f"out={tmp_path}/out"])
    assert not (tmp_path / "out").exists()

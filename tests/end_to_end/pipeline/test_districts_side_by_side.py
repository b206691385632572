"""Three districts in one clone: each leaves the others as they are, switching back runs nothing, nothing gets mixed."""

import re
import shutil
import time
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from domain.paths import BENTO, ENGINES, METRICS, MODELS, PLOTS, PREDICTIONS, REPORTS, TRACKS
from tests.end_to_end.conftest import run, succeed
from tests.end_to_end.pipeline.test_own_data import write_crops, write_export
from tests.helpers.project import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
OUTPUTS = (MODELS, ENGINES, PREDICTIONS, METRICS, PLOTS, TRACKS, REPORTS, BENTO)
IMPORTS = {
    "square": ["identity-folders", "crops", "square"],
    "gate": ["cvat", "gate-export", "gate", "--start", "2026-05-12T18:40:00+09:00", "--time-zone", "Asia/Seoul"],
}


@pytest.fixture(scope="module")
def project(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clone in which the demo has run, with the data of two other districts and settings as small as the demo's."""
    project = Path(shutil.copytree(smoke, tmp_path_factory.mktemp("sides") / "dongseon"))
    small = yaml.safe_load((ROOT / "conf/experiment/smoke.yaml").read_text())
    del small["defaults"], small["district"]
    for section in ("attributes", "reid"):
        small[section] |= {"validate_every_epochs": 1}
    small["reid"]["backbones"] = {"osnet": {"architecture": "osnet_x0_25"}, "resnet50": {"architecture": "resnet18"}}
    (project / "conf/experiment/tiny.yaml").write_text("# @package _global_\n" + yaml.safe_dump(small))
    write_crops(project / "crops")
    write_export(project / "gate-export")
    return project


def kept(project: Path, district: str) -> dict[str, str]:
    """Digest of each file that the district's stages wrote."""
    folders = [project / output.of(district) for output in OUTPUTS]
    files = [file for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(project)): sha256(file.read_bytes()).hexdigest() for file in files}


def test_each_district_leaves_the_others_as_they_are(project: Path) -> None:
    before = {"demo": kept(project, "demo")}
    assert before["demo"]
    for district, arguments in IMPORTS.items():
        succeed(project, "python", "-m", "districts.import_data", *arguments)
        said = succeed(project, "dvc", "exp", "run", "-S", f"district={district}", "-S", "experiment=tiny")
        assert re.search(r"train_\w+: left out, the district has no \w+ data", said)
        assert f"results on {district}" in (project / REPORTS.of(district) / "report.md").read_text()
        for other, files in before.items():
            assert kept(project, other) == files
        before[district] = kept(project, district)

    for district, experiment in (("demo", "smoke"), ("square", "tiny"), ("gate", "tiny")):
        start = time.monotonic()
        said = succeed(project, "dvc", "exp", "run", "-S", f"district={district}", "-S", f"experiment={experiment}")
        assert "Running stage" not in said
        assert time.monotonic() - start < 30
        assert {other: kept(project, other) for other in before} == before


def test_the_models_of_two_districts_are_not_packaged_together(project: Path) -> None:
    succeed(project, "python", "-m", "conf.compose", "experiment=smoke")
    for name in ("engines", "models"):
        shutil.rmtree(project / name / "demo" / "reid-osnet")
        shutil.copytree(project / name / "square" / "reid-osnet", project / name / "demo" / "reid-osnet")
    bento = kept(project, "demo")
    ended = run(project, "python", "-m", "serving.package")
    assert ended.returncode == 1
    assert re.search(r"reid-osnet \(osnet_x0_25-\w{12}\) is of square", ended.stderr)
    assert kept(project, "demo") == bento
    ended = run(project, "python", "-m", "evaluation.report")
    assert ended.returncode == 1
    assert "reid-osnet.json is of model_version osnet_x0_25-" in ended.stderr

"""People with data of their own get to trained models by the commands of the manual, copied as they stand."""

import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from domain.images import write_image
from tests.end_to_end.conftest import succeed
from tests.helpers.imports_of_data import write_video
from tests.helpers.project import ROOT
from training.reid.network import build_reid_network

MANUAL = (ROOT / "docs/retrain-a-district.md").read_text(encoding="utf-8")


@pytest.fixture
def workplace(clone: Path, tmp_path: Path) -> Path:
    """A clone whose default experiment is as small as the smoke test's."""
    folder = tmp_path / "dongseon"
    succeed(tmp_path, "git", "clone", "-q", str(clone), str(folder))
    succeed(folder, "git", "config", "user.name", "Tester")
    succeed(folder, "git", "config", "user.email", "tester@localhost")
    small = yaml.safe_load((ROOT / "conf/experiment/smoke.yaml").read_text())
    del small["defaults"], small["district"]
    small["experiment_name"] = "finetune"
    (folder / "conf/experiment/finetune.yaml").write_text("# @package _global_\n" + yaml.safe_dump(small))
    recipe = yaml.safe_load((ROOT / "conf/experiment/finetune_cpu.yaml").read_text())
    recipe["reid"] |= {"input_height_px": 64, "input_width_px": 32, "max_epochs": 2}
    (folder / "conf/experiment/finetune_cpu.yaml").write_text("# @package _global_\n" + yaml.safe_dump(recipe))
    return folder


def commands(first: str) -> list[str]:
    """The block of the manual whose first line begins with `first`."""
    (block,) = [block for block in re.findall(r"```\n(.*?)```", MANUAL, re.DOTALL) if block.startswith(first)]
    return block.splitlines()


def write_export(folder: Path) -> None:
    """CVAT's export of a video of a minute in which two people stand."""
    write_video(folder / "gate.mp4", num_frames=120, fps=2, size=(224, 128))
    tracks = ""
    for track, left in enumerate((20, 120)):
        corners = f'outside="0" xtl="{left}" ytl="20" xbr="{left + 40}" ybr="110"'
        tracks += f'<track id="{track}" label="person"><box frame="0" {corners}/><box frame="119" {corners}/></track>'
    meta = "<mode>interpolation</mode><start_frame>0</start_frame><stop_frame>119</stop_frame><source>gate.mp4</source>"
    (folder / "annotations.xml").write_text(f"<annotations><meta><task>{meta}</task></meta>{tracks}</annotations>")


def write_crops(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for identity in range(20):
        for number in range(6):
            crop = rng.integers(0, 255, (64, 32, 3), dtype=np.uint8)
            write_image(folder / f"{identity:04d}" / f"c{number % 3 + 1}_{number}.jpg", crop)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_an_export_of_cvat_becomes_a_detector(workplace: Path) -> None:
    write_export(workplace / "gate-export")
    for command in commands("python -m districts.import_data cvat"):
        succeed(workplace, *shlex.split(command))
    assert (workplace / "engines/gate/detector/model.onnx").is_file()
    metrics = json.loads((workplace / "metrics/gate/detector.json").read_text())
    assert metrics["num_people"] == 2 * metrics["num_images"] > 0
    assert "results on gate" in (workplace / "reports/gate/report.md").read_text()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_folder_of_crops_becomes_a_reid_model(workplace: Path) -> None:
    write_crops(workplace / "crops")
    for command in commands("python -m districts.import_data identity-folders"):
        succeed(workplace, *shlex.split(command))
    assert (workplace / "engines/square/reid-osnet/model.onnx").is_file()
    assert json.loads((workplace / "metrics/square/reid-osnet.json").read_text())["num_query"] > 0
    assert "results on square" in (workplace / "reports/square/report.md").read_text()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_an_hour_on_two_cores_in_small(workplace: Path) -> None:
    crops = workplace / "Market-1501-v15.09.15"
    rng = np.random.default_rng(1)
    for part, people in (
        ("bounding_box_train", range(1, 31)),
        ("query", range(31, 36)),
        ("bounding_box_test", range(31, 36)),
    ):
        for identity, camera, number in itertools.product(people, (1, 2), (0, 1)):
            crop = rng.integers(0, 255, (64, 32, 3), dtype=np.uint8)
            write_image(
                crops / part / f"{identity:04d}_c{camera}s1_{identity:06d}_{part == 'query':d}{number}.jpg", crop
            )
    (workplace / "weights").mkdir(exist_ok=True)
    untrained = build_reid_network("osnet_x0_25", 7).backbone.state_dict()
    torch.save(untrained, workplace / "weights/osnet_x0_25_msmt17.pth")
    for command in commands("python -m districts.import_data market1501"):
        succeed(workplace, *shlex.split(command))
    card = json.loads((workplace / "engines/market/reid-osnet/card.json").read_text())
    assert (card["architecture"], card["input_height_px"]) == ("osnet_x0_25", 64)
    assert json.loads((workplace / "metrics/market/reid-osnet.json").read_text())["num_query"] > 0

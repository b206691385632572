"""`dvc.yaml` says the truth: each stage depends on all the code and data that it uses, and on no other code."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain import paths
from domain.settings import read_params
from serving import package
from tests.helpers.imports import imported_modules, nodes
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow

CODE = {"domain", "districts", "evaluation", "training", "export", "serving"}
OF_DISTRICT = "${district.name}"
FOLDERS = {
    name: str(folder.of(OF_DISTRICT))
    for name, folder in vars(paths).items()
    if isinstance(folder, paths.OutputFolder) and name not in ("CHECKPOINTS", "HISTORY")
} | {"district_folder": str(paths.DATA.of(OF_DISTRICT))}

PROJECT_FILES = {"pyproject.toml", "requirements.lock", "requirements-gpu.lock"}
INPUTS = {  # what conf/config.yaml computes of the user's own files
    "districts.prepare": {"${inputs.source}", "${inputs.labels}"},
    "training.detector.train": {"${inputs.detector_cfg}", "${inputs.detector_weights}"},
    "training.attributes.train": {"${inputs.attributes_schema}", "${inputs.attributes_weights}"},
    "training.reid.train": {"${item.weights}"},
    "export.take": {"${item.source}"},
    "evaluation.report": {"${item.transits}"},  # which a district may lack, as the engine of attributes
    "serving.track": {"${item.attributes}", "${item.transits}"},
    "serving.package": {"${item.attributes}", "${item.transits}"},
    "export.check_labels": {"${item.engine}"},
}
PARAMS = read_params(file=ROOT / "params.yaml")


@dataclass(frozen=True)
class Stage:
    entry: str  # the module that it runs
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    def without(self, dep: str) -> "Stage":
        return Stage(self.entry, tuple(other for other in self.deps if other != dep), self.outs, self.params)


def read_stages() -> dict[str, Stage]:
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    bodies = {name: stage.get("do", stage) for name, stage in stages.items()}
    return {
        name: Stage(
            body["cmd"].split()[2],
            tuple(body["deps"]),
            tuple(
                next(iter(out)) if isinstance(out, dict) else out
                for out in body.get("outs", []) + body.get("metrics", [])
            ),
            tuple(body.get("params", ())),
        )
        for name, body in bodies.items()
    }


STAGES = read_stages()


@cache
def needed_code(entry: str) -> frozenset[str]:
    """Modules, relative to the project, that hold more than a docstring."""
    modules = set(imported_modules(entry, ROOT))
    if entry == "serving.package":  # it copies them
        modules |= {file for part in package.PARTS for file in [ROOT / part, *(ROOT / part).rglob("*.py")]}
    return frozenset(str(file.relative_to(ROOT)) for file in modules if file.suffix == ".py" and _has_code(file))


def _has_code(file: Path) -> bool:
    module = nodes(file)[0]
    assert isinstance(module, ast.Module)
    return len(module.body) > 1


@cache
def needed_data(entry: str) -> frozenset[str]:
    """Folders of `domain/paths.py` and files of the project's root that the modules name."""
    found = set()
    for file in imported_modules(entry, ROOT):
        for node in nodes(file):
            if isinstance(node, ast.ImportFrom) and node.module == "domain.paths":
                found |= {FOLDERS[alias.name] for alias in node.names if alias.name in FOLDERS}
            elif isinstance(node, ast.Constant) and node.value in PROJECT_FILES:
                found.add(str(node.value))
    return frozenset(found)


def complaints(stage: Stage) -> Iterator[str]:
    code = {dep for dep in stage.deps if dep.partition("/")[0] in CODE}
    for module in sorted(needed_code(stage.entry)):
        if not any(_holds(dep, module) for dep in code):
            yield f"{module} is imported by {stage.entry} and must be in its deps"
    for dep in sorted(code):
        if not any(_holds(dep, module) for module in needed_code(stage.entry)):
            yield f"{dep} holds nothing that {stage.entry} imports"
    data = set(stage.deps) - code
    for place in sorted(needed_data(stage.entry)):
        if not any(_holds(place, _computed(path)) for path in data | set(stage.outs)):
            yield f"{place} is named by {stage.entry} and must be in its deps or outs"
    for place in sorted(INPUTS.get(stage.entry, set()) ^ {path for path in data if path.startswith("${")}):
        yield f"{place} must be in the deps of {stage.entry} if it reads the user's files there, and nowhere else"
    if stage.entry.startswith("serving."):
        for name in ("detector", "reid-${reid.backbone}"):
            engine = str(paths.ENGINES.of(OF_DISTRICT) / name)
            if engine not in data:
                yield f"{engine} is opened by {stage.entry} and must be in its deps"


def _computed(path: str) -> str:
    """What `params.yaml` has for an engine or the transit times, of any district; any other path as it is."""
    keys = {"${item.engine}": ("check_labels", "engine"), "${item.transits}": ("report", "transits")}
    if path not in keys:
        return path
    stage, key = keys[path]
    (computed,) = (item[key] for item in PARAMS["stages"][stage].values())
    return "/".join(OF_DISTRICT if part == PARAMS["district"]["name"] else part for part in str(computed).split("/"))


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_that_it_uses_and_on_no_other_code(name: str) -> None:
    assert list(complaints(STAGES[name])) == []


@pytest.mark.parametrize(("name", "dep"), [(name, dep) for name, stage in STAGES.items() for dep in stage.deps])
def test_no_dependency_can_be_struck_out(name: str, dep: str) -> None:
    assert list(complaints(STAGES[name].without(dep)))


def test_a_dependency_on_what_is_not_used_is_named() -> None:
    stage = STAGES["train_reid"]
    padded = Stage(stage.entry, (*stage.deps, "serving"), stage.outs, stage.params)
    assert list(complaints(padded)) == ["serving holds nothing that training.reid.train imports"]


@pytest.mark.parametrize(
    ("changed", "spared"),
    [
        pytest.param("serving/web/page/page.css", {"track"}, id="the operators' page"),
        pytest.param("domain/schemas/suseong.yaml", {"train_detector", "train_reid"}, id="an attribute schema"),
        pytest.param("domain/boxes.py", {"train_attributes", "train_reid"}, id="a box function"),
        pytest.param("domain/deadline.py", {"train_detector", "train_attributes", "train_reid"}, id="the service"),
        pytest.param("evaluation/report.py", {"train_detector", "train_reid", "export", "track"}, id="the report"),
    ],
)
def test_a_change_reruns_no_costly_stage_that_does_not_use_it(changed: str, spared: set[str]) -> None:
    assert (ROOT / changed).is_file()
    assert not [name for name in sorted(spared) for dep in STAGES[name].deps if _holds(dep, changed)]


@pytest.mark.parametrize(
    ("section", "stages", "free"),
    [
        pytest.param("reid", ["train_reid"], {"backbone", "backbones"}, id="reid"),
        pytest.param("export", ["export", "predict"], {"model", "models"}, id="export"),
    ],
)
def test_another_backbone_changes_no_parameter_of_the_others(section: str, stages: list[str], free: set[str]) -> None:
    listed = {param for name in stages for param in STAGES[name].params}
    values = read_params(file=ROOT / "params.yaml")[section]
    assert {param.partition(".")[2] for param in listed if param.startswith(f"{section}.")} - {
        "backbones.${item.backbone}"
    } == (values.keys() - free)
    assert section not in listed

import importlib
from pathlib import Path

import yaml

from conf.compose import compose
from conf.hydra_plugins import resolvers
from domain.settings import read_params
from tests.helpers.project import ROOT


def test_params_is_what_the_tree_composes(tmp_path: Path) -> None:
    compose([], tmp_path / "params.yaml")
    assert yaml.safe_load((tmp_path / "params.yaml").read_text()) == yaml.safe_load((ROOT / "params.yaml").read_text())


def test_a_fact_of_two_sections_stands_once(tmp_path: Path) -> None:
    changed = ["identities.others_of_a_person=6", "serving.search.candidates=100", "serving.search.k1=7"]
    compose(changed, tmp_path / "params.yaml")
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert params["export"]["match_prior"] == 0.06
    assert params["evaluation"]["k1"] == 7


def test_dvc_looks_at_the_users_files(tmp_path: Path) -> None:
    importlib.reload(resolvers)  # for other tests compose other projects in this process
    given = [
        "district=pa100k",
        "district.labels=/judged #1/2026, (가)",
        "detector.cfg=mine.cfg",
        "detector.weights=a b.weights",  # need not be there: the district has no pictures for a detector
    ]
    given += ["experiment=scratch", "attributes.schema=groups.yaml"]
    compose([_quoted(each) for each in given], tmp_path / "params.yaml")
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["inputs"] == {
        "source": str(ROOT / "districts-in/pa100k"),
        "labels": "/judged #1/2026, (가)",
        "detector_cfg": str(ROOT / "mine.cfg"),
        "detector_weights": str(ROOT / "a b.weights"),
        "attributes_schema": str(ROOT / "groups.yaml"),
        "attributes_weights": "training/attributes",
    }


def test_every_setting_that_names_a_users_file_is_among_the_inputs() -> None:
    params = read_params(file=ROOT / "params.yaml")
    named = {f"{section}.{key}" for section in ("district", "detector", "attributes") for key in params[section]}
    files = {name for name in named if name.rpartition(".")[2] in {"source", "labels", "cfg", "weights", "schema"}}
    assert {name.removeprefix("district.").replace(".", "_") for name in files} == params["inputs"].keys()


def _quoted(override: str) -> str:
    key, _, value = override.partition("=")
    return f'{key}="{value}"'

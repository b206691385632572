from pathlib import Path

import yaml

from conf.compose import compose
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

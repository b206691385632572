"""The import contracts of pyproject.toml name every module that they are about."""

import tomllib

import pytest

from tests.helpers.project import ROOT

USED_BY_SERVING = {
    "evaluation": {"reranking", "neighbours", "transit"},
    "districts": {"layout", "box_files"},
    "export": {"engines"},
}


def forbidden_to_serving() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        module
        for contract in contracts
        if contract["type"] == "forbidden" and contract["source_modules"] == ["serving"]
        for module in contract["forbidden_modules"]
    }


@pytest.mark.parametrize("package", USED_BY_SERVING)
def test_serving_may_import_nothing_else_of_a_package(package: str) -> None:
    parts = {
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    named = {module.partition(".")[2] for module in forbidden_to_serving() if module.startswith(f"{package}.")}
    assert named == parts - USED_BY_SERVING[package] - {"__init__"}


def test_no_contract_has_an_exemption() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert not [contract["name"] for contract in contracts if contract.get("ignore_imports")]

from pathlib import Path

import pytest

from domain.errors import InputError
from domain.paths import district_folder


def test_the_district_comes_from_the_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("district: {name: here}\n")
    assert district_folder() == Path("data/here")
    assert district_folder(["district.name=there"]) == Path("data/there")


@pytest.mark.parametrize("params", ["export: {}", "district: {name: null}", "district: null"])
def test_parameters_without_a_district_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"{params}\n")
    with pytest.raises(InputError, match=r"params\.yaml must name district\.name"):
        district_folder()

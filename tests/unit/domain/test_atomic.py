from pathlib import Path

import pytest

from domain.atomic import atomic_file, atomic_folder


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    with atomic_file(target) as aside:
        aside.write_text("{}")
        assert not target.exists()
    assert target.read_text() == "{}"


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="full disk"):
        _write_half(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_former_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    (target / "stale").touch()
    with atomic_folder(target) as aside:
        (aside / "weights.pt").touch()
    assert [path.name for path in target.iterdir()] == ["weights.pt"]


def test_a_failure_leaves_the_former_folder(tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    (target / "weights.pt").touch()
    with pytest.raises(RuntimeError, match="killed"):
        _fill_half(target)
    assert [path.name for path in target.iterdir()] == ["weights.pt"]
    assert list(tmp_path.iterdir()) == [target]


def _write_half(target: Path) -> None:
    with atomic_file(target) as aside:
        aside.write_text("half")
        raise RuntimeError("full disk")


def _fill_half(target: Path) -> None:
    with atomic_folder(target) as aside:
        (aside / "half").touch()
        raise RuntimeError("killed")

"""The user's folders: DVC looks at them, and a change while they are read is not taken for prepared."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from districts import prepare
from districts.inputs import require_unchanged, state_of
from domain.errors import InputError
from domain.paths import users_file


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data that the checks, replaced here, find sound."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "c1.mp4").write_text("film")
    monkeypatch.setattr(prepare, "check_district", lambda folder, **_: [])
    return folder


def write_params(source: str, watched: str) -> None:
    district = {"name": "mine", "importer": "folder", "source": source}
    Path("params.yaml").write_text(yaml.safe_dump({"district": district, "inputs": {"source": watched}}))


def test_a_source_that_dvc_does_not_look_at_is_refused(source: Path) -> None:
    write_params("in", watched="districts")
    with pytest.raises(
        InputError, match=r"inputs\.source of params\.yaml must be .*/in, so .* got districts; .*compose"
    ):
        prepare.main()
    prepare.main(["district.importer=folder"])  # by hand, without DVC


def test_a_source_may_be_named_through_a_link(source: Path) -> None:
    Path("through").symlink_to(source)
    write_params("through", watched=str(source))
    prepare.main()
    assert Path("data/mine/videos/c1.mp4").read_text() == "film"


def test_a_queued_experiment_reads_the_folder_beside_the_project(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "x"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert users_file(Path("in")) == source
    write_params("in", watched=str(source))
    prepare.main()
    assert (copy / "data/mine/videos/c1.mp4").samefile(source / "videos" / "c1.mp4")


@pytest.mark.parametrize("change", ["added", "removed", "rewritten", "behind a link"])
def test_a_change_meanwhile_is_noticed(source: Path, tmp_path: Path, change: str) -> None:
    pool = tmp_path / "pool.jpg"
    pool.write_text("one")
    (source / "linked.jpg").symlink_to(pool)
    (source / "broken.jpg").symlink_to("nowhere")
    before = state_of([source])
    require_unchanged(before, [source])
    film = source / "videos" / "c1.mp4"
    if change == "added":
        (source / "videos" / "c2.mp4").write_text("")
    elif change == "removed":
        shutil.rmtree(source / "videos")
    elif change == "rewritten":
        film.write_text("mlif")
        os.utime(film, ns=(0, 1))
    else:
        pool.write_text("another")
    with pytest.raises(
        InputError, match=r"must not change while they are prepared, got 1 that did, such as .*(c1|c2|linked)"
    ):
        require_unchanged(before, [source])


def test_prepare_keeps_the_earlier_data_if_the_source_changes_meanwhile(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params("in", watched=str(source))
    prepare.main()
    monkeypatch.setattr(prepare, "check_district", lambda folder, **_: [] * (source / "late.jpg").write_text(""))
    with pytest.raises(InputError, match=r"got 1 that did, such as .*late\.jpg"):
        prepare.main()
    assert [path.name for path in Path("data").iterdir()] == ["mine"]
    assert not Path("data/mine/late.jpg").exists()

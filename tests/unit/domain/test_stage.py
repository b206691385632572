"""What ends a command with a line, and what with a traceback."""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from domain.errors import InputError
from domain.stage import close_dvc_folders, run_stage
from tests.helpers.project import ROOT


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    return tmp_path


def ends_with(error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    def main(_: Sequence[str]) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_stage(main)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_place_that_is_not_writable_is_named_in_a_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    line = ends_with(OSError(number, "No way", "data/demo"), capsys)
    assert line == "error: data/demo must be writable and have room, got: No way"


def test_a_full_disk_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str]) -> None:
        Path("/dev/full").write_text("pictures")

    with pytest.raises(SystemExit):
        run_stage(main)
    assert "must be writable and have room, got: No space left on device" in capsys.readouterr().err


def test_an_error_on_purpose_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(InputError("lr must be positive"), capsys) == "error: lr must be positive"


def test_a_stage_by_hand_says_how_dvc_keeps_what_it_wrote(workplace: Path) -> None:
    (workplace / "work.py").write_text("from domain.stage import run_stage\nrun_stage(lambda argv: None)\n")
    stage = {"foreach": ["demo"], "do": {"cmd": "python -m work item=1", "outs": ["out"]}}
    (workplace / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train_it": stage}}))
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "work"]
    by_hand, by_dvc = (
        subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True).stdout
        for more in ({}, {"DVC_STAGE": "train_it@demo"})
    )
    assert "`dvc commit train_it` keeps it" in by_hand
    assert by_dvc == ""


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EBADF, "a bug")])
def test_a_bug_is_not_hidden(error: Exception) -> None:
    def main(_: Sequence[str]) -> None:
        raise error

    with pytest.raises(type(error), match="a bug"):
        run_stage(main)


def test_a_folder_of_dvc_that_cannot_be_closed_is_named_only_if_others_may_enter(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    for name, mode in (("cache", 0o755), ("tmp", 0o700)):
        (workplace / ".dvc" / name).mkdir(mode=mode, parents=True)
        (workplace / ".dvc" / name).chmod(mode)
    monkeypatch.setattr(Path, "chmod", refuse)
    close_dvc_folders(workplace)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"warning: only its owner may enter {workplace / '.dvc' / 'cache'}" in line

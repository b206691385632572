"""Answers and identities are read as they were written."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.answers import Answers, read_answers, read_people, write_answers, write_people
from domain.errors import ArtifactError
from tests.helpers.answers import answer

MODELS = {"deployment_version": "0123456789ab"}


def test_answers_are_read_as_written(tmp_path: Path) -> None:
    answers = Answers(
        deployment_version="0123456789ab",
        frame_times_s={"c1": (0.0, 0.1)},
        problems=(answer([(1, "c1", 10, 30)], [1]),),
    )
    write_answers(tmp_path, answers)
    assert read_answers(tmp_path) == answers


def test_times_are_written_with_their_offset(tmp_path: Path) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 9, 0, 0, 500_000, ZoneInfo("Asia/Seoul"))]
    one = answer([(1, "c1", 10, 30)], [])
    ranked = one.ranked[0].model_copy(update={"first_seen": times[0], "last_seen": times[1]})
    write_answers(
        tmp_path,
        Answers(
            deployment_version="0123456789ab",
            frame_times_s={},
            problems=(one.model_copy(update={"ranked": (ranked,)}),),
        ),
    )
    written = json.loads((tmp_path / "answers.json").read_text())["problems"][0]["ranked"][0]
    assert written["first_seen"] == "2026-01-01T00:00:00+00:00"
    assert written["last_seen"] == "2026-01-01T09:00:00.500000+09:00"
    assert read_answers(tmp_path).problems[0].ranked[0].last_seen - times[0] == timedelta(seconds=0.5)


def test_missing_answers_name_the_stage_to_rerun(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must hold the answers to the problems; rerun track"):
        read_answers(tmp_path)


def test_people_are_read_as_written_in_the_order_of_tracklets(tmp_path: Path) -> None:
    write_people(tmp_path, {7: 1, 1: 2})
    assert (tmp_path / "identities.csv").read_text() == "tracklet,person\n1,2\n7,1\n"
    assert read_people(tmp_path) == {1: 2, 7: 1}


@pytest.mark.parametrize("text", [None, "a,b\n1,2\n", "tracklet,person\n1\n", "tracklet,person\n1,x\n"])
def test_a_table_of_something_else_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "identities.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"identities\.csv must hold the person of each tracklet"):
        read_people(tmp_path)

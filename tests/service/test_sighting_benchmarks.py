"""Benchmarks of stored crops and of next sightings on a district of coloured people, whom every crop shows alike."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from benchmarks import next_sighting, reembedding, stored_crops
from domain.errors import InputError
from serving import track
from serving.database import tables
from serving.database.store import open_store
from tests.helpers.deployments import write_deployment
from tests.helpers.project import ROOT
from tests.helpers.recordings import write_district

PEOPLE = {"c1": (2, 3), "c2": (3,), "c3": (1, 2)}  # by `write_district`; the first is seen in one camera only
FRAMES_A_PERSON, FRAMES_SEEN = 45, 10
BOX = "0,0,32,48,1,1,1"  # of `tiny_engines`


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the stage `track` has run."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        patch.chdir(root)
        write_deployment(root)
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["identities"] = yaml.safe_load((ROOT / "conf" / "identities" / "people.yaml").read_text())
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        videos = write_district(root / "data" / "demo", num_cameras=len(PEOPLE)) / "videos"
        for camera, people in PEOPLE.items():
            lines = [
                f"{FRAMES_A_PERSON * turn + frame},{person},{BOX}\n"
                for turn, person in enumerate(people)
                for frame in range(1, FRAMES_SEEN + 1)
            ]
            (videos / f"{camera}.txt").write_text("".join(lines))
        (videos / "problems.yaml").write_text("problems: []\n")
        track.main()
        yield root


def printed(
    root: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], benchmark: ModuleType = stored_crops
) -> dict[str, Any]:
    patch.setattr("sys.argv", ["benchmark", "--root", str(root)])
    benchmark.main()
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_crops_that_show_what_the_video_showed_lose_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = printed(finished, monkeypatch, capsys)
    counts = {name: content["metadata"][name] for name in ("sightings", "cameras", "people", "queries")}
    assert counts == {"sightings": 5, "cameras": 3, "people": 2, "queries": 4}
    results = content["results"]
    assert results["ingest"] == {"map": 1.0, "rank1": 1.0}
    assert [each["crops"] for each in results["stored_crops"]] == [1, 2][: len(results["stored_crops"])]
    for each in results["stored_crops"]:
        assert (each["map"], each["map_change"]) == (1.0, 0.0)
        assert each["mean_cosine_to_ingest"] > 0.99
    sizes = results["bytes_a_sighting"]
    files = [file for file in (finished / "store" / "crops").rglob("*") if file.is_file()]
    of_files = sizes["best_crops"] + sizes["more_crops"] + sizes["full_frames"]
    assert of_files == pytest.approx(sum(file.stat().st_size for file in files) / 5)
    assert all(sizes[name] > 1000 for name in ("tracklets", "tracklet_embeddings", "tracklet_attributes"))


def test_the_next_sighting_of_who_looks_like_nobody_else_comes_first(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = printed(finished, monkeypatch, capsys, next_sighting)
    found = content["results"]["another_camera"]
    assert (content["metadata"]["people"], found["searches"]) == (3, 2)
    for order in ("looks", "looks_place_and_time"):
        assert found[order] == {"mean_rank": 1.0, "median_rank": 1.0, "first": 1.0, "within_10": 1.0}
    assert found["change"]["value"] == 0
    assert content["results"]["same_camera"] == {"searches": 0}


def test_the_rate_of_re_embedding_is_that_of_all_sightings_and_the_store_stays_as_it_is(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set((finished / "store" / "crops").rglob("*"))
    monkeypatch.setattr("sys.argv", ["reembedding", "--root", str(finished), "--sightings", "12"])
    reembedding.main()
    content = json.loads(capsys.readouterr().out)
    assert content["metadata"]["sightings"] == 12
    assert content["results"].keys() == {"re-ID and attributes", "re-ID"}
    for result in content["results"].values():
        assert result["sightings_a_second"] == pytest.approx(12 / result["seconds"])
    assert set((finished / "store" / "crops").rglob("*")) == before


def test_embeddings_of_ingest_that_find_nobody_are_seen_as_worse_and_missing_ones_are_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tables.tracklet_embeddings
    with open_store(finished / "store") as store, store.begin() as connection:
        for number in range(1, 6):
            same = table.c.tracklet_id == number
            connection.execute(
                sa.update(table).where(same).values(embedding=[number % 2, number % 3, 1, 0, 0, 0, 0, 0])
            )
    assert printed(finished, monkeypatch, capsys, next_sighting)["results"]["another_camera"]["looks"]["mean_rank"] > 1
    changes = [each["map_change"] for each in printed(finished, monkeypatch, capsys)["results"]["stored_crops"]]
    assert min(changes) > 0.1
    with open_store(finished / "store") as store, store.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.tracklet_id == 1))
    with pytest.raises(InputError, match=r"the store must hold all tracklets of .* lacks 1; rerun track"):
        printed(finished, monkeypatch, capsys)

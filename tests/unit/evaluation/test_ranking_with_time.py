"""Rankings by looks and times on a simulated street, and why there is none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from districts.layout import ReidTable, read_district, read_reid_folder
from domain.embeddings import cosine_distances
from evaluation import fit_transits
from evaluation.district_transits import metres_of, transits_of_people
from evaluation.ranking_with_time import TimedRanking, rank_with_time
from evaluation.retrieval import evaluate_retrieval
from evaluation.transit.files import read_transits
from tests.helpers.street import APART_M, Crops, walk_along

pytestmark = pytest.mark.slow

SPLITS = {"bounding_box_train": (1, 120), "bounding_box_val": (121, 170), "query": (171, 240)}


def write_crops(folder: Path, crops: Crops) -> dict[str, np.ndarray]:
    """Empty pictures with times; embeddings by file name."""
    embeddings, rows = {}, ["image,time_s"]
    seen = set[tuple[int, int]]()
    for place, (person, camera, time_s) in enumerate(zip(crops.identities, crops.cameras, crops.times_s, strict=True)):
        part = next(part for part, (first, last) in SPLITS.items() if first <= person <= last)
        if part == "query" and (person, camera) in seen:
            part = "bounding_box_test"
        seen.add((person, camera))
        name = f"{person:04d}_c{camera}s1_{place:06d}_00.jpg"
        (folder / "reid" / part).mkdir(parents=True, exist_ok=True)
        (folder / "reid" / part / name).touch()
        embeddings[name] = crops.embeddings[place]
        rows.append(f"{name},{time_s}")
    (folder / "reid" / "times.csv").write_text("\n".join(rows))
    return embeddings


@pytest.fixture
def street(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    camera = {"name": "street", "latitude": 35.0, "fps": 5, "width_px": 64, "height_px": 48}
    degrees = APART_M / 91_090  # of longitude at 35° north
    cameras = [camera | {"id": f"c{number}", "longitude": 128 + number * degrees} for number in range(1, 4)]
    district = {"name": "street", "time_zone": "Asia/Seoul", "attribute_schema": "suseong", "source": "a test"}
    (tmp_path / "district.yaml").write_text(yaml.safe_dump(district | {"licence": "CC0-1.0", "cameras": cameras}))
    return tmp_path, write_crops(tmp_path, walk_along(240, 3, seed=11))


def looks(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    plain = cosine_distances(query, gallery)
    return plain, plain / 2


def ranked(street: tuple[Path, dict[str, np.ndarray]]) -> tuple[TimedRanking | str, ReidTable, ReidTable, np.ndarray]:
    folder, by_name = street

    def embeddings(table: ReidTable) -> np.ndarray:
        return np.stack([by_name[name] for name in table.images])

    query, gallery = read_reid_folder(folder, "query"), read_reid_folder(folder, "bounding_box_test")
    plain, reranked = looks(embeddings(query), embeddings(gallery))
    validation = None
    if (folder / "reid" / "bounding_box_val").is_dir():
        people = read_reid_folder(folder, "bounding_box_val")
        validation = people, embeddings(people)
    transits = transits_of_people(folder)
    assert transits is not None
    return rank_with_time(transits, validation, query, gallery, plain, reranked, looks), query, gallery, plain


def reason(street: tuple[Path, dict[str, np.ndarray]]) -> str:
    timed = ranked(street)[0]
    assert isinstance(timed, str)
    return timed


def test_times_find_people_whom_looks_confuse(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    timed, query, gallery, plain = ranked(street)
    assert isinstance(timed, TimedRanking)
    people = query.identities, gallery.identities, query.cameras, gallery.cameras
    by_looks, by_both, reranked = (
        evaluate_retrieval(distances, *people).mean_average_precision
        for distances in (plain, timed.plain, timed.reranked)
    )
    assert by_both > by_looks + 0.2
    assert reranked == pytest.approx(by_both, abs=1e-3)  # of half the distances, the times count half as much
    assert timed.reliability.calibration_error < 0.1
    assert len(timed.reliability.counts) >= 15


def test_the_people_that_are_searched_for_teach_nothing(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, by_name = street
    timed = ranked(street)[0]
    other = {}
    for part in ("query", "bounding_box_test"):
        for file in (folder / "reid" / part).iterdir():
            turned = file.with_name(f"{900 - int(file.name[:4]):04d}{file.name[4:]}")
            other[turned.name] = by_name[file.name]
            file.rename(turned)
    times = folder / "reid" / "times.csv"
    rows = times.read_text().splitlines()
    renamed = [f"{900 - int(row[:4]):04d}{row[4:]}" if 171 <= int(row[:4]) <= 240 else row for row in rows[1:]]
    times.write_text("\n".join([rows[0], *renamed]))
    again = ranked((folder, by_name | other))[0]
    assert isinstance(timed, TimedRanking)
    assert isinstance(again, TimedRanking)
    assert again.fusion == timed.fusion
    np.testing.assert_array_equal(again.transits.table, timed.transits.table)


def test_a_clock_that_jumped_before_the_search_is_left_out(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    timed = ranked(street)[0]
    assert isinstance(timed, TimedRanking)
    assert timed.misleading == []
    times = street[0] / "reid" / "times.csv"
    rows = times.read_text().splitlines()
    for place, row in enumerate(rows[1:], start=1):
        name, time_s = row.split(",")
        if int(name[:4]) > 170 and name[4:7] == "_c3":
            rows[place] = f"{name},{float(time_s) + 3600}"
    times.write_text("\n".join(rows))
    timed = ranked(street)[0]
    assert isinstance(timed, TimedRanking)
    assert timed.misleading == [3]


def test_a_search_without_times_says_so(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    times = street[0] / "reid" / "times.csv"
    rows = times.read_text().splitlines()
    times.write_text("\n".join([rows[0], *(row for row in rows[1:] if int(row[:4]) <= 170)]))
    assert reason(street) == "the crops have no times (reid/times.csv)"


def test_without_validation_people_it_says_so(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    shutil.rmtree(street[0] / "reid" / "bounding_box_val")
    assert "there are no validation people" in reason(street)


def test_a_single_validation_person_is_too_few(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    for file in (street[0] / "reid" / "bounding_box_val").iterdir():
        if not file.name.startswith("0121"):
            file.unlink()
    assert "the validation people do not tell the weight of times: pairs of one person" in reason(street)


def test_cameras_without_a_position_have_no_distance(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder = street[0]
    district, crops = read_district(folder), read_reid_folder(folder, "bounding_box_train")
    metres = metres_of(crops, district)
    np.testing.assert_allclose(metres[np.triu_indices(3, 1)], [APART_M, 2 * APART_M, APART_M], rtol=0.01)
    one_place = district.model_copy(update={"cameras": (district.cameras[0],) * 2})
    assert np.isnan(metres_of(crops, one_place)).all()


def test_a_district_without_walks_has_no_transit_times(street: tuple[Path, dict[str, np.ndarray]]) -> None:
    assert transits_of_people(street[0]) is not None
    (street[0] / "reid" / "times.csv").unlink()
    assert transits_of_people(street[0]) is None


def test_the_stage_writes_the_model_of_the_training_people(
    street: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "street").symlink_to(street[0])
    (work / "params.yaml").write_text("district: {name: street}\n")
    monkeypatch.chdir(work)
    fit_transits.main()
    model, card = read_transits(work / "transits" / "street")
    expected = transits_of_people(street[0])
    assert model is not None
    assert expected is not None
    np.testing.assert_array_equal(model.table, expected.table)
    assert card.cameras == {1: "c1", 2: "c2", 3: "c3"}
    assert (work / "transits" / "street" / "densities.png").is_file()

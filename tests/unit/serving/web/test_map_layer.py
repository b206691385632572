"""The local map: lines and areas of a GeoJSON file, and what is no such file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from serving.web.map_layer import UnusableMapError, read_map_layer


def write(folder: Path, *geometries: dict[str, Any]) -> None:
    features = [{"type": "Feature", "properties": {"name": "중앙로"}, "geometry": each} for each in geometries]
    (folder / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def features_of(folder: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(read_map_layer(folder))["features"]
    return features


def test_lines_and_areas_are_read_without_their_properties(tmp_path: Path) -> None:
    street = {"type": "LineString", "coordinates": [[128.6, 35.8], [128.7, 35.9, 12]]}
    park = {"type": "Polygon", "coordinates": [[[128.6, 35.8], [128.7, 35.8], [128.7, 35.9], [128.6, 35.8]]]}
    write(tmp_path, street, {"type": "Point", "coordinates": [128.6, 35.8]}, park)
    features = features_of(tmp_path)
    assert [feature["geometry"] for feature in features] == [street, park]
    assert [feature["properties"] for feature in features] == [None, None]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    write(tmp_path)
    assert features_of(tmp_path) == []
    write(tmp_path, {"type": "LineString", "coordinates": [[128.6, 35.8], [128.7, 35.9]]})
    os.utime(tmp_path / "map.geojson", ns=(0, 0))
    assert len(features_of(tmp_path)) == 1


def test_without_a_file_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert features_of(tmp_path) == []


@pytest.mark.parametrize(
    "coordinates",
    [
        pytest.param(None, id="nothing"),
        pytest.param([128.6, 35.8], id="a point"),
        pytest.param([[[128.6, 35.8]]], id="too deep"),
        pytest.param([["128.6", "35.8"]], id="texts"),
        pytest.param([[128.6]], id="one number"),
    ],
)
def test_a_line_that_cannot_be_drawn_is_left_out(tmp_path: Path, coordinates: Any) -> None:
    write(tmp_path, {"type": "LineString", "coordinates": coordinates})
    assert features_of(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "must be a readable GeoJSON file", id="no JSON"),
        pytest.param("[" * 100_000, "must be a readable GeoJSON file", id="too deep"),
        pytest.param("[]", "must be a GeoJSON FeatureCollection", id="a list"),
        pytest.param('{"type": "Feature"}', "must be a GeoJSON FeatureCollection", id="one feature"),
        pytest.param(" " * 20_000_001, "must have at most 20000000 bytes", id="too large"),
    ],
)
def test_a_file_that_is_no_map_is_said(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "map.geojson").write_text(content)
    with pytest.raises(UnusableMapError, match=message):
        read_map_layer(tmp_path)

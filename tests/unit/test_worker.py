import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from serving import ingest, tables, worker
from serving.store import open_store
from tests.conftest import ROOT
from tests.deployments import write_deployment
from tests.recordings import contents, segment_states, write_district, write_recording


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deployment"
    write_deployment(folder)
    monkeypatch.chdir(folder)
    return folder


def test_a_districts_videos_become_tracklets(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo")
    ingest.main([str(district), "--district", "demo"])
    with open_store(Path("store")) as store:
        assert segment_states(store) == {"c1.mp4": "waiting", "c2.mp4": "waiting", "c3.mp4": "waiting"}
    worker.main(["--until-empty"])
    with open_store(Path("store")) as store:
        assert set(segment_states(store).values()) == {"done"}
        assert len(contents(store)) == 3
        with store.begin() as connection:
            by_camera = connection.execute(
                sa.select(tables.tracklets.c.camera_id, sa.func.count()).group_by(tables.tracklets.c.camera_id)
            ).all()
    assert sorted(tuple(row) for row in by_camera) == [("c1", 2), ("c2", 1), ("c3", 2)]

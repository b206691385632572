"""The demo's recordings as live cameras send them, while a case watches for the person of each problem."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from districts.box_files import TrackTable
from districts.layout import Problem
from domain.boxes import pairwise_iou
from evaluation.multi_camera.visits import Visit, is_query_visit, right_tracklets, visits_of
from evaluation.settings import EvaluationSettings
from serving.database import tables
from serving.database.store import Store, open_store
from tests.end_to_end.conftest import succeed, wait_until
from tests.end_to_end.pipeline.test_problems_on_the_page import serving
from tests.helpers.demo import NAME, SAME_PERSON_IOU, Demo, finished_demo
from tests.helpers.project import ROOT
from tests.helpers.rtsp import RecordingsServer, require_server

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(1500)]
LEAST_TOLD = 8  # of ten people, at their next walk-by
REASON = "the person of a problem"
DAY_S = 86_400


class Watched(NamedTuple):
    """A watch for the person of a problem."""

    problem: Problem
    case: int
    id: int
    stated: float  # alarms a day, as it was told when the watch was opened


class Live(NamedTuple):
    """What was seen while the recordings played."""

    tracks: dict[str, TrackTable]  # by camera, in frames of its recording
    alarms: dict[int, list[tuple[str, int]]]  # of each watch: camera and sighting
    seconds: float  # of video, of a camera on average
    damage: list[str]  # frames that could not be looked at in time


def store_of(demo: Demo, folder: Path) -> Path:
    """A copy of the demo's store, in which live sightings are put."""
    succeed(demo.project, "cp", "-a", "store", "store.key", str(folder))  # the database may be of a user of its own
    return folder / "store"


@contextmanager
def streams(demo: Demo, store: Path, folder: Path) -> Iterator[Path]:
    """`serving.streams` of all cameras, whose recordings begin now; its log."""
    recordings, log = folder / "recordings", folder / "streams.log"
    recordings.mkdir()
    for camera in demo.truth:
        (recordings / f"{camera}.mp4").symlink_to(demo.folder / "videos" / f"{camera}.mp4")
    with RecordingsServer(recordings) as cameras, log.open("wb") as output:
        content = {"district": NAME, "cameras": {camera: cameras.address(camera) for camera in demo.truth}}
        (folder / "cameras.yaml").write_text(yaml.safe_dump(content))
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.streams", f"serving.streams.file={folder / 'cameras.yaml'}"],
            cwd=demo.project,
            env=os.environ | {"PYTHONPATH": str(ROOT), "DONGSEON_STORE": str(store)},
            stdout=output,
            stderr=output,
        )
        try:
            yield log
        finally:
            process.kill()
            process.wait()


def watch(demo: Demo, client: httpx.Client, problem: Problem) -> Watched:
    """A case that watches for the person of the problem, by photos and description, with the threshold of the page."""
    case = client.post("/v1/cases", json={"title": problem.id}).json()["id"]
    photos = [("photo", (file.name, file.read_bytes())) for file in demo.photos(problem)]
    asked = {"case": str(case), "reason": REASON, "attributes": json.dumps(problem.attributes)}
    opened = client.post("/v1/watches", data=asked, files=photos)
    assert opened.status_code == 201, opened.text
    return Watched(problem, case, opened.json()["id"], opened.json()["alarms_a_day"])


class Operator:
    """Judges each alarm as it comes, by who truly is in the picture."""

    def __init__(self, demo: Demo, store: Store, client: httpx.Client, watched: list[Watched]) -> None:
        self._demo, self._store, self._client = demo, store, client
        self._watched = {each.id: each for each in watched}
        self._last = 0

    def judge(self) -> None:
        """Confirm or reject what was told since the last time."""
        for alarm in self._client.get("/v1/alerts", params={"after": self._last}).json()["alerts"]:
            self._last = alarm["id"]
            sighting, each = alarm["tracklet_id"], self._watched[alarm["watch_id"]]
            with self._store.begin() as connection:
                seen = sa.select(tables.tracklets).where(tables.tracklets.c.id == sighting)
                tracks = tracks_of(connection.execute(seen).all())
            truth = self._demo.truth[alarm["camera_id"]]
            is_right = sighting in right_tracklets(each.problem.identity, truth, tracks, SAME_PERSON_IOU)
            verdict = "confirmed" if is_right else "rejected"
            judged = {"district": NAME, "tracklet_id": sighting, "verdict": verdict}
            answer = self._client.post(f"/v1/cases/{each.case}/verdicts", json=judged)
            assert answer.status_code == 200, answer.text


def live_segments(store: Store, num_before: int) -> dict[str, sa.Row]:  # type: ignore[type-arg]
    """The first live segment of each camera, once it is over."""
    table = tables.segments
    is_over = (table.c.state == "done") & (table.c.id > num_before)
    with store.begin() as connection:
        rows = connection.execute(sa.select(table).where(is_over).order_by(table.c.start.desc())).all()
    return {row.camera_id: row for row in rows}


def tracks_of(rows: Sequence[sa.Row]) -> TrackTable:  # type: ignore[type-arg]
    """The boxes of sightings, rows of `tables.tracklets`."""
    boxes = [(row.id, *box[:6]) for row in rows for box in row.boxes]
    table = np.array(boxes, np.float64).reshape(-1, 7)
    return TrackTable(
        table[:, 1].astype(np.int64),
        table[:, 0].astype(np.int64),
        table[:, 2:6].astype(np.float32),
        table[:, 6].astype(np.float32),
    )


def seen_live(store: Store, num_before: int) -> Live:
    """Sightings and alarms of the first live segments."""
    segments, seen, alerts = live_segments(store, num_before), tables.tracklets, tables.alerts
    of_camera = {row.id: camera for camera, row in segments.items()}
    with store.begin() as connection:
        rows = connection.execute(sa.select(seen).where(seen.c.segment_id.in_(of_camera))).all()
        told = connection.execute(sa.select(alerts.c.watch_id, alerts.c.tracklet_id)).all()
    camera_of = {row.id: row.camera_id for row in rows}
    tracks = {}
    for camera in segments:
        tracks[camera] = tracks_of([row for row in rows if row.camera_id == camera])
    alarms: dict[int, list[tuple[str, int]]] = {}
    for row in told:
        if row.tracklet_id in camera_of:
            alarms.setdefault(row.watch_id, []).append((camera_of[row.tracklet_id], row.tracklet_id))
    seconds = [(row.end - row.start).total_seconds() for row in segments.values()]
    return Live(tracks, alarms, float(np.mean(seconds)), [row.damage for row in segments.values() if row.damage])


def on_people(demo: Demo, tracks: Mapping[str, TrackTable], frames: int = 0) -> float:
    """Share of the live boxes that are on a person, some frames later."""
    hits = []
    for camera, table in tracks.items():
        truth = demo.truth[camera]
        for frame in np.unique(table.frames):
            people = truth.boxes_xyxy[truth.frames == frame + frames]
            ious = pairwise_iou(table.boxes_xyxy[table.frames == frame], people)
            hits += (ious.max(axis=1, initial=0) >= SAME_PERSON_IOU).tolist()
    return float(np.mean(hits))


def next_visit(demo: Demo, problem: Problem, settings: EvaluationSettings) -> Visit:
    """The first after that of the photos; where none comes, the first of all, for the recordings are played again."""
    visits = visits_of(problem.identity, demo.truth, demo.timelines, settings.visit_gap_s, settings.visit_min_s)
    visits.sort(key=lambda visit: demo.timelines[visit.camera].of(visit.first_frame))
    of_photos = next(number for number, visit in enumerate(visits) if is_query_visit(visit, problem))
    return (visits * 2)[of_photos + 1]


def is_told(demo: Demo, problem: Problem, alarms: list[tuple[str, int]], live: Live, visit: Visit) -> bool:
    """Whether an alarm is of a sighting that shows the person in this visit."""
    table = live.tracks[visit.camera]
    right = right_tracklets(problem.identity, demo.truth[visit.camera], table, SAME_PERSON_IOU)
    return any(
        camera == visit.camera
        and sighting in right
        and ((visit.first_frame <= (own := table.frames[table.tracks == sighting])) & (own <= visit.last_frame)).any()
        for camera, sighting in alarms
    )


@pytest.mark.parametrize("judged", [False, True], ids=["nobody judges", "an operator judges"])
def test_people_are_told_at_their_next_walk_by_and_alarms_are_as_many_as_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: bool
) -> None:
    require_server()
    demo = finished_demo()
    monkeypatch.chdir(demo.project)
    settings = EvaluationSettings.from_params("evaluation", ())
    folder = store_of(demo, tmp_path)
    with open_store(folder) as store, serving(demo.project, tmp_path, folder) as (address, token):
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            watched = [watch(demo, client, problem) for problem in demo.problems]
            operator = Operator(demo, store, client, watched)
            with store.begin() as connection:
                before = connection.execute(sa.select(sa.func.max(tables.segments.c.id))).scalar_one()

            def are_over() -> bool:
                if judged:
                    operator.judge()
                return len(live_segments(store, before)) == len(demo.truth)

            with streams(demo, folder, tmp_path) as log:
                wait_until(are_over, 400, log.read_text)
        waiting = sa.select(sa.func.count()).select_from(tables.new_sightings)

        def is_looked_at() -> bool:
            with store.begin() as connection:
                return not connection.execute(waiting).scalar_one()

        wait_until(is_looked_at, 60, log.read_text)
        live = seen_live(store, before)
    right_of = {
        each.id: {
            (camera, sighting)
            for camera, table in live.tracks.items()
            for sighting in right_tracklets(each.problem.identity, demo.truth[camera], table, SAME_PERSON_IOU)
        }
        for each in watched
    }
    visits = {each.id: next_visit(demo, each.problem, settings) for each in watched}
    told = {}
    for each in watched:
        alarms = live.alarms.get(each.id, [])
        told[each.id] = is_told(demo, each.problem, alarms, live, visits[each.id])
        right = sum(alarm in right_of[each.id] for alarm in alarms)
        print(
            f"{each.problem.id}: {len(alarms)} alarms, {len(alarms) * DAY_S / live.seconds:.0f} a day of "
            f"{each.stated:.0f} stated; {right} of the person, next walk-by told: {told[each.id]}"
        )
    others = sum(
        is_told(demo, other.problem, live.alarms.get(each.id, []), live, visits[other.id])
        for each, other in zip(watched, watched[1:] + watched[:1], strict=True)
    )
    print(
        f"told {sum(told.values())} of {len(told)}; boxes on people {on_people(demo, live.tracks):.2f}; {live.damage}"
    )
    assert on_people(demo, live.tracks) > on_people(demo, live.tracks, frames=5), "frames are those of the recordings"
    assert sum(told.values()) >= LEAST_TOLD
    assert others <= len(watched) - LEAST_TOLD, "the comparison notices alarms of other people"
    total = sum(map(len, live.alarms.values())) * DAY_S / live.seconds
    stated = sum(each.stated for each in watched)
    print(f"{total:.0f} alarms a day, {stated:.0f} stated")
    assert judged or total <= stated, "matches that come later make more sightings probable than was stated"

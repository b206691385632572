"""DVC stage `track`: a district's videos, problems and engines -> sightings in the store, tracklets and answers.

tracks/<district>/<camera>.txt     tracklets as MOTChallenge text; ids are unique over all cameras
tracks/<district>/crops/<id>.jpg   best crop of each tracklet
tracks/<district>/identities.csv   tracklet, person: the person of each tracklet, over all cameras
tracks/<district>/answers.json     each problem's ranked tracklets and route
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from districts.box_files import track_table, write_tracks
from districts.layout import District, Problem, filmed_cameras, read_district, read_problems
from domain.answers import Answer, Answers, RankedTracklet, RouteStop, write_answers, write_people
from domain.atomic import atomic_folder
from domain.attribute_query import GroupQuery
from domain.cameras import Camera, Sighting
from domain.errors import InputError
from domain.files import sha256_of
from domain.images import read_image, write_image
from domain.match_calibration import read_calibration
from domain.model_card import version_of_deployment
from domain.paths import DATA, ENGINES, STORE, TRACKS, TRANSITS, configured_district
from domain.registered import origins_of
from domain.settings import name_in, read_params
from domain.tracklets import Tracklet, renumber
from serving.database import deployments, rollout
from serving.database.commands import run_command
from serving.database.holds import require_no_hold
from serving.database.segments import ProcessedVideo
from serving.database.store import open_store
from serving.ingestion.following import CameraVideo, FollowedVideo, StageClock, TrackingSettings, follow
from serving.matching.description import LabelQuestion, read_description
from serving.matching.identities import IdentitySettings, identify
from serving.matching.match_curve import MatchCurve
from serving.matching.route import RouteSettings, likeliest_route
from serving.matching.transits import Transits
from serving.perception.perception import Perception, open_engines
from serving.search.person_selection import crop_of, select_person
from serving.search.search import Searcher, SearchSettings
from serving.video.files import VideoReader

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] = ()) -> None:
    """Track people in all cameras, fill the store, answer the problems, write the folder.

    Raises:
        InputError: if the district's data or a video is missing or invalid, or its sightings are under legal hold.
        ArtifactError: if an engine is missing; the message names the stage to rerun.
    """
    settings = TrackingSettings.from_params("tracking", argv)
    search = SearchSettings.from_params("serving.search", argv)
    route = RouteSettings.from_params("serving.route", argv)
    identities = IdentitySettings.from_params("identities", argv)
    params = read_params(argv)
    name = configured_district(argv)
    folder, exported = DATA.of(name), ENGINES.of(name)
    district, problems = read_district(folder), read_problems(folder)
    reid = exported / f"reid-{name_in(params, 'reid', 'backbone')}"
    engines = open_engines(
        exported / settings.detector, reid, exported / settings.attributes, settings.perception.without_plan
    )
    version, transits = engines.reid.card.version, Transits.read(TRANSITS.of(name), route)
    deployed = version_of_deployment((each.card for each in engines if each is not None), transits.version)
    perception = Perception(*engines, settings.perception)
    with open_store(STORE) as store, store.begin() as connection:
        require_no_hold(connection, district.name)  # checked before hours of video are processed
        deployments.record(connection, deployed, origins_of(each.card for each in engines if each is not None))
    followed = follow_cameras(district, folder, perception, settings)
    tracklets = renumber(one.tracklets for one in followed.values())
    with open_store(STORE) as store, atomic_folder(TRACKS.of(name)) as tracks:
        with store.begin() as connection:
            others = rollout.other_models(connection, district.name, version)
        store.replace_sightings(
            district.name,
            district.cameras,
            version,
            tracklets,
            time_zone=district.time_zone,
            deployment_version=deployed,
            attributes_version=perception.attributes_version,
            videos={
                camera.id: _processed_video(_video_of(camera, folder), followed[camera.id])
                for camera in filmed_cameras(folder, district)
            },
        )
        if others:
            _log.warning(
                "the new sightings of %s have embeddings by %s alone, those that they replace had some by %s, too; run "
                "serving.reembed in a deployment of that model before searches compare with it",
                district.name,
                version,
                " and ".join(others),
            )
        curve = MatchCurve.of_calibration(
            read_calibration(reid), perception.match_distance, search.probability_softness
        )
        searcher = Searcher(store, curve, search, version, transits)
        write_tracklets(tracks, district, tracklets, {camera: one.pixel_scale for camera, one in followed.items()})
        people = identify(tracklets, district.cameras, curve, identities, transits, district.name, search.time_trust)
        write_people(tracks, people)
        answers = Answers(
            deployment_version=deployed,
            frame_times_s={
                camera: tuple(round(time_s, 4) for time_s in one.times_s) for camera, one in followed.items()
            },
            problems=tuple(
                answer(problem, folder, perception, searcher, transits, route, tracklets)
                for problem in tqdm(problems, unit="problem", desc="search", disable=None)
            ),
        )
        write_answers(tracks, answers)


def follow_cameras(
    district: District, folder: Path, perception: Perception, settings: TrackingSettings
) -> dict[str, FollowedVideo]:
    """Track people in the video of each camera that has one, in the district's order; logs damage.

    Raises:
        InputError: if no camera has a video, or one that has a video has no start time.
    """
    videos = [_video_of(camera, folder) for camera in filmed_cameras(folder, district)]
    if not videos:
        raise InputError(f"{folder / 'videos'} must hold the video of a camera, <camera>.mp4, got none")
    clock = StageClock()
    num_frames = 0
    for video in videos:
        with VideoReader(video.file, limits=settings.video, whole=False) as reader:
            num_frames += reader.declared_frames
    with tqdm(total=num_frames or None, unit="frame", desc=f"track {len(videos)} cameras", disable=None) as progress:
        followed = follow(videos, perception, settings, on_frames=progress.update, clock=clock)
    for video, one in zip(videos, followed, strict=True):
        if one.damage:
            _log.warning("%s", one.damage)
        if one.geometry:
            _log.warning("%s: frames are %s", video.file, one.geometry)
    spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in clock.seconds.items())
    print(f"tracklets: {sum(len(one.tracklets) for one in followed)}; seconds: {spent}")
    return {video.camera_id: one for video, one in zip(videos, followed, strict=True)}


def write_tracklets(
    tracks: Path, district: District, tracklets: Sequence[Tracklet], pixel_scales: Mapping[str, tuple[float, float]]
) -> None:
    """Write <camera>.txt for each camera, even without tracklets, and crops/<id>.jpg into `tracks`.

    The boxes are in stored pixels of the upright frame, as those of the ground truth: `pixel_scales` has how many
    pixels each of them became, across and down, by camera.
    """
    for camera in district.cameras:
        scale = np.array(pixel_scales.get(camera.id, (1.0, 1.0)) * 2, np.float32)
        of_camera = [tracklet for tracklet in tracklets if tracklet.camera_id == camera.id]
        table = track_table(replace(tracklet, boxes_xyxy=tracklet.boxes_xyxy / scale) for tracklet in of_camera)
        write_tracks(tracks / f"{camera.id}.txt", table)
    for tracklet in tracklets:
        write_image(tracks / _crop_of(tracklet), tracklet.crops[0])


def answer(
    problem: Problem,
    folder: Path,
    perception: Perception,
    searcher: Searcher,
    transits: Transits,
    route: RouteSettings,
    tracklets: Sequence[Tracklet],
) -> Answer:
    """All tracklets, ranked by the probability that they show the person of `problem`, and the person's route.

    The person in each photo is detected as the service does it.
    """
    photos = [read_image(folder / "videos" / crop) for crop in problem.crops]
    crops = [crop_of(photo, select_person(perception, photo)) for photo in photos]
    description = described(problem, perception)
    sightings = searcher.search(perception.embed(crops), description, top_k=max(1, len(tracklets)))
    by_id = {tracklet.id: tracklet for tracklet in tracklets}
    return Answer(
        id=problem.id,
        ranked=tuple(_ranked(sighting, by_id) for sighting in sightings),
        route=tuple(
            RouteStop(tracklet=stop.tracklet_id, camera=stop.camera_id, time=by_id[stop.tracklet_id].first_seen)
            for stop in likeliest_route(sightings, route, transits)
        ),
    )


def described(problem: Problem, perception: Perception) -> dict[str, GroupQuery]:
    """The description of the person in `problem`, without groups that the attribute engine lacks."""
    schema = perception.attribute_schema
    if schema is None:
        return {}
    known = {
        group: LabelQuestion.model_validate(label)
        for group, label in problem.attributes.items()
        if group in schema.group_names
    }
    return read_description(known, schema)


def _ranked(sighting: Sighting, by_id: Mapping[int, Tracklet]) -> RankedTracklet:
    tracklet = by_id[sighting.tracklet_id]
    return RankedTracklet(
        tracklet=tracklet.id,
        camera=tracklet.camera_id,
        distance=round(sighting.distance, 6),
        probability=round(sighting.match_probability, 6),
        first_seen=tracklet.first_seen,
        last_seen=tracklet.last_seen,
        first_frame=tracklet.first_frame,
        last_frame=tracklet.last_frame,
        crop=str(_crop_of(tracklet)),
        attributes={
            group: {label: round(probability, 4) for label, probability in labels.items()}
            for group, labels in tracklet.attributes.items()
        },
    )


def _crop_of(tracklet: Tracklet) -> Path:
    return Path("crops") / f"{tracklet.id}.jpg"


def _video_of(camera: Camera, folder: Path) -> CameraVideo:
    if camera.start is None:
        raise InputError(f"{folder / 'district.yaml'} must say when the video of camera {camera.id} starts (start:)")
    return CameraVideo(camera.id, folder / "videos" / f"{camera.id}.mp4", camera.start)


def _processed_video(video: CameraVideo, followed: FollowedVideo) -> ProcessedVideo:
    try:
        checksum = sha256_of(video.file)
    except OSError as error:
        raise InputError(f"{video.file} must stay readable: {error.strerror}") from error
    return ProcessedVideo(
        source=str(video.file.resolve()),
        checksum=checksum,
        start=video.start,
        end=video.start + timedelta(seconds=followed.end_s),
        frames=followed.num_frames,
        damage=followed.damage,
        looks=followed.looks,
        left_out=followed.left_out,
    )


if __name__ == "__main__":
    run_command(main)

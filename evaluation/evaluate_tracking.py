"""DVC stage `evaluate_tracking`: tracks and the videos' ground truth -> metrics, plots of tracking."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from districts.box_files import TrackTable, read_tracks
from districts.layout import District, Problem, annotated_cameras, read_district, read_problems
from domain.answers import Answer, Answers, read_answers, read_people
from domain.atomic import atomic_folder
from domain.errors import ArtifactError, InputError
from domain.model_card import read_card
from domain.paths import DATA, ENGINES, PLOTS, TRACKS, configured_district
from domain.settings import name_in, read_params
from domain.stage import run_stage
from evaluation.details import write_curve, write_details
from evaluation.experiments.results import keep_results
from evaluation.intervals.bootstrap import Resampled, Sample, resample
from evaluation.intervals.of_tracking import camera_sample, problem_sample
from evaluation.multi_camera.identities import score_people
from evaluation.multi_camera.routes import RouteScores, score_route
from evaluation.multi_camera.timelines import Timeline
from evaluation.multi_camera.visits import (
    MAX_RANK,
    ProblemScores,
    Visit,
    covers,
    is_query_visit,
    right_tracklets,
    score_problem,
    visits_of,
)
from evaluation.past import digest_of, keep_run, merged, with_points
from evaluation.reliability import Reliability, score_reliability
from evaluation.reporting.crop_figures import RankedCrop, RankedRow, plot_ranked_crops
from evaluation.reporting.figures import plot_reliability, plot_route
from evaluation.settings import EvaluationSettings
from evaluation.thresholds import answers_above
from evaluation.tracking import TrackingCounts, combine, count_tracking

_RELIABILITY_BINS = 10
_SHOWN = 5  # ranked tracklets of a problem in the table, as in the study's Table 6


@dataclass(frozen=True)
class _Solved:
    """A problem, its answer and the scores of the answer."""

    problem: Problem
    answer: Answer
    visits: list[Visit]  # in order of time
    begins: Mapping[Visit, datetime]  # start of each
    right: set[int]  # tracklets that show the person
    scores: ProblemScores
    route: RouteScores


def main(argv: Sequence[str] = ()) -> None:
    """Score tracklets within cameras and people over all cameras, the study's problems, and the routes."""
    settings = EvaluationSettings.from_params("evaluation", argv)
    name = configured_district(argv)
    folder, tracks = DATA.of(name), TRACKS.of(name)
    district, problems, answers = read_district(folder), read_problems(folder), read_answers(tracks)
    cameras = [camera.id for camera in annotated_cameras(folder, district)]
    if not cameras:
        raise InputError(f"{folder / 'videos'} must hold the ground truth of a video, <camera>.txt, got none")
    truth = {camera: read_tracks(folder / "videos" / f"{camera}.txt") for camera in cameras}
    result = {camera: read_result(tracks / f"{camera}.txt") for camera in cameras}
    solved = solve(district, problems, judged(answers, cameras), truth, result, settings)
    repeats = settings.bootstrap_repeats
    counts = {camera: count_tracking(truth[camera], result[camera], settings.iou_threshold) for camera in truth}
    resampled = [resample(camera_sample(list(counts.values())), repeats)]
    metrics = {
        **tracking_metrics(counts, result, resampled[0]),
        **people_metrics(truth, result, read_people(tracks), settings.iou_threshold),
    }
    details: dict[str, Any] = {"cameras": camera_details(counts, district)}
    with atomic_folder(PLOTS.of(name) / "tracking") as plots:
        if solved:
            resampled.append(resample(sample_of_problems(solved), repeats))
            hits = match_probabilities(solved)
            reliability = score_reliability(*hits, _RELIABILITY_BINS)
            metrics |= problem_metrics(solved, len(problems), resampled[1])
            metrics |= {"match_probability": summary_of(reliability)}
            details |= {"problems": {each.problem.id: metrics_of_problem(each) for each in solved}}
            details |= {"ranked_attributes": ranked_attributes(solved), "thresholds": answers_above(*hits)}
            draw(district, folder, tracks, solved, plots)
            plot_reliability(reliability, plots / "reliability.png")
            columns = {"predicted": reliability.probabilities, "right": reliability.right, "hits": reliability.counts}
            write_curve(columns, plots / "reliability.csv")
        card = read_card(ENGINES.of(name) / f"reid-{name_in(read_params(argv), 'reid', 'backbone')}")
        over_cameras = {key: value for key, value in metrics.items() if key.startswith("global_")}
        kept = with_points(merged(resampled), over_cameras)
        test = digest_of_truth(truth, problems)
        details["run"] = keep_run(name, "tracking", card, test, kept, answers.deployment_version)
        write_details(details, plots)
    keep_results(name, "tracking", card, metrics, answers.deployment_version)


def digest_of_truth(truth: Mapping[str, TrackTable], problems: Sequence[Problem]) -> str:
    """Equal for equal ground truth and problems."""
    tables = [column for table in truth.values() for column in (table.frames, table.tracks, table.boxes_xyxy)]
    return digest_of([*truth, *(problem.model_dump_json() for problem in problems)], *tables)


def judged(answers: Answers, cameras: Collection[str]) -> Answers:
    """`answers` without tracklets of other cameras: without ground truth, nobody knows who they are."""
    problems = tuple(
        answer.model_copy(
            update={
                "ranked": tuple(one for one in answer.ranked if one.camera in cameras),
                "route": tuple(stop for stop in answer.route if stop.camera in cameras),
            }
        )
        for answer in answers.problems
    )
    return answers.model_copy(update={"problems": problems})


def summary_of(reliability: Reliability) -> dict[str, float]:
    """The reliability of match probabilities in numbers."""
    return {
        "brier": reliability.brier,
        "calibration_error": reliability.calibration_error,
        "num_hits": int(reliability.counts.sum()),
        "share_right": float(reliability.right @ reliability.counts / reliability.counts.sum()),
    }


def read_result(file: Path) -> TrackTable:
    """Tracklets of one camera; `ArtifactError` if the file is missing."""
    if not file.is_file():
        raise ArtifactError(f"{file} must hold the tracklets of a camera of the district; rerun track")
    return read_tracks(file)


def solve(
    district: District,
    problems: Sequence[Problem],
    answers: Answers,
    truth: Mapping[str, TrackTable],
    result: Mapping[str, TrackTable],
    settings: EvaluationSettings,
) -> list[_Solved]:
    """Scores of each problem whose person has a visit besides the query visit; the others have no score.

    Raises:
        ArtifactError: if a problem has no answer, a camera has no times of frames, or a stop is not ranked.
        InputError: if a camera with a visit has no start time.
    """
    by_id = {answer.id: answer for answer in answers.problems}
    missing = [problem.id for problem in problems if problem.id not in by_id]
    missing += [camera for camera in truth if camera not in answers.frame_times_s]
    if missing:
        raise ArtifactError(f"answers.json of track must have every problem and camera, lacks {missing}; rerun track")
    timelines = {camera: Timeline(times_s) for camera, times_s in answers.frame_times_s.items()}
    solved = []
    for problem in problems:
        visits = visits_of(problem.identity, truth, timelines, settings.visit_gap_s, settings.visit_min_s)
        begins = {visit: beginning(visit, district, timelines) for visit in visits}
        visits.sort(key=begins.__getitem__)
        if all(is_query_visit(visit, problem) for visit in visits):
            continue
        right: set[int] = set()
        for camera in truth:
            right |= right_tracklets(problem.identity, truth[camera], result[camera], settings.iou_threshold)
        answer = by_id[problem.id]
        scores = score_problem(problem, answer, visits, right, timelines, settings.visit_window_s)
        route = score_route(problem, answer, visits, right, truth, result, settings.iou_threshold)
        solved.append(_Solved(problem, answer, visits, begins, right, scores, route))
    return solved


def tracking_metrics(
    counts: Mapping[str, TrackingCounts], result: Mapping[str, TrackTable], resampled: Resampled
) -> dict[str, Any]:
    """IDF1, MOTA and HOTA over all cameras, with intervals if there are enough of them."""
    return {
        **resampled.flat(),
        "num_cameras": len(counts),
        "num_switches": combine(list(counts.values())).num_switches,
        "num_tracklets": sum(len(np.unique(table.tracks)) for table in result.values()),
    }


def camera_details(counts: Mapping[str, TrackingCounts], district: District) -> dict[str, dict[str, Any]]:
    """IDF1, MOTA and HOTA of each camera with people, and the time of day at which its video starts."""
    starts = {camera.id: camera.start for camera in district.cameras}
    details = {}
    for camera, each in counts.items():
        if each.num_true:
            scores, start = combine([each]), starts[camera]
            details[camera] = {
                "start": f"{start:%H:%M}" if start else None,
                "num_boxes": each.num_true,
                "idf1": scores.idf1,
                "mota": scores.mota,
                "hota": scores.hota,
            }
    return details


def people_metrics(
    truth: Mapping[str, TrackTable], result: Mapping[str, TrackTable], people: Mapping[int, int], iou_threshold: float
) -> dict[str, Any]:
    """IDF1, MOTA and HOTA of all cameras as one video: `global_…` with joined tracklets, `alone_…` without joining.

    Raises:
        ArtifactError: if a tracklet has no person, or a person has two boxes in a frame.
    """
    tracklets = np.unique(np.concatenate([table.tracks for table in result.values()])).tolist()
    walkers = np.unique(np.concatenate([table.tracks[table.is_counted] for table in truth.values()]))
    num_joined = len({people.get(tracklet) for tracklet in tracklets})
    metrics: dict[str, Any] = {"num_people": len(walkers), "global_num_people": num_joined}
    for name, person_of in (("global", people), ("alone", {tracklet: tracklet for tracklet in tracklets})):
        scores = score_people(truth, result, person_of, iou_threshold)
        metrics |= {
            f"{name}_idf1": scores.idf1,
            f"{name}_mota": scores.mota,
            f"{name}_hota": scores.hota,
            f"{name}_deta": scores.detection_accuracy,
            f"{name}_assa": scores.association_accuracy,
            f"{name}_num_switches": scores.num_switches,
        }
    return metrics


def sample_of_problems(solved: Sequence[_Solved]) -> Sample:
    """The problems as units. Scores are means over them, but HOTA and IDF1 count the boxes of all of them together."""
    problems = [metrics_of_problem(each) for each in solved]
    names = (
        *(f"rank{k}" for k in range(1, MAX_RANK + 1)),
        *("false_before_right", "route_precision", "route_recall", "route_order"),
    )
    values = {name: [each[name] for each in problems] for name in names}
    return problem_sample(values, [each.route.counts for each in solved])


def problem_metrics(solved: Sequence[_Solved], num_problems: int, resampled: Resampled) -> dict[str, Any]:
    """Rank-1 … Rank-5, false candidates and route scores, over all problems."""
    return {
        "route_order": None,  # without two cameras in any route there is none
        **resampled.flat(),
        "num_problems": len(solved),
        "num_problems_unscored": num_problems - len(solved),
    }


def metrics_of_problem(solved: _Solved) -> dict[str, Any]:
    """The metrics of one problem, with the keys of all."""
    over_cameras = combine([solved.route.counts])
    return {
        "appearances": solved.scores.num_visits,
        **{f"rank{k}": float(value) for k, value in enumerate(solved.scores.ranks, start=1)},
        "false_before_right": solved.scores.num_false_before_right,
        "route_precision": solved.route.precision,
        "route_recall": solved.route.recall,
        "route_order": solved.route.order_agreement,
        "route_idf1": over_cameras.idf1,
        "route_hota": over_cameras.hota,
    }


def ranked_attributes(solved: Sequence[_Solved]) -> dict[str, Any]:
    """The study's Table 6 for the first problem: probabilities of the queried labels in the first five tracklets."""
    first = solved[0]
    queried = {group: label for group, label in first.problem.attributes.items() if _is_predicted(group, first.answer)}
    return {
        "problem": first.problem.id,
        "attributes": queried,
        "ranked": [
            {
                "tracklet": one.tracklet,
                "camera": one.camera,
                "right": one.tracklet in first.right,
                "probabilities": {group: one.attributes[group].get(label) for group, label in queried.items()},
            }
            for one in first.answer.ranked[:_SHOWN]
        ],
    }


def match_probabilities(
    solved: Sequence[_Solved],
) -> tuple[Float[np.ndarray, " hit"], Bool[np.ndarray, " hit"]]:
    """Match probabilities of all problems' hits, without correct ones in the query visit; whether each is correct."""
    probabilities, is_right = [], []
    for each in solved:
        query_visits = [visit for visit in each.visits if is_query_visit(visit, each.problem)]
        for ranked in each.answer.ranked:
            if not (ranked.tracklet in each.right and any(covers(ranked, visit) for visit in query_visits)):
                probabilities.append(ranked.probability)
                is_right.append(ranked.tracklet in each.right)
    return np.array(probabilities, np.float64), np.array(is_right, bool)


def draw(district: District, folder: Path, tracks: Path, solved: Sequence[_Solved], plots: Path) -> None:
    """Plot the ranked tracklets of all problems, and each problem's route on the street plan."""
    rows = [
        RankedRow(
            folder / "videos" / each.problem.crops[0],
            tuple(
                RankedCrop(tracks / one.crop, one.tracklet in each.right, f"{one.camera} {one.probability:.2f}")
                for one in each.answer.ranked[: 2 * _SHOWN]
            ),
            each.problem.id,
        )
        for each in solved
    ]
    plot_ranked_crops(rows, plots / "ranked_problems.jpg")
    for each in solved:
        stops = [
            (stop.camera, f"{stop.time:%H:%M:%S}", stop.tracklet in each.right)
            for stop in sorted(each.answer.route, key=lambda stop: stop.time)
        ]
        visits = timed_visits(each)
        title = f"Problem {each.problem.id}: predicted route and true visits"
        plot_route(district.cameras, stops, visits, title, plots / f"route_{each.problem.id}.png")


def timed_visits(solved: _Solved) -> list[tuple[str, str]]:
    """Camera and time of day of each visit, in order of time; the query visit is marked."""
    timed = []
    for visit in solved.visits:
        mark = " (query)" if is_query_visit(visit, solved.problem) else ""
        timed.append((visit.camera, f"{solved.begins[visit]:%H:%M:%S}{mark}"))
    return timed


def beginning(visit: Visit, district: District, timelines: Mapping[str, Timeline]) -> datetime:
    """Start time of a visit; `InputError` if the district lacks the start time of the camera's video."""
    camera = next(camera for camera in district.cameras if camera.id == visit.camera)
    if camera.start is None:
        raise InputError(f"district.yaml must have the start time of the video of camera {camera.id} (start:)")
    return camera.start + timedelta(seconds=timelines[visit.camera].of(visit.first_frame))


def _is_predicted(group: str, answer: Answer) -> bool:
    return all(group in one.attributes for one in answer.ranked[:_SHOWN])


if __name__ == "__main__":
    run_stage(main)

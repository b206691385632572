"""Sections of the report: each table of the field study with our figures beside it, and those of earlier runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation.reporting import field_study, rows
from evaluation.reporting.comparisons import Comparison, change_text, figure_of
from evaluation.reporting.detail_tables import (
    answers_table,
    confusion_tables,
    distance_table,
    earlier_runs_tables,
    score_table,
    slice_tables,
)
from evaluation.reporting.engine_facts import engines_section
from evaluation.reporting.parts import Evaluated, Metrics, Picture, Section, Table, pictures
from evaluation.reporting.rows import NOTHING, Row, percent

_REID = "reid-"  # begins the names of the metrics of re-ID
_ROUTE_PICTURES = 3


def sections(evaluated: Mapping[str, Evaluated], parities: Mapping[str, Mapping[str, Any]]) -> Sequence[Section]:
    """The whole report.

    Args:
        evaluated: what each evaluation stage left, by the name of its metrics.
        parities: see `read_parities`.
    """
    columns = ("", "study", "last run", "best run", "this run", "change from the last")
    overview = Section("At a glance", "", True, _GLANCE, (Table(columns, glance_with_runs(evaluated)),))
    reid = _by_backbone(evaluated)
    return (
        overview,
        detection_section(evaluated.get("detector")),
        attribute_section(evaluated.get("attributes")),
        reid_section(reid),
        ranked_attributes_section(evaluated.get("tracking")),
        tracking_section(evaluated.get("tracking")),
        speed_section({backbone: each.metrics for backbone, each in reid.items()}),
        engines_section(parities),
    )


_GLANCE = (
    "Last and best run are earlier evaluations on this district: the one before, and of those on the same test data "
    "the one with the highest figure. Changes are paired; * marks one whose interval holds no 0."
)
_NO_PROBLEMS = (
    "The district has no problems that could be scored (videos/problems.yaml), so search and routes are not measured."
)


@dataclass(frozen=True)
class _Main:
    """A main figure of the report."""

    title: str
    model: str
    key: str  # in the metrics; nested with /
    study: float | None = None

    def of(self, metrics: Mapping[str, Metrics], write: Callable[[Row, Metrics], str]) -> str:
        """The figure as text; a dash if its model was not evaluated."""
        *outer, key = self.key.split("/")
        values = metrics.get(self.model, {})
        share = values.get("share_of_epochs", 1)
        for part in outer:
            values = values.get(part, {})
        return _with_share(write(Row(key, ""), values), share)


def main_figures(metrics: Mapping[str, Metrics]) -> list[_Main]:
    """The main figures of the evaluated models; those of detection, attributes and tracking in any case."""
    figures = [
        _Main("detection AP50", "detector", "ap50", field_study.DETECTION_ACCURACY),
        _Main("attributes, instance F1", "attributes", "instance_f1", field_study.ATTRIBUTES["instance_f1"]),
    ]
    for model in sorted(name for name in metrics if name.startswith(_REID)):
        backbone = model.removeprefix(_REID)
        for variant in _variants(metrics[model]):
            study = field_study.REID.get((backbone, variant), {}).get("map")
            figures.append(_Main(f"re-ID mAP, {_title(backbone, variant)}", model, f"{variant}/map", study))
    figures.append(_Main("tracking Rank-1", "tracking", "rank1", field_study.TRACKING["rank1"]))
    for name in ("IDF1", "HOTA"):
        for place, prefix in (("within cameras", ""), ("global ids", "global_"), ("routes over cameras", "route_")):
            figures.append(_Main(f"tracking {name}, {place}", "tracking", f"{prefix}{name.lower()}"))
    return figures


def glance(metrics: Mapping[str, Metrics]) -> list[tuple[str, str, str]]:
    """Name, the study's figure and ours of the main metrics, for the terminal."""

    def plain(row: Row, values: Metrics) -> str:
        return row.write(values.get(row.key))

    return [(each.title, percent(each.study), each.of(metrics, plain)) for each in main_figures(metrics)]


def glance_with_runs(evaluated: Mapping[str, Evaluated]) -> list[tuple[str, ...]]:
    """The main metrics: the study's, those of earlier runs, ours with intervals, and the change."""
    metrics = {name: each.metrics for name, each in evaluated.items()}
    rows_ = []
    for each in main_figures(metrics):
        runs = evaluated[each.model].comparison if each.model in evaluated else Comparison()
        earlier = (figure_of(run, each.key, percent) for run in (runs.last, runs.best))
        change = change_text(runs, runs.last, each.key, percent)
        rows_.append((each.title, percent(each.study), *earlier, each.of(metrics, Row.of), change))
    return rows_


def detection_section(evaluated: Evaluated | None) -> Section:
    """Detection accuracy."""
    title, stage = "Detection", "evaluate_detector"
    if evaluated is None:
        return Section(title, stage, is_run=False)
    metrics, details = evaluated.metrics, evaluated.details
    table = [
        ("detection accuracy", f"{100 * field_study.DETECTION_ACCURACY:.2f}", NOTHING),
        *((row.title, NOTHING, row.of(metrics)) for row in rows.DETECTION),
    ]
    text = (
        f"{metrics['num_people']} people in {metrics['num_images']} test frames. The study does not define its "
        "accuracy; AP50 is the closest measure. Precision, recall and F1 are at the score threshold of the deployed "
        "detector."
    )
    tables = (
        Table(("", "study", "this run"), table),
        *earlier_runs_tables(evaluated.comparison, rows.DETECTION),
        *score_table(details),
        *slice_tables(details, rows.DETECTION_SLICED),
    )
    return Section(title, stage, True, text, tables, pictures(evaluated.plots, rows.DETECTION_PLOTS))


def attribute_section(evaluated: Evaluated | None) -> Section:
    """The study's Tables 3 and 4, and each group and label."""
    title, stage = "Attributes (the study's Tables 3 and 4)", "evaluate_attributes"
    if evaluated is None:
        return Section(title, stage, is_run=False)
    metrics, details = evaluated.metrics, evaluated.details
    sources = (field_study.ATTRIBUTES, metrics.get("no_colour", {}), metrics, metrics["constant"])
    table = [(row.title, *(row.of(source) for source in sources)) for row in rows.ATTRIBUTES]
    groups = [
        (name, *(row.of(scores) for row in rows.ATTRIBUTE_GROUP)) for name, scores in details.get("groups", {}).items()
    ]
    text = (
        f"{metrics['num_images']} test crops; a crop counts only in the groups whose label is known. The study's 28 "
        "labels exclude colours, height and the scene. The constant model answers each group's most frequent label in "
        "training."
    )
    answers = (
        "What a least probability of the answers would give:",
        "None is in use: the most probable label of each group is the answer. Below one, nothing would be said.",
        "answers",
        "of them correct",
    )
    tables = (
        Table(("", "study, 28 labels", "this run, the same 28", "this run, all groups", "constant model"), table),
        *earlier_runs_tables(evaluated.comparison, rows.ATTRIBUTES[:-1]),
        Table(("group", *(row.title for row in rows.ATTRIBUTE_GROUP)), groups, "Each group:"),
        *confusion_tables(details),
        *answers_table(details, *answers),
        *slice_tables(details, rows.ATTRIBUTES_SLICED),
    )
    return Section(title, stage, True, text, tables, pictures(evaluated.plots, rows.ATTRIBUTE_PLOTS))


def reid_section(evaluated: Mapping[str, Evaluated]) -> Section:
    """The study's Table 5; `evaluated` by backbone."""
    title, stage = "Re-identification (the study's Table 5)", "evaluate_reid"
    if not evaluated:
        return Section(title, stage, is_run=False)
    metrics = {backbone: each.metrics for backbone, each in evaluated.items()}
    ours = {_title(backbone, name): (backbone, name) for backbone in metrics for name in _variants(metrics[backbone])}
    columns = (
        "",
        *(f"study: {_title(*name)}" for name in field_study.REID),
        *(f"this run: {name}" for name in ours),
    )
    table = [
        (
            row.title,
            *(row.of(values) for values in field_study.REID.values()),
            *(
                _with_share(row.of(metrics[key][name]), metrics[key].get("share_of_epochs", 1))
                for key, name in ours.values()
            ),
        )
        for row in rows.REID
    ]
    first = next(iter(metrics.values()))
    text = (
        f"Query {first['num_query']:,}, gallery {first['num_gallery']:,} (study: 3,441 and 16,441), Market-1501 "
        "protocol. The rows on false alarms are for open-set search, in which the person may be absent: the share of "
        "people ranked first and accepted, at the distance threshold where 1 % or 10 % of the searches for an absent "
        f"person return another person. {_times(first['time'])} {_comparison(evaluated)}"
    )
    tables, shown = [Table(columns, table)], []
    for backbone, each in evaluated.items():
        name = _name(backbone)
        added = (*earlier_runs_tables(each.comparison, rows.REID_RUNS), *slice_tables(each.details, rows.REID_SLICED))
        tables += [replace(one, title=f"{name}, {one.title[0].lower()}{one.title[1:]}") for one in added]
        tables += distance_table(each.details, name)
        shown += [Picture(one.file, f"{name}: {one.caption}") for one in pictures(each.plots, rows.REID_PLOTS)]
    return Section(title, stage, True, text, tuple(tables), tuple(shown))


def ranked_attributes_section(evaluated: Evaluated | None) -> Section:
    """The study's Table 6: the probability of each queried attribute in the first five tracklets."""
    title, stage = "Attributes of ranked images (the study's Table 6)", "evaluate_tracking"
    if evaluated is None:
        return Section(title, stage, is_run=False)
    if "ranked_attributes" not in evaluated.details:
        return Section(title, stage, True, _NO_PROBLEMS)
    ranked = evaluated.details["ranked_attributes"]
    columns = ("queried attribute", *(f"{place}. {each['camera']}" for place, each in enumerate(ranked["ranked"], 1)))
    table = [
        (f"{group}: {label}", *(percent(each["probabilities"].get(group)) for each in ranked["ranked"]))
        for group, label in ranked["attributes"].items()
    ]
    table.append(("shows the person", *("yes" if each["right"] else "no" for each in ranked["ranked"])))
    text = (
        f"Problem {ranked['problem']}: the model's probability of each queried attribute in the first ranked tracklets."
    )
    return Section(title, stage, True, text, (Table(columns, table),))


def tracking_section(evaluated: Evaluated | None) -> Section:
    """The study's Table 7, tracking within and over cameras, and the routes."""
    title, stage = "Tracking over cameras (the study's Table 7)", "evaluate_tracking"
    if evaluated is None:
        return Section(title, stage, is_run=False)
    metrics = evaluated.metrics
    within = _within_cameras(evaluated)
    plots = pictures(evaluated.plots, rows.TRACKING_PLOTS)
    text = (
        f"Global ids are scored on all {metrics['num_people']} people, with all cameras as one video: tracklets are "
        "joined into people by appearance and walking time. Without joining, each tracklet is a person of its own."
    )
    if "num_problems" not in metrics:
        return Section(title, stage, True, f"{_NO_PROBLEMS} {text}", within, plots)
    text = (
        f"{metrics['num_problems']} problems. Rank-k = n / h, averaged over problems: of the person's h visits to "
        "cameras, without the visit that the query was cut from, n have a correct tracklet among the first k of "
        "their camera and time. A visit without a tracklet counts as wrong. False candidates are tracklets of other "
        "people, ranked before the first correct one over all cameras. IDF1 and HOTA over all cameras compare the "
        "queried people with their routes, each under one id in all cameras; missed visits, wrong stops and boxes "
        f"count. The order of cameras needs two cameras that both the route and the person visit. {text}"
    )
    tables = (*_search_tables(evaluated), *within, *_route_tables(evaluated))
    return Section(title, stage, True, text, tables, plots + _route_pictures(evaluated.plots))


def _within_cameras(evaluated: Evaluated) -> tuple[Table, ...]:
    metrics = evaluated.metrics
    people = [(row.title, row.of(metrics, "global_"), row.of(metrics, "alone_")) for row in rows.TRACKING]
    people.append(("people", f"{metrics['global_num_people']:,}", f"{metrics['num_tracklets']:,}"))
    cameras = [
        (name, *(row.of(each) for row in rows.ONE_CAMERA))
        for name, each in evaluated.details.get("cameras", {}).items()
    ]
    note = "Over all cameras as one video no part is independent of the others, so there are no intervals."
    return (
        Table(("within cameras", "this run"), [(row.title, row.of(metrics)) for row in rows.TRACKING_WITHIN]),
        *earlier_runs_tables(evaluated.comparison, rows.TRACKING_RUNS),
        Table(("camera", *(row.title for row in rows.ONE_CAMERA)), cameras, "Each camera:"),
        Table(("over all cameras, global ids", "this run", "without joining"), people, "", note),
    )


def _search_tables(evaluated: Evaluated) -> tuple[Table, ...]:
    metrics = evaluated.metrics
    problems = [(row.title, row.of(field_study.TRACKING), row.of(metrics)) for row in rows.TRACKING_PROBLEMS]
    return (Table(("", "study", "this run"), problems),)


def _route_tables(evaluated: Evaluated) -> tuple[Table, ...]:
    metrics, details = evaluated.metrics, evaluated.details
    hits = (
        "If only hits of at least some match probability were shown:",
        "Of the hits of all problems, without those in the visit that the query was cut from.",
        "hits",
        "show the person",
    )
    return (
        Table(("route", "this run"), [(row.title, row.of(metrics)) for row in rows.ROUTES]),
        Table(
            ("match probability", "this run"),
            [(row.title, row.of(metrics["match_probability"])) for row in rows.MATCH_PROBABILITY],
        ),
        *answers_table(details, *hits),
        Table(
            ("problem", *(row.title for row in rows.ONE_PROBLEM)),
            [(name, *(row.of(each) for row in rows.ONE_PROBLEM)) for name, each in details.get("problems", {}).items()],
            "Each problem:",
        ),
    )


def _route_pictures(plots: Path) -> tuple[Picture, ...]:
    routes = {
        file.stem: f"Route of problem {file.stem.removeprefix('route_')} on the street plan, and the true visits"
        for file in sorted(plots.glob("route_*.png"))[:_ROUTE_PICTURES]
    }
    return pictures(plots, routes)


def speed_section(metrics: Mapping[str, Metrics]) -> Section:
    """Speed of re-ranking, as the evaluation measured it; `metrics` by backbone."""
    title, stage = "Speed", "evaluate_reid"
    if not metrics:
        return Section(title, stage, is_run=False)
    table = []
    for backbone, values in metrics.items():
        pairs = values["num_query"] * values["num_gallery"]
        each_us = 1e6 * values["reranking_s"] / pairs
        table.append((f"{_name(backbone)} re-ranking", f"{pairs:,}", f"{values['reranking_s']:.2f}", f"{each_us:.2f}"))
    text = (
        f"Study, {field_study.SPEED}. Ours, on the machine that ran the evaluation of this report, without the time "
        "of compilation:"
    )
    return Section(title, stage, True, text, (Table(("", "pairs", "seconds", "µs a pair"), table),))


def _by_backbone(evaluated: Mapping[str, Evaluated]) -> dict[str, Evaluated]:
    return {name.removeprefix(_REID): each for name, each in evaluated.items() if name.startswith(_REID)}


def _with_share(figure: str, share_of_epochs: float) -> str:
    """`figure`, with what it must not be read without: that the backbone had only a part of the training."""
    return figure if share_of_epochs == 1 else f"{figure} [{100 * share_of_epochs:.0f} % of the epochs]"


def _name(backbone: str) -> str:
    return field_study.BACKBONES.get(backbone, backbone)


def _title(backbone: str, variant: str) -> str:
    return _name(backbone) + rows.RANKINGS[variant]


def _variants(metrics: Metrics) -> list[str]:
    """The rankings of a backbone: without times of crops there are two."""
    return [name for name in rows.RANKINGS if name in metrics]


def _times(time: Metrics) -> str:
    """How crops' times were used, or why not."""
    if "left_out" in time:
        return f"Times are not used: {time['left_out']}."
    misleading = time["misleading_cameras"]
    return (
        "With times: the log-likelihood ratio of the transit times between cameras, learnt from the training people, "
        f"counts {time['distance_of_a_nat']:.3f} of distance a nat, learnt from the validation people. The probability "
        f"of a match by looks and times is off by {100 * time['calibration_error']:.1f} points in the mean over the "
        "first 20 candidates of the queries."
        + (f" Times of {misleading} contradict what was learnt and are left out." if misleading else "")
    )


def _comparison(evaluated: Mapping[str, Evaluated]) -> str:
    """What re-ranking changes for each backbone, and which backbone is best, in words."""
    metrics = {backbone: each.metrics for backbone, each in evaluated.items()}
    sentences = []
    for backbone, values in metrics.items():
        change = 100 * (values["reranked"]["map"] - values["plain"]["map"])
        sentences.append(f"Re-ranking changes the mAP of {_name(backbone)} by {change:+.1f} points.")
    if len(metrics) > 1:
        best = max(metrics, key=lambda backbone: metrics[backbone]["reranked"]["map"])
        sentences.append(f"With re-ranking, {_name(best)} has the highest mAP.")
        sentences += [_lead(evaluated, best, other) for other in metrics if other != best]
        few = [_name(each) for each, values in metrics.items() if values.get("share_of_epochs", 1) < 1]
        if few:
            sentences.append(f"That says nothing of {', '.join(few)}: it was trained for a part of the epochs only.")
    return " ".join(sentences)


def _lead(evaluated: Mapping[str, Evaluated], best: str, other: str) -> str:
    """How far the best backbone lies above another, over the same people."""
    ours, theirs = evaluated[best].comparison.ours, evaluated[other].comparison.ours
    lead = ours.change_from(theirs, "reranked/map") if ours is not None and theirs is not None else None
    if lead is None:
        return ""
    if lead.low is None or lead.high is None:
        return f"It is {percent(lead.value)} points above {_name(other)}."
    unsure = ", so they may be alike" if lead.low <= 0 else ""
    bounds = f"{percent(lead.low)} to {percent(lead.high)}"
    return f"It is {percent(lead.value)} points ({bounds}) above {_name(other)}{unsure}."

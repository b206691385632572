"""Sections of the report: each table of the field study with our figures beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.reporting import field_study, rows
from evaluation.reporting.rows import NOTHING, percent

_REID = "reid-"  # begins the names of the metrics of re-ID
_VARIANTS = {"plain": "", "reranked": " + re-ranking"}
_ROUTE_PICTURES = 3

Metrics = Mapping[str, Any]  # of one file of metrics/<district>


@dataclass(frozen=True)
class Table:
    """Text cells, the first column a name."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot to show."""

    file: Path
    caption: str

    @property
    def name(self) -> str:
        """File name of the copy beside the report, unique among all plots."""
        return f"{self.file.parent.name}-{self.file.name}"


@dataclass(frozen=True)
class Section:
    """One part of the report; without metrics it says which stage has not run."""

    title: str
    stage: str
    is_run: bool
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def sections(metrics: Mapping[str, Metrics], plots: Path) -> Sequence[Section]:
    """The whole report.

    Args:
        metrics: content of the files in `metrics/<district>`, by name without suffix.
        plots: folder with the plots of each model in a folder of its name.
    """
    overview = Section("At a glance", "", True, "", (Table(("", "study", "ours"), glance(metrics)),))
    reid = _by_backbone(metrics)
    return (
        overview,
        detection_section(metrics.get("detector"), plots),
        attribute_section(metrics.get("attributes"), plots),
        reid_section(reid, plots),
        ranked_attributes_section(metrics.get("tracking")),
        tracking_section(metrics.get("tracking"), plots),
        speed_section(reid),
    )


_NO_PROBLEMS = (
    "The district has no problems that could be scored (videos/problems.yaml), so search and routes are not measured."
)


def glance(metrics: Mapping[str, Metrics]) -> list[tuple[str, str, str]]:
    """Name, the study's figure and ours of the main metrics, for the terminal and the head of the report."""

    def ours(model: str, key: str) -> str:
        return percent(metrics.get(model, {}).get(key))

    study = field_study.ATTRIBUTES["instance_f1"]
    table = [
        ("detection AP50", percent(field_study.DETECTION_ACCURACY), ours("detector", "ap50")),
        ("attributes, instance F1", percent(study), ours("attributes", "instance_f1")),
    ]
    for backbone, values in _by_backbone(metrics).items():
        for variant in _VARIANTS:
            figure = field_study.REID.get((backbone, variant), {}).get("map")
            table.append((f"re-ID mAP, {_title(backbone, variant)}", percent(figure), percent(values[variant]["map"])))
    table.append(("tracking Rank-1", percent(field_study.TRACKING["rank1"]), ours("tracking", "rank1")))
    for name, key in (("IDF1", "idf1"), ("HOTA", "hota")):
        table.append((f"tracking {name}, within cameras", NOTHING, ours("tracking", key)))
        table.append((f"tracking {name}, global ids", NOTHING, ours("tracking", f"global_{key}")))
        table.append((f"tracking {name}, routes over cameras", NOTHING, ours("tracking", f"route_{key}")))
    return table


def detection_section(metrics: Metrics | None, plots: Path) -> Section:
    """Detection accuracy."""
    title, stage = "Detection", "evaluate_detector"
    if metrics is None:
        return Section(title, stage, is_run=False)
    table = [
        ("detection accuracy", f"{100 * field_study.DETECTION_ACCURACY:.2f}", NOTHING),
        *((row.title, NOTHING, row.of(metrics)) for row in rows.DETECTION),
    ]
    text = (
        f"{metrics['num_people']} people in {metrics['num_images']} test frames. The study does not define its "
        "accuracy; AP50 is the closest measure. Precision, recall and F1 are at the score threshold of the deployed "
        "detector."
    )
    shown = pictures(plots / "detector", rows.DETECTION_PLOTS)
    return Section(title, stage, True, text, (Table(("", "study", "ours"), table),), shown)


def attribute_section(metrics: Metrics | None, plots: Path) -> Section:
    """The study's Tables 3 and 4, and each group."""
    title, stage = "Attributes (the study's Tables 3 and 4)", "evaluate_attributes"
    if metrics is None:
        return Section(title, stage, is_run=False)
    sources = (field_study.ATTRIBUTES, metrics.get("no_colour", {}), metrics, metrics["constant"])
    table = [(row.title, *(row.of(source) for source in sources)) for row in rows.ATTRIBUTES]
    groups = [(name, *(row.of(scores) for row in rows.ATTRIBUTE_GROUP)) for name, scores in metrics["groups"].items()]
    text = (
        f"{metrics['num_images']} test crops; a crop counts only in the groups whose label is known. The study's 28 "
        "labels exclude colours, height and the scene. The constant model answers each group's most frequent label in "
        "training."
    )
    tables = (
        Table(("", "study, 28 labels", "ours, the same 28", "ours, all groups", "constant model"), table),
        Table(("group", *(row.title for row in rows.ATTRIBUTE_GROUP)), groups, "Each group:"),
    )
    return Section(title, stage, True, text, tables, pictures(plots / "attributes", rows.ATTRIBUTE_PLOTS))


def reid_section(metrics: Mapping[str, Metrics], plots: Path) -> Section:
    """The study's Table 5; `metrics` by backbone."""
    title, stage = "Re-identification (the study's Table 5)", "evaluate_reid"
    if not metrics:
        return Section(title, stage, is_run=False)
    ours = {_title(backbone, name): values[name] for backbone, values in metrics.items() for name in _VARIANTS}
    columns = (
        "",
        *(f"study: {_title(*name)}" for name in field_study.REID),
        *(f"ours: {name}" for name in ours),
    )
    figures = (*field_study.REID.values(), *ours.values())
    table = [(row.title, *(row.of(values) for values in figures)) for row in rows.REID]
    first = next(iter(metrics.values()))
    text = (
        f"Query {first['num_query']:,}, gallery {first['num_gallery']:,} (study: 3,441 and 16,441), Market-1501 "
        "protocol. The rows on false alarms are for open-set search, in which the person may be absent: the share of "
        "people ranked first and accepted, at the distance threshold where 1 % or 10 % of the searches for an absent "
        f"person return another person. {_comparison(metrics)}"
    )
    shown = tuple(
        Picture(each.file, f"{_name(backbone)}: {each.caption}")
        for backbone in metrics
        for each in pictures(plots / f"{_REID}{backbone}", rows.REID_PLOTS)
    )
    return Section(title, stage, True, text, (Table(columns, table),), shown)


def ranked_attributes_section(metrics: Metrics | None) -> Section:
    """The study's Table 6: the probability of each queried attribute in the first five tracklets."""
    title, stage = "Attributes of ranked images (the study's Table 6)", "evaluate_tracking"
    if metrics is None:
        return Section(title, stage, is_run=False)
    if "ranked_attributes" not in metrics:
        return Section(title, stage, True, _NO_PROBLEMS)
    ranked = metrics["ranked_attributes"]
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


def tracking_section(metrics: Metrics | None, plots: Path) -> Section:
    """The study's Table 7, tracking within and over cameras, and the routes."""
    title, stage = "Tracking over cameras (the study's Table 7)", "evaluate_tracking"
    if metrics is None:
        return Section(title, stage, is_run=False)
    people = [(row.title, row.of(metrics, "global_"), row.of(metrics, "alone_")) for row in rows.TRACKING]
    people.append(("people", f"{metrics['global_num_people']:,}", f"{metrics['num_tracklets']:,}"))
    tables: tuple[Table, ...] = (
        Table(("within cameras", "ours"), [(row.title, row.of(metrics)) for row in rows.TRACKING_WITHIN]),
        Table(("over all cameras, global ids", "ours", "without joining"), people),
    )
    text = (
        f"Global ids are scored on all {metrics['num_people']} people, with all cameras as one video: tracklets are "
        "joined into people by appearance and walking time. Without joining, each tracklet is a person of its own."
    )
    if "problems" not in metrics:
        return Section(
            title, stage, True, f"{_NO_PROBLEMS} {text}", tables, pictures(plots / "tracking", rows.TRACKING_PLOTS)
        )
    text = (
        f"{metrics['num_problems']} problems. Rank-k = n / h, averaged over problems: of the person's h visits to "
        "cameras, without the visit that the query was cut from, n have a correct tracklet among the first k of "
        "their camera and time. A visit without a tracklet counts as wrong. False candidates are tracklets of other "
        "people, ranked before the first correct one over all cameras. IDF1 and HOTA over all cameras compare the "
        "queried people with their routes, each under one id in all cameras; missed visits, wrong stops and boxes "
        f"count. The order of cameras needs two cameras that both the route and the person visit. {text}"
    )
    problems = [(row.title, row.of(field_study.TRACKING), row.of(metrics)) for row in rows.TRACKING_PROBLEMS]
    tables = (
        Table(("", "study", "ours"), problems),
        *tables,
        Table(("route", "ours"), [(row.title, row.of(metrics)) for row in rows.ROUTES]),
        Table(
            ("match probability", "ours"),
            [(row.title, row.of(metrics["match_probability"])) for row in rows.MATCH_PROBABILITY],
        ),
        Table(
            ("problem", *(row.title for row in rows.ONE_PROBLEM)),
            [(name, *(row.of(each) for row in rows.ONE_PROBLEM)) for name, each in metrics["problems"].items()],
            "Each problem:",
        ),
    )
    folder = plots / "tracking"
    routes = {
        file.stem: f"Route of problem {file.stem.removeprefix('route_')} on the street plan, and the true visits"
        for file in sorted(folder.glob("route_*.png"))[:_ROUTE_PICTURES]
    }
    return Section(title, stage, True, text, tables, pictures(folder, rows.TRACKING_PLOTS | routes))


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


def pictures(folder: Path, captions: Mapping[str, str]) -> tuple[Picture, ...]:
    """Plots of `folder` for the names in `captions`, PNG or JPEG; a name without a file is left out."""
    return tuple(
        Picture(file, caption) for name, caption in captions.items() for file in sorted(folder.glob(f"{name}.*"))
    )


def _by_backbone(metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    return {name.removeprefix(_REID): values for name, values in metrics.items() if name.startswith(_REID)}


def _name(backbone: str) -> str:
    return field_study.BACKBONES.get(backbone, backbone)


def _title(backbone: str, variant: str) -> str:
    return _name(backbone) + _VARIANTS[variant]


def _comparison(metrics: Mapping[str, Metrics]) -> str:
    """What re-ranking changes for each backbone, and which backbone is best, in words."""
    sentences = []
    for backbone, values in metrics.items():
        change = 100 * (values["reranked"]["map"] - values["plain"]["map"])
        sentences.append(f"Re-ranking changes the mAP of {_name(backbone)} by {change:+.1f} points.")
    if len(metrics) > 1:
        best = max(metrics, key=lambda backbone: metrics[backbone]["reranked"]["map"])
        low = metrics[best]["reranked"].get("map_low", 0.0)
        near = [
            _name(other)
            for other, values in metrics.items()
            if other != best and values["reranked"].get("map_high", 1.0) >= low
        ]
        interval = f"overlaps with that of {', '.join(near)}" if near else "lies above all others"
        sentences.append(f"With re-ranking, {_name(best)} has the highest mAP; its 95 % interval {interval}.")
    return " ".join(sentences)

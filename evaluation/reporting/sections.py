"""Sections of the report: each table of the field study with our figures beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.reporting import field_study

NOTHING = "–"
_BACKBONES = {"osnet": "OSNet", "resnet50": "ResNet-50"}
_SCORE_TITLES = {
    "instance_accuracy": "instance accuracy",
    "instance_precision": "instance precision",
    "instance_recall": "instance recall",
    "instance_f1": "instance F1",
    "label_mean_accuracy": "label mean accuracy",
    "calibration_error": "expected calibration error",
}
_REID_TITLES = {
    "map": "mAP", "minp": "mINP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "rank20": "Rank-20",
    "detection_rate_far1": "found, if 1 % false alarms", "detection_rate_far10": "found, if 10 % false alarms",
}  # fmt: skip


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
        """Of its copy beside the report: unlike any other plot's."""
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


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal; a dash where there is none.

    Example:
        >>> percent(0.9012), percent(None)
        ('90.1', '–')
    """
    return NOTHING if value is None else f"{100 * value:.1f}"


def decimal(value: float | None, places: int) -> str:
    """A number with so many decimals; a dash where there is none.

    Example:
        >>> decimal(0.667, 2), decimal(None, 2)
        ('0.67', '–')
    """
    return NOTHING if value is None else f"{value:.{places}f}"


def detection_section(metrics: Mapping[str, Any] | None, plots: Path) -> Section:
    """Detection accuracy."""
    title, stage = "Detection", "evaluate_detector"
    if metrics is None:
        return Section(title, stage, is_run=False)
    names = {"ap50": "AP50", "ap75": "AP75", "ap50_95": "AP50-95", "ar100": "AR100", "precision": "precision",
             "recall": "recall", "f1": "F1"}  # fmt: skip
    rows = [("detection accuracy", f"{100 * field_study.DETECTION_ACCURACY:.2f}", NOTHING)]
    rows += [(name, NOTHING, percent(metrics.get(key))) for key, name in names.items()]
    text = (
        f"{metrics['num_people']} people in {metrics['num_images']} test frames. The study does not say how its "
        "accuracy is defined; AP50 is nearest. Precision, recall and F1 are at the score threshold that the deployed "
        "detector uses."
    )
    return Section(
        title, stage, True, text, (Table(("", "study", "ours"), rows),),
        pictures(plots / "detector", {"precision_recall": "Precision and recall of the detector"}),
    )  # fmt: skip


def attribute_section(metrics: Mapping[str, Any] | None, plots: Path) -> Section:
    """The study's Tables 3 and 4, and each group."""
    title, stage = "Attributes (the study's Tables 3 and 4)", "evaluate_attributes"
    if metrics is None:
        return Section(title, stage, is_run=False)
    study_labels = metrics.get("no_colour", {})
    rows = [
        (
            name,
            percent(field_study.ATTRIBUTES.get(key)),
            percent(study_labels.get(key)),
            percent(metrics[key]),
            percent(metrics["constant"][key]),
        )
        for key, name in _SCORE_TITLES.items()
    ]
    groups = [
        (name, str(scores["num_images"]), percent(scores["accuracy"]), percent(scores["f1"]))
        for name, scores in metrics["groups"].items()
    ]
    text = (
        f"{metrics['num_images']} test crops; what is unknown of a crop is left out. The study's 28 labels leave out "
        "colours, height and the scene. The last column is what always answering each group's most frequent label in "
        "training would get."
    )
    tables = (
        Table(("", "study, 28 labels", "ours, the same 28", "ours, all groups", "constant answer"), rows),
        Table(("group", "crops", "accuracy", "F1, mean over labels"), groups, "Each group:"),
    )
    return Section(title, stage, True, text, tables, pictures(plots / "attributes", {"groups": "Attributes by group"}))


def reid_section(metrics: Mapping[str, Mapping[str, Any] | None], plots: Path) -> Section:
    """The study's Table 5; `metrics` by backbone."""
    title, stage = "Re-identification (the study's Table 5)", "evaluate_reid"
    run = {backbone: values for backbone, values in metrics.items() if values is not None}
    if not run:
        return Section(title, stage, is_run=False)
    variants = [(backbone, variant) for backbone in _BACKBONES for variant in ("plain", "reranked")]
    columns = [
        "",
        *(f"study: {_title(*each)}" for each in field_study.REID),
        *(f"ours: {_title(*v)}" for v in variants),
    ]
    rows = []
    for key, name in _REID_TITLES.items():
        study = [percent(figures.get(key)) for figures in field_study.REID.values()]
        ours = [percent(run[backbone][variant][key]) if backbone in run else NOTHING for backbone, variant in variants]
        rows.append((name, *study, *ours))
    rows.append(("mAP, 95 % interval", *[NOTHING] * len(field_study.REID), *(_interval(run, *v) for v in variants)))
    first = next(iter(run.values()))
    text = (
        f"Query {first['num_query']:,}, gallery {first['num_gallery']:,} (study: 3,441 and 16,441), Market-1501 "
        "protocol. The last rows are for a person who may not be there: how many are found at first place, where the "
        "distance that counts as found lets so many searches for somebody absent report a wrong one. "
        f"{_comparison(run)}"
    )
    shown = {
        "cmc": "CMC with and without re-ranking",
        "distances": "Distances of the same and of different people",
        "camera_pairs": "mAP by pair of cameras",
        "ranked_plain": "Ranked galleries, plain: query, then the first ten; green is right",
        "ranked_reranked": "The same queries, re-ranked",
    }
    figures = tuple(
        Picture(each.file, f"{_BACKBONES[backbone]}: {each.caption}")
        for backbone in run
        for each in pictures(plots / f"reid-{backbone}", shown)
    )
    return Section(title, stage, True, text, (Table(tuple(columns), rows),), figures)


def ranked_attributes_section(metrics: Mapping[str, Any] | None) -> Section:
    """The study's Table 6: how sure the model is of each asked attribute, for the first five answers."""
    title, stage = "Attributes of ranked images (the study's Table 6)", "evaluate_tracking"
    if metrics is None:
        return Section(title, stage, is_run=False)
    ranked = metrics["ranked_attributes"]
    columns = ("asked attribute", *(f"{place}. {each['camera']}" for place, each in enumerate(ranked["ranked"], 1)))
    rows = [
        (f"{group}: {label}", *(percent(each["probabilities"].get(group)) for each in ranked["ranked"]))
        for group, label in ranked["attributes"].items()
    ]
    rows.append(("is the person", *("yes" if each["right"] else "no" for each in ranked["ranked"])))
    text = f"Problem {ranked['problem']}: the model's confidence of each asked attribute in the first ranked tracklets."
    return Section(title, stage, True, text, (Table(columns, rows),))


def tracking_section(metrics: Mapping[str, Any] | None, plots: Path) -> Section:
    """The study's Table 7, tracking within cameras, and the routes."""
    title, stage = "Tracking over cameras (the study's Table 7)", "evaluate_tracking"
    if metrics is None:
        return Section(title, stage, is_run=False)
    rows = [(f"Rank-{k}", percent(field_study.TRACKING[f"rank{k}"]), percent(metrics[f"rank{k}"])) for k in range(1, 6)]
    rows.append(("false candidates before the first right one", NOTHING, decimal(metrics["false_before_right"], 1)))
    names = {"idf1": "IDF1", "mota": "MOTA", "hota": "HOTA", "deta": "DetA", "assa": "AssA"}
    within = [(name, percent(metrics[key])) for key, name in (names | {"loca": "LocA"}).items()]
    people = [(name, *(percent(metrics[f"{who}_{key}"]) for who in ("global", "alone"))) for key, name in names.items()]
    people.append(("people", f"{metrics['global_num_people']:,}", f"{metrics['num_tracklets']:,}"))
    routes = [
        ("camera visits, precision: stops that show the person", percent(metrics["route_precision"])),
        ("camera visits, recall: appearances on the route", percent(metrics["route_recall"])),
        ("order of cameras, Kendall's tau from -1 to 1", decimal(metrics["route_order"], 2)),
        ("IDF1 over all cameras, the route as one id", percent(metrics["route_idf1"])),
        ("HOTA over all cameras, the route as one id", percent(metrics["route_hota"])),
    ]
    text = (
        f"{metrics['num_problems']} problems. Rank-k = n / h: of h appearances of the person, the question's own left "
        "out, n have a right tracklet among the first k of their camera and time; the mean over problems. "
        "An appearance nobody's tracklet covers counts as wrong. False candidates are the tracklets of others that "
        "stand before the first of the person in the ranking of all cameras. IDF1 and HOTA over all cameras take the "
        "people asked for and their routes, each under one id for all cameras; they count missing appearances, wrong "
        "stops and boxes. The order of cameras needs two that route and person both visit. With global ids, everybody "
        f"in all cameras counts ({metrics['num_people']} people), as if these were one video: tracklets are joined to "
        "people by looks and by what can be walked. Beside it, every tracklet is left a person of its own."
    )
    reliability = metrics["match_probability"]
    probabilities = [
        ("hits", f"{reliability['num_hits']:,}"),
        ("share that shows the person", percent(reliability["share_right"])),
        ("expected calibration error", percent(reliability["calibration_error"])),
        ("Brier score, 0 is best", decimal(reliability["brier"], 4)),
    ]
    shown = {
        "ranked_problems": "Each problem's crop and the first ten tracklets; green is right",
        "reliability": "Match probabilities of all hits: the share that shows the person over the probability said",
    }
    routes_shown = {file.stem: "" for file in sorted((plots / "tracking").glob("route_*.png"))[:3]}
    figures = pictures(plots / "tracking", shown | {name: _route_caption(name) for name in routes_shown})
    tables = (
        Table(("", "study", "ours"), rows),
        Table(("within cameras", "ours"), within),
        Table(("over all cameras, global ids", "ours", "without joining"), people),
        Table(("route", "ours"), routes),
        Table(("match probability", "ours"), probabilities),
        _problem_table(metrics["problems"]),
    )
    return Section(title, stage, True, text, tables, figures)


def speed_section(metrics: Mapping[str, Mapping[str, Any] | None]) -> Section:
    """Speed as far as evaluation sees it; `metrics` of re-ID by backbone."""
    title, stage = "Speed", "evaluate_reid"
    run = {backbone: values for backbone, values in metrics.items() if values is not None}
    if not run:
        return Section(title, stage, is_run=False)
    rows = []
    for backbone, values in run.items():
        pairs = values["num_query"] * values["num_gallery"]
        each_us = 1e6 * values["reranking_s"] / pairs
        rows.append(
            (f"{_BACKBONES[backbone]} re-ranking", f"{pairs:,}", f"{values['reranking_s']:.2f}", f"{each_us:.2f}")
        )
    text = f"Study, {field_study.SPEED}. Ours, on the machine that ran this report's evaluation, compiled before:"
    return Section(title, stage, True, text, (Table(("", "pairs", "seconds", "µs a pair"), rows),))


def pictures(folder: Path, captions: Mapping[str, str]) -> tuple[Picture, ...]:
    """Those of the named plots that exist in `folder`, as PNG or JPEG."""
    return tuple(
        Picture(file, caption) for name, caption in captions.items() for file in sorted(folder.glob(f"{name}.*"))
    )


def glance(metrics: Mapping[str, Mapping[str, Any] | None]) -> list[tuple[str, str, str]]:
    """Name, study's figure and ours, of what matters most; for the terminal and the head of the report."""

    def ours(model: str, *keys: str) -> str:
        value: Any = metrics.get(model)
        for key in keys:
            value = None if value is None else value[key]
        return percent(value)

    rows = [
        ("detection AP50", percent(field_study.DETECTION_ACCURACY), ours("detector", "ap50")),
        (
            "attributes, instance F1",
            percent(field_study.ATTRIBUTES["instance_f1"]),
            ours("attributes", "instance_f1"),
        ),
    ]
    for backbone in _BACKBONES:
        for variant in ("plain", "reranked"):
            study = field_study.REID.get((backbone, variant), {}).get("map")
            name = f"re-ID mAP, {_title(backbone, variant)}"
            rows.append((name, percent(study), ours(f"reid-{backbone}", variant, "map")))
    rows.append(("tracking Rank-1", percent(field_study.TRACKING["rank1"]), ours("tracking", "rank1")))
    for name, key in (("IDF1", "idf1"), ("HOTA", "hota")):
        rows.append((f"tracking {name}, within cameras", NOTHING, ours("tracking", key)))
        rows.append((f"tracking {name}, global ids", NOTHING, ours("tracking", f"global_{key}")))
        rows.append((f"tracking {name}, routes over cameras", NOTHING, ours("tracking", f"route_{key}")))
    return rows


def _title(backbone: str, variant: str) -> str:
    return _BACKBONES[backbone] + (" + re-ranking" if variant == "reranked" else "")


def _interval(run: Mapping[str, Mapping[str, Any]], backbone: str, variant: str) -> str:
    if backbone not in run:
        return NOTHING
    values = run[backbone][variant]
    return f"{percent(values['map_low'])} to {percent(values['map_high'])}"


def _comparison(run: Mapping[str, Mapping[str, Any]]) -> str:
    """How the backbones compare, and what re-ranking does, in words."""
    sentences = []
    for backbone, values in run.items():
        change = 100 * (values["reranked"]["map"] - values["plain"]["map"])
        sentences.append(f"Re-ranking changes the mAP of {_BACKBONES[backbone]} by {change:+.1f} points.")
    if len(run) == 2:
        osnet, resnet50 = (run[backbone]["reranked"] for backbone in ("osnet", "resnet50"))
        apart = osnet["map_low"] > resnet50["map_high"] or resnet50["map_low"] > osnet["map_high"]
        better = "OSNet" if osnet["map"] >= resnet50["map"] else "ResNet-50"
        certainty = "their 95 % intervals lie apart" if apart else "but their 95 % intervals overlap"
        sentences.append(f"Re-ranked, {better} has the higher mAP; {certainty}.")
    return " ".join(sentences)


def _problem_table(problems: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = ("problem", "appearances", "Rank-1", "Rank-5", "false before right", "route precision", "route recall",
               "order", "route IDF1", "route HOTA")  # fmt: skip
    rows = [
        (
            name,
            str(each["appearances"]),
            *(percent(each[key]) for key in ("rank1", "rank5")),
            str(each["false_before_right"]),
            *(percent(each[key]) for key in ("route_precision", "route_recall")),
            decimal(each["route_order"], 2),
            *(percent(each[key]) for key in ("route_idf1", "route_hota")),
        )
        for name, each in problems.items()
    ]
    return Table(columns, rows, "Each problem:")


def _route_caption(name: str) -> str:
    return f"Route of problem {name.removeprefix('route_')} on the street plan, and where the person truly was"


def sections(metrics: Mapping[str, Mapping[str, Any] | None], plots: Path) -> Sequence[Section]:
    """The whole report from the metrics by name."""
    reid = {backbone: metrics.get(f"reid-{backbone}") for backbone in _BACKBONES}
    overview = Section("At a glance", "", True, "", (Table(("", "study", "ours"), glance(metrics)),))
    return (
        overview,
        detection_section(metrics.get("detector"), plots),
        attribute_section(metrics.get("attributes"), plots),
        reid_section(reid, plots),
        ranked_attributes_section(metrics.get("tracking")),
        tracking_section(metrics.get("tracking"), plots),
        speed_section(reid),
    )

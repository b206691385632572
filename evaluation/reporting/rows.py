"""What the report shows: each metric and each plot is one row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NOTHING = "–"


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal; a dash for None.

    Example:
        >>> percent(0.9012), percent(None)
        ('90.1', '–')
    """
    return NOTHING if value is None else f"{100 * value:.1f}"


def decimal(value: float | None, places: int) -> str:
    """A number with `places` decimals; a dash for None.

    Example:
        >>> decimal(0.667, 2), decimal(None, 2)
        ('0.67', '–')
    """
    return NOTHING if value is None else f"{value:.{places}f}"


@dataclass(frozen=True)
class Row:
    """A metric of a table: its key in `metrics/<district>/*.json`, its title, and how its value is written."""

    key: str
    title: str
    write: Callable[[Any], str] = percent

    def of(self, metrics: Mapping[str, Any], prefix: str = "") -> str:
        """The value of `prefix + key` as text, with its interval if it has one; a dash if `metrics` lacks it."""
        value, low, high = (metrics.get(f"{prefix}{self.key}{end}") for end in ("", "_low", "_high"))
        bounds = "" if low is None or high is None else f" ({self.write(low)}–{self.write(high)})"
        return self.write(value) + bounds


DETECTION = (
    Row("ap50", "AP50"),
    Row("ap75", "AP75"),
    Row("ap50_95", "AP50-95"),
    Row("ar100", "AR100"),
    Row("precision", "precision"),
    Row("recall", "recall"),
    Row("f1", "F1"),
)
DETECTION_SLICED = (Row("ap50", "AP50"), Row("recall", "recall"), Row("precision", "precision"))
DETECTION_PLOTS = {
    "precision_recall": "Precision and recall of the detector",
    "wrong_boxes": "The surest wrong boxes: score, and overlap with the nearest person; half or more is a second box",
    "missed_people": "The tallest missed people: height, and the overlap of the best box at the threshold in use",
}

ATTRIBUTES = (
    Row("instance_accuracy", "instance accuracy"),
    Row("instance_precision", "instance precision"),
    Row("instance_recall", "instance recall"),
    Row("instance_f1", "instance F1"),
    Row("label_mean_accuracy", "label mean accuracy"),
    Row("calibration_error", "expected calibration error"),
)
ATTRIBUTE_GROUP = (Row("num_images", "crops", str), Row("accuracy", "accuracy"), Row("f1", "F1, mean over labels"))
ATTRIBUTES_SLICED = (Row("instance_f1", "instance F1"), Row("label_mean_accuracy", "label mean accuracy"))
ATTRIBUTE_PLOTS = {"groups": "Attributes by group"}

REID = (
    Row("map", "mAP"),
    Row("minp", "mINP"),
    Row("rank1", "Rank-1"),
    Row("rank5", "Rank-5"),
    Row("rank10", "Rank-10"),
    Row("rank20", "Rank-20"),
    Row("detection_rate_far1", "identified at 1 % false alarms"),
    Row("detection_rate_far10", "identified at 10 % false alarms"),
)
RANKINGS = {  # of re-ID, with what each adds to a title
    "plain": "",
    "reranked": " + re-ranking",
    "with_time": " + times",
    "reranked_with_time": " + re-ranking + times",
}
REID_SLICED = (Row("map", "mAP without re-ranking"), Row("rank1", "Rank-1 without re-ranking"))
REID_RUNS = (
    Row("plain/map", "mAP"),
    Row("plain/rank1", "Rank-1"),
    Row("reranked/map", "mAP + re-ranking"),
    Row("reranked/rank1", "Rank-1 + re-ranking"),
    Row("reranked/detection_rate_far1", "identified at 1 % false alarms + re-ranking"),
    Row("with_time/map", "mAP with times"),
    Row("reranked_with_time/map", "mAP + re-ranking, with times"),
)
REID_PLOTS = {
    "cmc": "CMC of the rankings",
    "distances": "Distances of same-person and different-person pairs",
    "camera_pairs": "mAP by pair of cameras",
    "ranked_plain": "Ranked galleries without re-ranking: query, then the first ten crops; green shows the person",
    "ranked_reranked": "The same queries with re-ranking",
    "ranked_with_time": "The same queries by looks and times",
    "ranked_reranked_with_time": "The same queries with re-ranking, by looks and times",
    "reliability": "Probability of a match by looks and times, of the first 20 candidates of each query",
    "mistakes": "The worst queries with re-ranking, one of a person; # is the rank of the first crop that shows it",
}

TRACKING_PROBLEMS = (
    *(Row(f"rank{k}", f"Rank-{k}") for k in range(1, 6)),
    Row("false_before_right", "false candidates before the first correct one", lambda value: decimal(value, 1)),
)
TRACKING = (  # within cameras, and with global ids over all cameras
    Row("idf1", "IDF1"),
    Row("mota", "MOTA"),
    Row("hota", "HOTA"),
    Row("deta", "DetA"),
    Row("assa", "AssA"),
)
TRACKING_RUNS = (
    *TRACKING[:3],
    Row("rank1", "Rank-1"),
    Row("route_precision", "route precision"),
    Row("route_recall", "route recall"),
    Row("route_hota", "route HOTA"),
)
ONE_CAMERA = (
    Row("start", "video starts", lambda value: value or NOTHING),
    Row("num_boxes", "boxes of people", lambda value: f"{value:,}"),
    *TRACKING[:3],
)
TRACKING_WITHIN = (*TRACKING, Row("loca", "LocA"))
ROUTES = (
    Row("route_precision", "route precision: stops that show the person"),
    Row("route_recall", "route recall: visits that a correct stop covers"),
    Row("route_order", "order of cameras, Kendall's tau from -1 to 1", lambda value: decimal(value, 2)),
    Row("route_idf1", "IDF1 over all cameras, the route as one id"),
    Row("route_hota", "HOTA over all cameras, the route as one id"),
)
MATCH_PROBABILITY = (
    Row("num_hits", "hits", lambda value: f"{value:,}"),
    Row("share_right", "share that shows the person"),
    Row("calibration_error", "expected calibration error"),
    Row("brier", "Brier score, 0 is best", lambda value: decimal(value, 4)),
)
ONE_PROBLEM = (
    Row("appearances", "visits", str),
    Row("rank1", "Rank-1"),
    Row("rank5", "Rank-5"),
    Row("false_before_right", "false before correct", str),
    Row("route_precision", "route precision"),
    Row("route_recall", "route recall"),
    Row("route_order", "order", lambda value: decimal(value, 2)),
    Row("route_idf1", "route IDF1"),
    Row("route_hota", "route HOTA"),
)
TRACKING_PLOTS = {
    "ranked_problems": "Query crop and first ten tracklets of each problem; green shows the person",
    "reliability": "Match probabilities of all hits: share that shows the person against predicted probability",
}

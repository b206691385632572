"""Samples of tracking: cameras are drawn with their videos, and the search problems, each with its person."""

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.intervals.bootstrap import Figures, Sample, Weights, ratios, units_of
from evaluation.tracking import TrackingCounts, combined


def camera_sample(cameras: Sequence[TrackingCounts]) -> Sample:
    """IDF1, MOTA and the HOTA family of tracklets within cameras."""

    def figures(weights: Weights) -> Figures:
        return combined(cameras, weights)

    return Sample("cameras", len(cameras), len(cameras), figures)


def problem_sample(values: Mapping[str, Sequence[float | None]], routes: Sequence[TrackingCounts]) -> Sample:
    """Means over problems, and IDF1 and HOTA of their routes over all cameras.

    Args:
        values: of each problem, by name; None does not count.
        routes: counts of each problem's route.
    """
    table = {name: np.array(column, np.float64) for name, column in values.items()}
    counted = {name: (~np.isnan(column)).astype(np.float64) for name, column in table.items()}
    means = ratios({name: np.nan_to_num(column) for name, column in table.items()}, counted)

    def figures(weights: Weights) -> Figures:
        over_cameras = combined(routes, weights)
        return dict(means(weights)) | {f"route_{name}": over_cameras[name] for name in ("idf1", "hota")}

    return Sample("problems", len(routes), len(routes), figures, units_of(counted))

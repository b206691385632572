"""Plots of the report. Each function takes plain arrays and writes one PNG file; none needs a display."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from domain.cameras import Camera
from evaluation.attributes import GroupScores
from evaluation.detection import PrecisionRecallCurve
from evaluation.reliability import Reliability

BLUE, ORANGE, GREEN, RED, GREY = "#2b6cb0", "#dd6b20", "#2f855a", "#c53030", "#a0aec0"
_DPI = 130


def plot_precision_recall(curve: PrecisionRecallCurve, threshold: float | None, file: Path) -> None:
    """Precision over recall at IoU 0.5; points mark the best F1 and the score threshold in use."""
    figure, axes = _one_axes((5.2, 4.4), "Precision and recall of people (IoU 0.5)", "recall", "precision")
    axes.plot(curve.recall, curve.precision, color=BLUE, label=f"AP50 {curve.average_precision:.3f}")
    if len(curve.scores):
        best = curve.best
        label = f"best F1 {curve.f1[best]:.3f}, score {curve.scores[best]:.2f}"
        axes.plot(curve.recall[best], curve.precision[best], "o", color=ORANGE, label=label)
        if threshold is not None:
            place = max(int((curve.scores >= threshold).sum()) - 1, 0)
            axes.plot(curve.recall[place], curve.precision[place], "s", mfc="none", color=GREEN, ms=9,
                      label=f"score threshold in use {threshold:.2f}")  # fmt: skip
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    _save(figure, file)


def plot_attribute_bars(groups: Mapping[str, GroupScores], titles: Mapping[str, str], file: Path) -> None:
    """Accuracy and F1 of each group as horizontal bars; `titles` maps a group to its label on the axis."""
    height = 1.6 + 0.42 * len(groups)
    figure, axes = _one_axes((7.2, height), "Attributes by group", "fraction", "")
    places = np.arange(len(groups))
    for shift, colour, label, values in (
        (-0.2, BLUE, "accuracy", [scores.accuracy for scores in groups.values()]),
        (0.2, ORANGE, "F1 (mean over labels)", [scores.f1 for scores in groups.values()]),
    ):
        bars = axes.barh(places + shift, values, height=0.38, color=colour, label=label)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.set_yticks(places, [f"{titles[name]} (n={scores.num_images})" for name, scores in groups.items()], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.45 / height), ncols=2, frameon=False, fontsize=8)
    _save(figure, file)


def plot_cmc(curves: Mapping[str, Float[np.ndarray, " _"]], max_rank: int, file: Path) -> None:
    """Rank-k over k for each named CMC curve."""
    figure, axes = _one_axes((5.6, 4.4), "Queries with a match among the first k", "k", "share of queries")
    lowest = 1.0
    for (name, cmc), colour in zip(curves.items(), (BLUE, ORANGE, GREEN, RED), strict=False):
        shown = cmc[:max_rank]
        axes.plot(np.arange(1, len(shown) + 1), shown, color=colour, label=f"{name}: Rank-1 {cmc[0]:.3f}")
        lowest = min(lowest, float(shown[0]))
    axes.set(xlim=(1, max(max_rank, 2)), ylim=(max(0.0, lowest - 0.05), 1.005))
    axes.legend(loc="lower right")
    _save(figure, file)


def plot_distances(
    same: Float[np.ndarray, " same"],
    different: Float[np.ndarray, " different"],
    threshold: float | None,
    file: Path,
) -> None:
    """Histograms of cosine distance for same-person and different-person pairs, with the match threshold."""
    figure, axes = _one_axes((6, 4), "Distances between query and gallery, across cameras", "1 - cosine", "density")
    limits = min(same.min(), different.min()), max(same.max(), different.max())
    bins = np.linspace(*limits, 80).tolist()
    axes.hist(different, bins, density=True, color=GREY, label=f"different people ({len(different):,} pairs)")
    axes.hist(same, bins, density=True, color=GREEN, alpha=0.65, label=f"same person ({len(same):,} pairs)")
    if threshold is not None:
        axes.axvline(threshold, color=RED, ls="--", label=f"match threshold {threshold:.3f}")
    axes.legend()
    _save(figure, file)


def plot_reliability(reliability: Reliability, file: Path) -> None:
    """Share of correct hits over their predicted probability; each point is labelled with its number of hits."""
    figure, axes = _one_axes(
        (5.2, 4.6), "Reliability of match probabilities", "predicted probability", "share of correct hits"
    )
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", label="perfect calibration")
    label = f"ECE {reliability.calibration_error:.3f}, Brier {reliability.brier:.3f}"
    axes.plot(reliability.probabilities, reliability.right, "o-", color=BLUE, label=label)
    for x, y, count in zip(reliability.probabilities, reliability.right, reliability.counts, strict=True):
        axes.annotate(f"{count:,}", (x, y), (4, -11), textcoords="offset points", fontsize=7)
    axes.set(xlim=(-0.02, 1.04), ylim=(-0.06, 1.04))
    axes.legend(loc="upper left")
    _save(figure, file)


def plot_camera_pairs(precisions: Float[np.ndarray, "camera camera"], cameras: Sequence[str], file: Path) -> None:
    """Heat map of mean average precision `[query camera, gallery camera]`; empty where no query has a match."""
    size = 2.6 + 0.5 * len(cameras)
    figure, axes = _one_axes((size + 0.8, size), "mAP by pair of cameras", "gallery camera", "query camera")
    image = axes.imshow(precisions, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(len(cameras)), cameras)
    axes.set_yticks(range(len(cameras)), cameras)
    axes.grid(visible=False)
    for row, column in zip(*np.nonzero(~np.isnan(precisions)), strict=True):
        value = precisions[row, column]
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                  color="white" if value < 0.6 else "black")  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.8)
    _save(figure, file)


def plot_route(
    cameras: Sequence[Camera],
    stops: Sequence[tuple[str, str, bool]],
    visits: Sequence[tuple[str, str]],
    title: str,
    file: Path,
) -> None:
    """The predicted route and the true visits of a person, side by side on the street plan.

    Args:
        cameras: all cameras of the district.
        stops: camera, printed time, and whether the stop is correct, in order of time.
        visits: camera and printed time of each true visit, in order of time.
        title: title of the figure.
        file: PNG file to write.
    """
    places = {camera.id: (camera.longitude, camera.latitude) for camera in cameras}
    shrink = float(np.cos(np.deg2rad(np.mean([camera.latitude for camera in cameras]))))  # of a degree of longitude
    longitude_span, latitude_span = np.ptp(np.array(list(places.values())), axis=0)
    is_wide = longitude_span * shrink > latitude_span
    figure = Figure((8.5, 7.5) if is_wide else (11, 6), layout="constrained")
    axes, true_axes = figure.subplots(*((2, 1) if is_wide else (1, 2)))
    _draw_walk(axes, places, [(camera, time, GREEN if right else RED) for camera, time, right in stops])
    _draw_walk(true_axes, places, [(camera, time, BLUE) for camera, time in visits])
    axes.set_title("predicted route (green: correct, red: wrong)", fontsize=10)
    true_axes.set_title("true visits", fontsize=10)
    for each in (axes, true_axes):
        each.set_aspect(1 / shrink, adjustable="datalim")
        each.margins(0.2)
        each.ticklabel_format(useOffset=False)
        each.tick_params(labelsize=7)
        each.set_xlabel("longitude", fontsize=8)
        each.set_ylabel("latitude", fontsize=8)
    figure.suptitle(title)
    _save(figure, file)


def _draw_walk(axes: Axes, places: Mapping[str, tuple[float, float]], steps: Sequence[tuple[str, str, str]]) -> None:
    """Arrows from camera to camera; each camera is labelled with the times of its steps."""
    for camera, place in places.items():
        axes.plot(*place, "o", color=GREY, ms=7, zorder=1)
        axes.annotate(camera, place, (0, -14), textcoords="offset points", ha="center", fontsize=8, color="#4a5568")
    for (camera, _, _), (following, _, colour) in pairwise(steps):
        if camera != following:
            axes.annotate("", places[following], places[camera], zorder=2, arrowprops={
                "arrowstyle": "-|>", "color": colour, "lw": 1.4, "shrinkA": 7, "shrinkB": 7,
                "connectionstyle": "arc3,rad=0.12"})  # fmt: skip
    for camera in dict.fromkeys(step[0] for step in steps):
        own = [(number, time, colour) for number, (at, time, colour) in enumerate(steps, start=1) if at == camera]
        axes.plot(*places[camera], "o", color=own[-1][2], ms=9, zorder=3)
        label = "\n".join(f"{number}. {time}" for number, time, _ in own)
        axes.annotate(label, places[camera], (8, 5), textcoords="offset points", fontsize=7.5, zorder=4,
                      bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6})  # fmt: skip


def _one_axes(size: tuple[float, float], title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_DPI)

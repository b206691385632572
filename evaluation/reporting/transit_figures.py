"""Plot of a transit model: the densities of transit times for each pair of cameras, as a matrix."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evaluation.transit import TransitModel
from evaluation.transit.model import NONE, step_times_s

_BLUE, _GREY = "#2b6cb0", "#a0aec0"
_MOST = 10  # cameras in the plot, those with most walks
_SHOWN_S = 1800.0
_DPI = 110


def plot_transits(model: TransitModel, names: Mapping[int, str], file: Path) -> None:
    """Density over the time from the camera of the row to that of the column: one person blue, strangers grey."""
    walks = np.where(model.row_of == NONE, 0, model.num_walks[model.row_of] if len(model.num_walks) else 0)
    shown = np.sort(np.argsort(-walks.sum(axis=1), kind="stable")[:_MOST]).tolist()
    times_s = step_times_s()
    near = np.abs(times_s) <= _SHOWN_S
    per_minute = 60 / np.gradient(times_s)
    figure = Figure(figsize=(1.5 * len(shown) + 1, 1.3 * len(shown) + 0.8), layout="constrained")
    axes = figure.subplots(len(shown), len(shown), squeeze=False, sharex=True)
    for row, first in enumerate(shown):
        for column, second in enumerate(shown):
            cell, place = axes[row, column], int(model.row_of[first, second])
            cell.tick_params(labelsize=5)
            cell.set_yticks([])
            if place != NONE:
                turn = slice(None) if first <= second else slice(None, None, -1)
                for densities, colour in ((model.strangers, _GREY), (model.one_person, _BLUE)):
                    cell.plot(times_s[near] / 60, (densities[place][turn] * per_minute)[near], color=colour, lw=0.8)
                cell.text(0.97, 0.9, f"n={model.num_walks[place]:.0f}", fontsize=5, ha="right", va="top",
                          transform=cell.transAxes)  # fmt: skip
            if column == 0:
                cell.set_ylabel(names[int(model.cameras[first])], fontsize=7)
            if row == 0:
                cell.set_title(names[int(model.cameras[second])], fontsize=7)
    figure.supxlabel("minutes from the camera of the row to that of the column", fontsize=7)
    figure.suptitle("Transit times: one person (blue), strangers (grey), pairs of visits n", fontsize=8)
    figure.savefig(file, dpi=_DPI)

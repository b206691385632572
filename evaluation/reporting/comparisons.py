"""Earlier runs of a district beside the run of the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.intervals.bootstrap import Estimate
from evaluation.past import Run
from evaluation.reporting.rows import NOTHING

_MAIN = {"detector": ("ap50",), "attributes": ("instance_f1",), "tracking": ("rank1", "idf1")}
_MAIN_OF_REID = ("reranked/map",)


@dataclass(frozen=True)
class Comparison:
    """The run of the report, the last one before it, and the best one of the others on the same test data."""

    ours: Run | None = None
    last: Run | None = None
    best: Run | None = None


def compare(model: str, runs: Sequence[Run], ours: str | None) -> Comparison:
    """Choose the runs to compare with; the best one has the highest AP50, instance F1, mAP, or Rank-1 of problems.

    Args:
        model: name of the evaluated model, or `tracking`.
        runs: all kept ones, oldest first.
        ours: id of the report's own run.
    """
    own = next((run for run in runs if run.id == ours), None)
    others = [run for run in runs if run.id != ours]
    names = _MAIN.get(model, _MAIN_OF_REID)
    name = next((name for name in names if own is not None and name in own.resampled.values), names[-1])
    rivals = [run for run in others if name in run.resampled.values and (own is None or run.test == own.test)]
    best = max(rivals, key=lambda run: run.resampled.values[name], default=None)
    return Comparison(own, others[-1] if others else None, best)


def run_title(run: Run) -> str:
    """Date, model version and commit of a run."""
    date, version, commit = (run.origin[name] for name in ("date", "model_version", "commit"))
    return ", ".join(filter(None, [f"{date[:16].replace('T', ' ')} UTC", version, f"code {commit[:12]}"]))


def figure_of(run: Run | None, name: str, write: Callable[[Any], str]) -> str:
    """A figure of a run as text; a dash without run or figure."""
    value = run.resampled.values.get(name) if run is not None else None
    return NOTHING if value is None or value != value else write(value)


def change_text(comparison: Comparison, other: Run | None, name: str, write: Callable[[Any], str]) -> str:
    """How much our figure exceeds that of another run, with its interval.

    A change whose interval holds no 0 is marked.
    """
    if other is None or comparison.ours is None or name not in other.resampled.values:
        return NOTHING
    change = comparison.ours.change_from(other, name)
    return "other test data" if change is None else signed(change, write)


def signed(change: Estimate, write: Callable[[Any], str]) -> str:
    """A change with sign and interval; * marks one whose interval holds no 0, a dash one that is undefined."""

    def one(value: float) -> str:
        return f"{'+' if value >= 0 else '−'}{write(abs(value))}"

    if change.value != change.value:
        return NOTHING
    if change.low is None or change.high is None:
        return one(change.value)
    mark = " *" if change.low > 0 or change.high < 0 else ""
    return f"{one(change.value)} ({one(change.low)} to {one(change.high)}){mark}"

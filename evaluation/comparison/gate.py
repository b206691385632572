"""Whether a challenger may replace the champion: promote, keep, or not enough data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from domain.settings import Settings
from evaluation.comparison.changes import Change, PartChange
from evaluation.comparison.compared import Compared

Verdict = Literal["promote", "keep", "not enough data"]


class TaskGate(Settings):
    """What is asked of models of one task; keys are described in `conf/compare/gate.yaml`."""

    must_rise: str
    may_fall: dict[str, NonNegativeFloat]
    min_units: PositiveInt


class Gate(Settings):
    """Section `compare`."""

    tasks: dict[Literal["detector", "attributes", "reid"], TaskGate]
    visible: PositiveFloat
    groups: tuple[str, ...]
    max_group_loss: NonNegativeFloat
    min_group_units: PositiveInt
    max_slowdown: float = Field(ge=1)


@dataclass(frozen=True)
class Decision:
    """What the gate says of a challenger."""

    verdict: Verdict
    reason: str  # a sentence


@dataclass(frozen=True)
class GroupLoss:
    """The kind of people for whom a figure changes least in favour of the challenger."""

    by: str
    part: str
    figure: str
    change: Change


def decide(compared: Compared, gate: Gate) -> Decision:
    """The decision on one model, by what changes beyond chance.

    A figure that fell keeps the champion, whatever else rose. If none fell, the main figure must have risen; where
    the test data could not have shown a change of the size `visible`, nothing is decided.
    """
    asked = gate.tasks[compared.challenger.card.task]
    main = compared.figures.get(asked.must_rise)
    num = f"{compared.num_units} test {compared.unit}"
    if compared.num_units < asked.min_units:
        return Decision("not enough data", f"The gate asks for {asked.min_units} test {compared.unit}, got {num}.")
    if main is None:
        return Decision("not enough data", f"The test data have nothing to tell {asked.must_rise} from.")
    if worse := _worse(compared, gate, asked):
        return Decision("keep", f"The challenger is worse: {'; '.join(worse)}.")
    if main.rises:
        return Decision("promote", f"{in_words(asked.must_rise, main)}, and nothing that the gate guards falls.")
    half_width = ((main.change.high or 0.0) - (main.change.low or 0.0)) / 2
    if half_width > gate.visible:
        said = f"a change of {100 * gate.visible:.0f} points would not show: {in_words(asked.must_rise, main)}"
        return Decision("not enough data", f"With {num}, {said}.")
    return Decision("keep", f"Nothing rises beyond chance: {in_words(asked.must_rise, main)}.")


def largest_group_loss(people: Sequence[PartChange], min_units: int) -> GroupLoss | None:
    """The greatest loss of any kind of people; the smallest gain where none loses; None without such kinds."""
    losses = [
        GroupLoss(part.by, part.part, figure, change)
        for part in people
        for figure, change in part.figures.items()
        if change.num_units >= min_units
    ]
    return min(losses, key=lambda loss: loss.change.change.value, default=None)


def in_words(figure: str, change: Change) -> str:
    """A change in points of percent, with its interval."""
    low, high = change.change.low, change.change.high
    bounds = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    both = f"{100 * change.champion:.1f} → {100 * change.challenger:.1f}"
    return f"{figure} {both}, {100 * change.change.value:+.1f}{bounds}"


def slowdowns(compared: Compared) -> dict[str, float]:
    """Milliseconds a picture of the challenger divided by the champion's, of each engine file that both have.

    None of what was measured on different machines.
    """
    ours, theirs = compared.challenger.facts(), compared.champion.facts()
    if not ours["machine"] or ours["machine"] != theirs["machine"]:
        return {}
    pairs = {file: (each, theirs["engines"].get(file)) for file, each in ours["engines"].items()}
    return {
        file: mine["ms_per_picture"] / other["ms_per_picture"]
        for file, (mine, other) in pairs.items()
        if other and mine["ms_per_picture"] and other["ms_per_picture"]
    }


def _worse(compared: Compared, gate: Gate, asked: TaskGate) -> list[str]:
    margins = {asked.must_rise: 0.0} | asked.may_fall
    fallen = [
        in_words(name, compared.figures[name])
        for name, margin in margins.items()
        if name in compared.figures and _falls(compared.figures[name], margin)
    ]
    main = asked.must_rise.rpartition("/")[2]  # alone: of many figures of many kinds of people one falls by chance
    losses = [
        GroupLoss(part.by, part.part, main, part.figures[main])
        for part in compared.people
        if main in part.figures
        and part.figures[main].num_units >= gate.min_group_units
        and _falls(part.figures[main], gate.max_group_loss)
    ]
    if losses:
        worst = min(losses, key=lambda loss: loss.change.change.value)
        others = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
        fallen.append(f"for {worst.by} {worst.part}, {in_words(worst.figure, worst.change)}{others}")
    slower = [
        f"{file} takes {ratio:.1f} times as long, at most {gate.max_slowdown:g} is allowed"
        for file, ratio in slowdowns(compared).items()
        if ratio > gate.max_slowdown
    ]
    return fallen + slower


def _falls(change: Change, margin: float) -> bool:
    return change.falls and change.change.value < -margin

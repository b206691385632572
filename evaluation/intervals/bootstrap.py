"""Bootstrap intervals: how much a figure would change if other people or pictures of the same kind had been there.

Independent units are drawn again with replacement, and each figure is computed anew from all that a draw holds. A unit
is what may be taken as independent of the others: a person with all crops, a picture with all people in it, a camera
with its video. Single crops are none: those of one person are alike, and their intervals would be far too narrow.
Two models that were scored on the same units see the same draws, so the differences of their replicates are paired:
the draws have a seed of their own, which no setting changes.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from scipy.stats import norm, t

CONFIDENCE = 0.95
SEED = 0
MIN_UNITS = 5  # fewer say next to nothing of others of their kind
_CELLS_AT_ONCE = 2**22  # of the largest array of a block of draws

Weights = Float64[np.ndarray, "repeat unit"]  # how often each unit is in each draw
Figures = Mapping[str, Float64[np.ndarray, " repeat"]]  # NaN where a draw holds nothing to compute one from


@dataclass(frozen=True)
class Sample:
    """What was evaluated, as independent units."""

    unit: str  # what is drawn again, in the plural: "people"
    num_units: int
    num_items: int  # length of the longest array that `figures` makes for a draw
    figures: Callable[[Weights], Figures]
    counted: Mapping[str, int] = field(default_factory=dict)  # units that a figure rests on, where it is not all

    def as_it_is(self) -> dict[str, float]:
        """The figures of the units as they are, each once."""
        return {name: float(values[0]) for name, values in self.figures(np.ones((1, self.num_units))).items()}


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its interval; None if the draws cannot tell them."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Resampled:
    """The figures of a sample, and of all draws from it."""

    unit: str
    num_units: int
    values: Mapping[str, float]
    replicates: Figures
    counted: Mapping[str, int]  # units that each figure rests on

    def estimates(self) -> dict[str, Estimate]:
        """Each figure with its interval."""
        return {
            name: Estimate(value, *(interval(self.replicates[name], self.counted[name]) or (None, None)))
            for name, value in self.values.items()
        }

    def flat(self) -> dict[str, float]:
        """`name`, `name_low` and `name_high` of each figure; the bounds are missing where there is no interval."""
        flat: dict[str, float] = {}
        for name, each in self.estimates().items():
            bounds = {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
            flat |= {key: value for key, value in bounds.items() if value is not None and not np.isnan(value)}
        return flat


def resample(sample: Sample, repeats: int, seed: int = SEED) -> Resampled:
    """Draw the units of `sample` again `repeats` times; the draws depend on the number of units and `seed` alone."""
    blocks = [sample.figures(weights) for weights in _draws(sample.num_units, sample.num_items, repeats, seed)]
    values = sample.as_it_is()
    replicates = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    counted = {name: sample.counted.get(name, sample.num_units) for name in values}
    return Resampled(sample.unit, sample.num_units, values, replicates, counted)


def interval(replicates: Float64[np.ndarray, " repeat"], num_units: int) -> tuple[float, float] | None:
    """The 95 % interval of a figure, from its values in the draws.

    Percentiles, farther out for few units, for which plain ones are too narrow: by as much as an interval of Student's
    t is wider than a normal one (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3).

    Returns:
        low and high; None with fewer than `MIN_UNITS` units, or if all draws give one value: then nothing was seen
        that could differ, which is no certainty.

    Example:
        >>> low, high = interval(np.linspace(0, 1, 1001), num_units=1_000_000)
        >>> round(low, 3), round(high, 3)
        (0.025, 0.975)
    """
    defined = replicates[~np.isnan(replicates)]
    if num_units < MIN_UNITS or not len(defined) or np.ptp(defined) < 1e-12:
        return None
    quantile = t.ppf((1 + CONFIDENCE) / 2, num_units - 1) * np.sqrt(num_units / (num_units - 1))
    tail = float(norm.cdf(-quantile))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def difference(ours: Resampled, theirs: Resampled, name: str) -> Estimate:
    """How much a figure of `ours` exceeds that of `theirs`, two models scored on the same units with the same draws."""
    change = ours.replicates[name] - theirs.replicates[name]
    bounds = interval(change, min(ours.counted[name], theirs.counted[name])) or (None, None)
    return Estimate(ours.values[name] - theirs.values[name], *bounds)


def draws_digest(num_units: int, seed: int = SEED) -> str:
    """Equal for equal draws, also by another version of NumPy."""
    first = next(_draws(num_units, num_units, 1, seed))
    return hashlib.sha256(first.tobytes()).hexdigest()[:16]


def ratios(
    numerators: Mapping[str, Float64[np.ndarray, " unit"]], denominators: Mapping[str, Float64[np.ndarray, " unit"]]
) -> Callable[[Weights], Figures]:
    """Figures that are a sum over units divided by another, such as a mean over the crops of all people.

    Args:
        numerators: by name of the figure.
        denominators: of the same names.
    """
    names = list(numerators)
    above, below = (np.stack([of[name] for name in names], axis=1) for of in (numerators, denominators))

    def figures(weights: Weights) -> Figures:
        return dict(zip(names, divided(weights @ above, weights @ below).T, strict=True))

    return figures


def units_of(denominators: Mapping[str, Float64[np.ndarray, " unit"]]) -> dict[str, int]:
    """The units that each of some `ratios` rests on: a label that three people have says nothing of a fourth."""
    return {name: int((values > 0).sum()) for name, values in denominators.items()}


def divided(
    above: Float64[np.ndarray, "*shape"], below: Float64[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """`above / below`, NaN where that is 0 / 0."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _draws(num_units: int, num_items: int, repeats: int, seed: int) -> Iterator[Weights]:
    """Blocks of draws, small enough for the memory."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(num_items, num_units))
    for first in range(0, repeats, at_once):
        size = min(at_once, repeats - first)
        # each draw is a call of its own, so that the size of blocks does not matter
        yield np.stack([_draw(num_units, rng) for _ in range(size)])


def _draw(num_units: int, rng: np.random.Generator) -> Float64[np.ndarray, " unit"]:
    return np.bincount(rng.integers(num_units, size=num_units), minlength=num_units).astype(np.float64)

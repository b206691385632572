"""Earlier evaluations of a district, kept so that a report can stand a model beside those before it.

Each evaluation leaves `history/<district>/<model>/<id>.npz`: its figures, and those of all bootstrap draws. The draws
depend on the number of units alone, so two models that were scored on the same test data can be compared pair by pair,
without the predictions of the earlier one. The files hold numbers only, no pictures and no names of pictures.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from domain.atomic import atomic_file
from domain.model_card import ModelCard
from domain.paths import HISTORY, project_folder
from evaluation.intervals.bootstrap import Estimate, Resampled, difference, draws_digest
from evaluation.origin import origin_of


@dataclass(frozen=True)
class Run:
    """An evaluation of a model."""

    id: str  # equal for equal figures of the same test data
    test: str  # digest of the test data and the draws
    origin: Mapping[
        str, str
    ]  # see `origin_of`; and trained_on, the district or source of the weights, and the source alone
    resampled: Resampled

    def change_from(self, other: "Run", name: str) -> Estimate | None:
        """How much a figure exceeds that of another run; None if that was scored on other test data."""
        known = name in self.resampled.replicates and name in other.resampled.replicates
        return difference(self.resampled, other.resampled, name) if known and self.test == other.test else None


def digest_of(names: Sequence[str], *labels: Shaped[np.ndarray, "..."]) -> str:
    """Equal for test data with the same pictures and labels."""
    summary = hashlib.sha256("\0".join(names).encode())
    for each in labels:
        summary.update(np.ascontiguousarray(each).tobytes())
    return summary.hexdigest()


def keep_run(
    district: str, model: str, card: ModelCard, test: str, resampled: Resampled, version: str | None = None
) -> str:
    """Keep an evaluation; one with the same figures on the same test data is replaced.

    Args:
        district: whose test data were scored.
        model: name of the evaluated model, such as `reid-osnet`.
        card: its card.
        test: see `digest_of`.
        resampled: its figures.
        version: of what was evaluated; default: that of `card`.

    Returns:
        the id of the run.
    """
    names = sorted(resampled.values)
    replicates = np.stack([resampled.replicates[name] for name in names]).astype(np.float32)
    values = np.array([resampled.values[name] for name in names], np.float64)
    drawn = f"{test} {draws_digest(resampled.num_units)} {replicates.shape[1]}"
    test = hashlib.sha256(drawn.encode()).hexdigest()[:16]
    origin = origin_of(district, version or card.version, card) | {
        "trained_on": card.source or card.district,
        "source": card.source,
    }
    identified = f"{test} {origin['model_version']}".encode() + values.round(9).tobytes()
    identity = hashlib.sha256(identified).hexdigest()[:12]
    file = _folder(district, model) / f"{identity}.npz"
    with atomic_file(file) as aside:
        np.savez_compressed(
            aside,
            names=np.array(names),
            values=values,
            replicates=replicates,
            unit=np.array(resampled.unit),
            num_units=np.array(resampled.num_units),
            counted=np.array([resampled.counted[name] for name in names]),
            test=np.array(test),
            origin=np.array(json.dumps(origin)),
        )
    return identity


def read_runs(district: str, model: str) -> list[Run]:
    """All kept runs of a model on a district, oldest first; a file that cannot be read is named and left out."""
    runs = []
    for file in sorted(_folder(district, model).glob("*.npz")):
        try:
            runs.append(_read(file))
        except (OSError, ValueError, KeyError, EOFError) as error:
            print(f"note: {file} is left out of the comparison, for it cannot be read ({error})")
    return sorted(runs, key=lambda run: run.origin["date"])


def merged(parts: Sequence[Resampled], prefixes: Sequence[str] = ()) -> Resampled:
    """Figures of several samples as one, such as of two rankings: `plain/map`, `reranked/map`.

    Args:
        parts: with as many draws each; the fewest units of any stand for all.
        prefixes: of the names of each part's figures; default: none.
    """
    starts = [f"{prefix}/" for prefix in prefixes] or [""] * len(parts)
    named = list(zip(starts, parts, strict=True))
    return Resampled(
        " and ".join(dict.fromkeys(each.unit for each in parts)),
        min(each.num_units for each in parts),
        {f"{start}{name}": value for start, each in named for name, value in each.values.items()},
        {f"{start}{name}": value for start, each in named for name, value in each.replicates.items()},
        {f"{start}{name}": count for start, each in named for name, count in each.counted.items()},
    )


def with_points(resampled: Resampled, points: Mapping[str, float]) -> Resampled:
    """`resampled` with figures that have no draws, so that none of their changes has an interval."""
    num_draws = len(next(iter(resampled.replicates.values())))
    return replace(
        resampled,
        values={**resampled.values, **points},
        replicates={**resampled.replicates, **dict.fromkeys(points, np.full(num_draws, np.nan))},
        counted={**resampled.counted, **dict.fromkeys(points, 0)},
    )


def _folder(district: str, model: str) -> Path:
    return project_folder(Path.cwd()) / HISTORY.of(district) / model


def _read(file: Path) -> Run:
    with np.load(file, allow_pickle=False) as arrays:
        names: list[str] = arrays["names"].tolist()
        replicates: Float32[np.ndarray, "figure repeat"] = arrays["replicates"]
        resampled = Resampled(
            str(arrays["unit"]),
            int(arrays["num_units"]),
            dict(zip(names, arrays["values"].tolist(), strict=True)),
            dict(zip(names, replicates.astype(np.float64), strict=True)),
            dict(zip(names, arrays["counted"].tolist(), strict=True)),
        )
        return Run(file.stem, str(arrays["test"]), json.loads(str(arrays["origin"])), resampled)

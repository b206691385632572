"""Splits where the source has none: pictures of one sequence by time, people by identity.

Pictures whose names differ only in their last number are a sequence, as frames of a video. A sequence of ten or more is
cut by time into a part for training, then for validation, then for test; a fiftieth of it is left out before each cut,
so that neighbouring frames are never in two splits. Shorter sequences go whole to the split that lacks most.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from districts.importing.annotated import Picture
from districts.layout import SPLITS, Split
from domain.errors import InputError, shown

_LONG, _GAP = 10, 0.02
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_Item = TypeVar("_Item", bound=Hashable)


@dataclass(frozen=True)
class Shares:
    """Shares of training, validation and test, which sum to 1."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15

    @classmethod
    def of_text(cls, text: str) -> "Shares":
        """Shares from percentages such as `70,15,15`.

        Raises:
            InputError: unless there are three numbers that are not negative and sum to 100.
        """
        try:
            train, val, test = (float(part) / 100 for part in text.split(","))
        except ValueError as error:
            raise InputError(f"--splits must be three percentages, such as 70,15,15, got {shown(text)}") from error
        if not (min(train, val, test) >= 0 and abs(train + val + test - 1) < 1e-6):
            raise InputError(f"--splits must be percentages from 0 that sum to 100, got {shown(text)}")
        return cls(train, val, test)

    def borders(self, count: int) -> tuple[int, int]:
        """Where validation and test begin among `count` items in order; each part with a share has one item or more.

        Example:
            >>> Shares().borders(20), Shares().borders(3), Shares(1, 0, 0).borders(5)
            ((14, 17), (1, 2), (5, 5))
        """
        num_test = min(count, max(round(self.test * count), 1)) if self.test else 0
        num_val = min(count - num_test, max(round(self.val * count), 1)) if self.val else 0
        if self.train and num_val + num_test == count > 1:
            num_val -= num_val > 0
        return count - num_test - num_val, count - num_test


def split_in_order(items: Sequence[_Item], shares: Shares) -> dict[_Item, Split]:
    """The first items are for training, the last for test."""
    first_val, first_test = shares.borders(len(items))
    return {
        item: "train" if place < first_val else "val" if place < first_test else "test"
        for place, item in enumerate(items)
    }


def split_people(identities: Iterable[_Item], shares: Shares) -> dict[_Item, Split]:
    """A split for each identity, in an order that looks random but is the same in each run."""
    return split_in_order(sorted(set(identities), key=lambda each: sha256(repr(each).encode()).digest()), shares)


def split_pictures(pictures: Sequence[Picture], shares: Shares) -> tuple[list[Picture], list[str]]:
    """`pictures`, each with a split, and notes on what was done.

    A source with pictures for training and none for validation or test gives up the last part of its training pictures;
    so does a source with one of the two. Other splits of the source are kept.
    """
    given = {split: sum(picture.split == split for picture in pictures) for split in SPLITS}
    free = [picture for picture in pictures if picture.split is None]
    kept = [picture for picture in pictures if picture.split is not None]
    if not kept:
        cut = _by_sequence(free, shares)
        said = f"the source has no splits: cut by time within each sequence of pictures{_lost(free, cut)}"
        return cut, [said] if free else []
    notes = [f"{len(free)} pictures are in no split of the source; left out"] if free else []
    missing = [split for split in SPLITS if not given[split]]
    if not missing:
        return kept, notes
    donor: Split = "train" if given["train"] else "val" if given["val"] else "test"
    wanted = {split: getattr(shares, split) if split in (donor, *missing) else 0.0 for split in SPLITS}
    total = sum(wanted.values())
    if not total:
        return kept, notes
    part = Shares(**{split: share / total for split, share in wanted.items()})
    given_up = [picture for picture in kept if picture.split == donor]
    cut = _by_sequence(given_up, part)
    notes.append(f"the source has no {' and no '.join(missing)}: cut by time from its {donor}{_lost(given_up, cut)}")
    return [picture for picture in kept if picture.split != donor] + cut, notes


def _lost(before: Sequence[Picture], after: Sequence[Picture]) -> str:
    lost = len(before) - len(after)
    return f"; {lost} pictures beside the cuts are left out" if lost else ""


def _by_sequence(pictures: Sequence[Picture], shares: Shares) -> list[Picture]:
    sequences: dict[tuple[Path, str], list[tuple[int, Picture]]] = defaultdict(list)
    for picture in pictures:
        stem = picture.file.stem
        last = _LAST_NUMBER.search(stem)
        sequences[picture.file.parent, _LAST_NUMBER.sub("#", stem)].append((int(last[1]) if last else 0, picture))
    short: list[list[Picture]] = []
    done = []
    for _, numbered in sorted(sequences.items(), key=lambda item: str(item[0])):
        ordered = [picture for _, picture in sorted(numbered, key=lambda each: (each[0], each[1].file))]
        if len(ordered) < _LONG:
            short.append(ordered)
            continue
        done += [replace(picture, split=split) for picture, split in _cut(ordered, shares) if split is not None]
    return done + _whole(short, shares, done)


def _cut(ordered: Sequence[Picture], shares: Shares) -> Iterator[tuple[Picture, Split | None]]:
    """Each picture of a sequence with its split; None just before a cut."""
    first_val, first_test = shares.borders(len(ordered))
    gap = max(1, round(_GAP * len(ordered)))
    for place, picture in enumerate(ordered):
        split: Split = "train" if place < first_val else "val" if place < first_test else "test"
        is_before_cut = any(0 < cut - place <= gap and cut < len(ordered) for cut in (first_val, first_test))
        yield picture, None if is_before_cut else split


def _whole(sequences: Sequence[Sequence[Picture]], shares: Shares, done: Sequence[Picture]) -> list[Picture]:
    """Whole sequences, each in the split that lacks most; the order looks random but is the same in each run."""
    counts = {split: sum(picture.split == split for picture in done) for split in SPLITS}
    total = len(done) + sum(len(sequence) for sequence in sequences)
    first_val, first_test = shares.borders(total)
    wanted = {"train": first_val, "val": first_test - first_val, "test": total - first_test}
    ordered = sorted(sequences, key=lambda each: (-len(each), sha256(each[0].file.name.encode()).digest()))
    split_up = []
    for sequence in ordered:
        split = max(SPLITS, key=lambda each: wanted[each] - counts[each])
        counts[split] += len(sequence)
        split_up += [replace(picture, split=split) for picture in sequence]
    return split_up

"""Gives stored sightings the embeddings and attributes of this deployment's models, from their stored crops.

    python -m serving.reembed                   # all sightings, the latest first; progress on the way
    python -m serving.reembed --rate 20         # at most 20 sightings a second, so that a busy machine stays usable
    python -m serving.reembed --follow          # then goes on with what other models see, until it is ended

Run it in the folder of the deployment with the new models, beside the service that still searches with the old ones.
Sightings keep what earlier models say, their numbers, verdicts, cases and legal holds, so that the old deployment goes
on, and a roll-back finds everything. A process that is killed goes on where it was. Settings: params.yaml in the
current folder; `key=value` arguments override them.
"""

import argparse
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domain.errors import ArtifactError, InputError
from domain.images import Picture, decode_jpeg
from domain.model_card import read_card
from serving.database import audit, reembedding
from serving.database.commands import run_command
from serving.database.crops import crop_paths
from serving.database.reembedding import Lacking, Learnt, Models
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception

_SEGMENTS = 500  # whose sightings are looked up at a time
_SIGHTINGS = 64  # at most, in a transaction
_NICE = 10  # the service takes what it needs first
_PAUSE_S = 5.0  # between two looks for new sightings
_TELL_EVERY_S = 10.0
_NAMED = 5  # of the crops that are lost
_NONE = np.empty(0, np.float32)


def main(argv: Sequence[str] = ()) -> None:
    """Open the engines and the store, and go on until no sighting is left, or with `--follow` until a signal.

    Raises:
        InputError: if a setting is invalid, the database does not answer, or another process does the same.
        ArtifactError: if an engine is missing.
    """
    options = _arguments(argv)
    deployment = Deployment.read(Path(), options.overrides)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    os.nice(_NICE)
    perception = Perception(*deployment.open_engines(), deployment.perception)
    models = Models(read_card(deployment.engine(deployment.reid)).version, perception.attributes_version)
    with open_store(deployment.store) as store, reembedding.hold_models(store.engine, models):
        deployment.record_in(store)
        work = Reembedding(store, perception, models, options.rate)
        work.run(stopping)
        while options.follow and not stopping.wait(_PAUSE_S):
            work.run(stopping)
        work.tell()
        work.record()


@dataclass
class Reembedding:
    """The work on the sightings of a store.

    Args:
        store: has the sightings.
        perception: the models.
        models: their versions.
        rate: most sightings a second; None for as many as the machine does.
    """

    store: Store
    perception: Perception
    models: Models
    rate: float | None = None
    num_done: int = 0  # sightings, by this process
    without_crop: dict[tuple[str, int], str] = field(default_factory=dict)  # sightings whose crop is lost, and why
    _began: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _next: float = 0.0  # when the rate allows more sightings

    def run(self, stopping: threading.Event) -> None:
        """Give all sightings what they lack, or until `stopping` is set."""
        while not stopping.is_set():
            with self.store.begin() as connection:
                segments = reembedding.pending_segments(connection, self.models, _SEGMENTS)
                todo = reembedding.lacking(connection, segments, self.models) if segments else []
            if not segments:
                return
            todo = [one for one in todo if one.key not in self.without_crop]
            at_once = _SIGHTINGS if self.rate is None else max(1, min(_SIGHTINGS, int(self.rate)))
            for first in range(0, len(todo), at_once):
                if stopping.wait(max(0.0, self._next - time.monotonic())):
                    return
                self._add(todo[first : first + at_once])
            with self.store.begin() as connection:
                reembedding.finish(connection, segments, self.models, self.without_crop.keys())

    def tell(self) -> None:
        """Print how many sightings have an embedding, and how fast they get it."""
        self._told = time.monotonic()
        with self.store.begin() as connection:
            done, of_all = reembedding.progress(connection, self.models)
        rate = self.num_done / max(self._told - self._began, 1e-9)
        left = f", {(of_all - done) / rate / 60:.0f} minutes left" if rate and done < of_all else ""
        print(
            f"{done} of {of_all} sightings have an embedding by {self.models.reid}; {rate:.1f} a second{left}",
            flush=True,
        )

    def record(self) -> None:
        """Add what was done to the audit, and whether nothing is left; print which crops are lost."""
        details = {**vars(self.models), "sightings": self.num_done, "without_crop": len(self.without_crop)}
        if self.num_done or self.without_crop:
            with self.store.begin() as connection:
                is_whole = not reembedding.pending_segments(connection, self.models, 1)
                account = audit.command_account()
                audit.append(connection, account, audit.Action.REEMBEDDING, {**details, "is_whole": is_whole})
        for reason in list(self.without_crop.values())[:_NAMED]:
            print(f"not found by the new model: {reason}")
        if self.without_crop:
            print(f"the crops of {len(self.without_crop)} sightings cannot be read")

    def _add(self, some: Sequence[Lacking]) -> None:
        if self.rate is not None:
            self._next = time.monotonic() + len(some) / self.rate
        seen = list(self._crops(some))
        if seen:
            embeddings = iter(self.perception.embed_people([crops for one, crops in seen if one.needs_embedding]))
            attributes = iter(self.perception.describe([crops for one, crops in seen if one.needs_attributes]))
            learnt = [
                Learnt(
                    one,
                    next(embeddings) if one.needs_embedding else _NONE,
                    next(attributes) if one.needs_attributes else {},
                )
                for one, _ in seen
            ]
            with self.store.begin() as connection:
                reembedding.add(connection, learnt, self.models)
        self.num_done += len(seen)
        if time.monotonic() - self._told > _TELL_EVERY_S:
            self.tell()

    def _crops(self, some: Sequence[Lacking]) -> Iterator[tuple[Lacking, list[Picture]]]:
        """The sightings with those of their crops that can be read, if there is one."""
        for one in some:
            crops, reason = [], ""
            for path in crop_paths(one.row["crop"], one.row["num_crops"]):
                try:
                    crops.append(decode_jpeg(self.store.crops.read(path)))
                except (FileNotFoundError, ArtifactError, InputError) as error:
                    reason = f"{one.row['district']}/{one.row['id']}: {error}"
            if crops:
                yield one, crops
            else:
                self.without_crop[one.key] = reason


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.reembed", description="new models for stored sightings")
    parser.add_argument("--rate", type=_positive, help="at most so many sightings a second")
    parser.add_argument("--follow", action="store_true", help="go on with new sightings until a signal")
    parser.add_argument("overrides", nargs="*", help="settings, such as reid.backbone=resnet50")
    return parser.parse_args(list(argv))


def _positive(text: str) -> float:
    if (number := float(text)) <= 0:
        raise argparse.ArgumentTypeError(f"--rate must be above 0, got {text}")
    return number


if __name__ == "__main__":
    run_command(main)

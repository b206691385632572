"""Transit times from operation: `python -m serving.transits [--write]`.

Learns the transit times between the cameras of the deployment's district from its latest stored sightings, from those
that cases confirmed and from likely ones, and tells what has drifted against the times in use: cameras whose times
contradict them, and clocks that differ from the others', with an error bar. Stored times are never changed. With
`--write` the learnt times take the place of `transits/<district>`; restart the service then. They have a version of
their own, so that every answer says with which it was made.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from domain.atomic import atomic_folder
from domain.model_card import read_card
from domain.paths import TRANSITS
from evaluation.transit import TransitModel, Walks, fit_transits, misleading_cameras
from evaluation.transit.clocks import clock_offsets
from evaluation.transit.files import TransitCard, write_transits
from serving.cases.walks import DistrictWalks, walks_of_district
from serving.database.commands import run_command
from serving.database.districts import cameras_by_key
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.matching.transits import Transits

_CERTAIN = 3  # standard errors from which on a clock is told to be wrong


def main(argv: Sequence[str] = ()) -> None:
    """Learn, tell, and with `--write` replace the times in use.

    Raises:
        InputError: if the database does not answer, or holds no sightings of two cameras.
        ArtifactError: if the engine or the times in use are not whole.
    """
    parser = argparse.ArgumentParser(
        prog="python -m serving.transits", description="learn transit times from operation, and tell what has drifted"
    )
    parser.add_argument("--write", action="store_true", help="use the learnt times from the next start on")
    options = parser.parse_args(list(argv))
    deployment = Deployment.read(Path.cwd())
    district, version = deployment.district, read_card(deployment.engine(deployment.reid)).version
    with open_store(deployment.store) as store, store.begin() as connection:
        cameras = [camera for (name, _), camera in cameras_by_key(connection).items() if name == district]
        found = walks_of_district(connection, cameras, district, version)
    print(
        f"{district}: {len(found.times_s)} sightings of {len(found.cameras)} cameras, {len(found.confirmed)} confirmed "
        f"walks, {found.likely.weights.sum():.0f} likely ones"
    )
    for line in drift(found, deployment.transits(), district):
        print(line)
    if not options.write:
        print("nothing was changed; --write uses the times that were learnt")
        return
    names = {number: camera.id for number, camera in enumerate(found.cameras, start=1)}
    with atomic_folder(deployment.root / TRANSITS.of(district)) as folder:
        card = write_transits(folder, found.fit(), TransitCard(district=district, cameras=names))
    print(f"{deployment.root / TRANSITS.of(district)}: version {card.version}; restart the service")


def drift(found: DistrictWalks, used: Transits, district: str) -> Iterator[str]:
    """What differs from the times in use, or without such from walking times: a line for each camera."""
    model, walks, names = _compared(found, used, district)
    offsets = clock_offsets(model, walks)
    wrong = {}
    for number, offset_s, error_s in zip(offsets.cameras, offsets.offsets_s, offsets.errors_s, strict=True):
        if abs(offset_s) > _CERTAIN * error_s:
            wrong[int(number)] = offset_s
            side = "ahead of" if offset_s > 0 else "behind"
            yield (
                f"{names[int(number)]}: its clock is {abs(offset_s):.0f} s {side} the others, give or take "
                f"{error_s:.0f} s; set the clock, stored times stay as they are"
            )
    for number in misleading_cameras(model, walks):
        if number not in wrong:
            yield f"{names[number]}: its times contradict those in use; people come another way, or its clock jumped"


def _compared(found: DistrictWalks, used: Transits, district: str) -> tuple[TransitModel, Walks, dict[int, str]]:
    """The model to hold the walks against, the walks in its numbers of cameras, and the cameras' ids."""
    names = {number: camera.id for number, camera in enumerate(found.cameras, start=1)}
    if used.model is None:
        nobody = found.walks.chosen(np.zeros(len(found.walks), bool))
        return fit_transits(nobody, found.numbers, found.times_s, metres=found.metres), found.walks, names
    number_in_use = {number: used.numbers.get((district, name), 0) for number, name in names.items()}
    first, second = (
        np.array([number_in_use[number] for number in each.tolist()], np.int64)
        for each in (found.walks.from_cameras, found.walks.to_cameras)
    )
    walks = replace(found.walks, from_cameras=first, to_cameras=second).chosen((first > 0) & (second > 0))
    return used.model, walks, {number: name for (_, name), number in used.numbers.items()}


if __name__ == "__main__":
    run_command(main)

"""A full frame of a stored sighting, with two other people in it, as plain coloured boxes."""

from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from domain.images import encode_jpeg
from serving.database import tables
from serving.database.crops import frame_path
from serving.database.store import Store
from tests.helpers.deployments import BLUE, GREEN, RED
from tests.helpers.sightings import NOON

Box = tuple[int, int, int, int]  # left, top, right, bottom
HEIGHT, WIDTH = 240, 320
PERSON, TRACKED, UNTRACKED = (190, 60, 230, 220), (250, 60, 290, 220), (40, 60, 80, 220)
_FRAME = 7


def scene(*people: tuple[Box, tuple[int, int, int]]) -> np.ndarray:
    """A bright street with people, each a box of a colour."""
    image = np.full((HEIGHT, WIDTH, 3), 225, np.uint8)
    for (left, top, right, bottom), colour in people:
        image[top:bottom, left:right] = colour
    return image


def add_full_frame(store: Store) -> None:
    """One of the sighting 1 of `demo`, a red person; the blue sighting 3 stands beside, and somebody green.

    Nobody tracks the green person, whom the tiny detector finds in the left half.
    """
    seen = tables.tracklets
    with store.begin() as connection:
        for number, box in ((1, PERSON), (3, TRACKED)):
            values = {
                "boxes": [[_FRAME, *map(float, box), 0.9]],
                "first_seen": NOON,
                "last_seen": NOON + timedelta(seconds=5),
                "full_frame": _FRAME if number == 1 else None,
            }
            is_it = (seen.c.district == "demo") & (seen.c.id == number)
            crop = connection.execute(sa.update(seen).where(is_it).values(values).returning(seen.c.crop)).scalar_one()
            if number == 1:
                frame = encode_jpeg(scene((PERSON, RED), (TRACKED, BLUE), (UNTRACKED, GREEN)))
                store.crops.write_files({frame_path(crop): frame})

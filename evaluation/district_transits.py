"""Transit times of a district's annotated people."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from districts.layout import District, ReidTable, read_district, read_reid_folder
from domain.cameras import metres_between
from evaluation.transit import TransitModel, fit_transits, walks_of_people


def transits_of_people(folder: Path) -> TransitModel | None:
    """The transit model of the training people of the district in `folder`; None without walks that have times."""
    if not (folder / "reid" / "bounding_box_train").is_dir():  # a district may have people to test on alone
        return None
    crops = read_reid_folder(folder, "bounding_box_train")
    walks = walks_of_people(crops.identities, crops.cameras, crops.times_s)
    if not len(walks):
        return None
    metres = metres_of(crops, read_district(folder))
    return fit_transits(walks, crops.cameras, crops.times_s, metres=metres)


def metres_of(crops: ReidTable, district: District) -> Float[np.ndarray, "camera camera"]:
    """Distances between the cameras that have crops with times, in the order of their numbers.

    NaN for a camera that `district` does not have, and between two at one place: their positions are placeholders.
    """
    numbers = np.unique(crops.cameras[~np.isnan(crops.times_s)]).tolist()
    metres = np.full((len(numbers), len(numbers)), np.nan)
    known = [
        (row, district.cameras[number - 1]) for row, number in enumerate(numbers) if 0 < number <= len(district.cameras)
    ]
    for row, camera in known:
        for column, other in known:
            apart = metres_between(camera, other)
            if apart > 0:
                metres[row, column] = apart
    return metres

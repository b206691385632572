"""Where is searched: in cameras that are named, in those of an area, or in those of both."""

from collections.abc import Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field

from domain.cameras import CameraKey, metres_between
from domain.errors import InputError
from serving.database.store import Store

_MOST_NAMES = 5  # that an error lists
_LONGEST_NAME = 200  # of which similar ones are looked for


class Area(BaseModel):
    """A circle on the map; a camera on its line is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    radius_m: float = Field(gt=0, allow_inf_nan=False)


def cameras_asked(store: Store, names: Sequence[str] | None, area: Area | None) -> list[CameraKey] | None:
    """Cameras of `store` that are named and stand in `area`, by district and id; None where all are meant.

    Args:
        store: of the sightings.
        names: such as `demo/c1`, district and id; None for all.
        area: where they stand; None for anywhere.

    Raises:
        InputError: if there is no camera of a name, or none in the area; it says which are near.
    """
    if names is None and area is None:
        return None
    known = {f"{district.name}/{camera.id}": camera for district in store.districts() for camera in district.cameras}
    strange = sorted(set(names or ()) - set(known))
    if strange or names == []:
        near = get_close_matches((strange or [""])[0][:_LONGEST_NAME], known, n=_MOST_NAMES, cutoff=0)
        got = ", ".join(map(repr, strange)) or "none"
        raise InputError(f"cameras must be named by district and id, such as {', '.join(near)}, got {got}")
    wanted = {name: camera for name, camera in known.items() if names is None or name in names}
    if area is not None:
        metres = {name: metres_between(camera, area) for name, camera in wanted.items()}
        nearest = min(metres, key=lambda name: metres[name])
        if metres[nearest] > area.radius_m:
            raise InputError(
                f"area must hold a camera that is asked for, got one of {area.radius_m:g} m around; the nearest, "
                f"{nearest}, is {metres[nearest]:.0f} m from its centre"
            )
        wanted = {name: camera for name, camera in wanted.items() if metres[name] <= area.radius_m}
    return [(name.rpartition("/")[0], camera.id) for name, camera in wanted.items()]

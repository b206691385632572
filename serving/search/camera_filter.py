"""Cameras of a search: by name, by area on the map, or both."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field

from domain.cameras import CameraKey, metres_between
from domain.errors import InputError, shown
from serving.database.districts import stored_districts
from serving.database.store import Store

_MAX_SUGGESTIONS = 5  # similar names in an error
_MAX_COMPARED_LENGTH = 200  # of an unknown name when it is compared with the known ones, so that long ones take no time


class Area(BaseModel):
    """Circle on the map, border included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    radius_m: float = Field(gt=0, le=1e8, allow_inf_nan=False)


def select_cameras(
    store: Store, names: Sequence[str] | None, area: Area | None, districts: Collection[str] | None = None
) -> list[CameraKey] | None:
    """Cameras of `store` that have one of the `names` and stand in `area`, by district and id; None without a filter.

    Args:
        store: the store of the sightings.
        names: district and id, such as `demo/c1`; None for all.
        area: None for anywhere.
        districts: as if there were no others; None for all.

    Raises:
        InputError: if a name is unknown, the districts have no camera, or none is in the area; the message names
            similar or near cameras.
    """
    if names is None and area is None and districts is None:
        return None
    with store.begin() as connection:
        stored = stored_districts(connection, districts)
    known = {f"{district.name}/{camera.id}": camera for district in stored for camera in district.cameras}
    if districts is not None and not known:
        raise InputError(f"the districts {', '.join(sorted(districts))} must have cameras, they have none")
    unknown = sorted(set(names or ()) - set(known))
    if unknown or names == []:
        compared = (unknown or [""])[0][:_MAX_COMPARED_LENGTH]
        similar = get_close_matches(compared, known, n=_MAX_SUGGESTIONS, cutoff=0)
        got = ", ".join(map(shown, unknown[:_MAX_SUGGESTIONS])) or "none"
        raise InputError(
            f"cameras must be named by district and id, such as {', '.join(similar)}, got {got}", code="cameras_unknown"
        )
    selected = {name: camera for name, camera in known.items() if names is None or name in names}
    if area is not None:
        metres = {name: metres_between(camera, area) for name, camera in selected.items()}
        nearest = min(metres, key=lambda name: metres[name])
        if metres[nearest] > area.radius_m:
            raise InputError(
                f"area must contain a selected camera, got a radius of {area.radius_m:g} m; the nearest camera, "
                f"{nearest}, is {metres[nearest]:.0f} m from the centre",
                code="area_empty",
            )
        selected = {name: camera for name, camera in selected.items() if metres[name] <= area.radius_m}
    return [(name.rpartition("/")[0], camera.id) for name, camera in selected.items()]

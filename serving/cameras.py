"""Cameras of the store: add, rename, move, retire, import and list them. Each change has a record in the audit.

    python -m serving.cameras list [DISTRICT]
    python -m serving.cameras add DISTRICT ID --name NAME --at LATITUDE,LONGITUDE [--time-zone Asia/Seoul]
    python -m serving.cameras rename DISTRICT ID NAME
    python -m serving.cameras move DISTRICT ID LATITUDE,LONGITUDE
    python -m serving.cameras retire DISTRICT ID
    python -m serving.cameras import DISTRICT cameras.csv [--time-zone Asia/Seoul]

`add` makes a new district, too, which needs `--time-zone`; a retired camera comes back. `move` and `rename` hold for
past sightings, too, for they correct: a camera that now hangs elsewhere is a new one. `import` adds the cameras of a
table with the columns id, name, latitude and longitude, and renames and moves known ones; after an error none of it.
Coverage misses no video of a camera before it was added or after it was retired. Settings: section `serving` of
params.yaml in the current folder.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from domain.cameras import Camera
from domain.errors import InputError
from domain.foreign_files import read_rows
from domain.names import require_name
from serving.database import audit, cameras
from serving.database.cameras import CameraState
from serving.database.commands import run_command
from serving.database.store import open_store
from serving.deployment import ServingSettings

_COLUMNS = ("id", "name", "latitude", "longitude")


def main(argv: Sequence[str] = ()) -> None:
    """Run the command of `argv`.

    Raises:
        InputError: if the settings, a camera or the table is invalid, or the database does not answer.
    """
    options, by = _parser().parse_args(argv), audit.command_account()
    with open_store(ServingSettings.from_params("serving").store_folder) as store, store.begin() as connection:
        match options.command:
            case "list":
                for state in cameras.camera_states(connection, options.district):
                    print(_line(state))
            case "add":
                camera = cameras.camera_of(options.id, options.name, *_place(options.at))
                district = require_name(options.district)
                cameras.add_camera(
                    connection,
                    district,
                    camera,
                    cameras.zone_for(connection, options.district, options.time_zone or ""),
                    cameras.now(),
                    by,
                )
                print(f"{district} has {camera.id} ({camera.name})")
            case "rename":
                cameras.camera_of(options.id, options.name, "0", "0")
                cameras.describe_camera(connection, options.district, options.id, by, name=options.name)
                print(f"{options.id} of {options.district} is named {options.name}")
            case "move":
                latitude, longitude = _place(options.at)
                cameras.camera_of(options.id, "", latitude, longitude)
                place = {"latitude": float(latitude), "longitude": float(longitude)}
                cameras.describe_camera(connection, options.district, options.id, by, **place)
                print(f"{options.id} of {options.district} is at {latitude}, {longitude}, past sightings included")
            case "retire":
                cameras.retire_camera(connection, options.district, options.id, cameras.now(), by)
                print(f"{options.id} of {options.district} is retired; take it out of the file of live cameras, too")
            case _:
                counts = _import(
                    connection,
                    require_name(options.district),
                    options.file,
                    cameras.zone_for(connection, options.district, options.time_zone or ""),
                    by,
                )
                print(f"{options.district}: {counts['new']} cameras added, {counts['changed']} changed, "
                      f"{counts['same']} as they were, {counts['others']} not in the table stay")  # fmt: skip


def _import(connection: sa.Connection, district: str, file: Path, zone: str, by: str) -> Counter[str]:
    """Add or change the cameras of the table; how many were `new`, `changed`, the `same`, or `others`."""
    described = read_table(file)
    known = {state.camera.id: state for state in cameras.camera_states(connection, district)}
    counts = Counter(others=len(known.keys() - {camera.id for camera in described}))
    for camera in described:
        state = known.get(camera.id)
        if state is None or state.service.retired is not None:
            cameras.add_camera(connection, district, camera, zone, cameras.now(), by)
            counts["new"] += 1
            continue
        new = {name: getattr(camera, name) for name in _COLUMNS[1:]}
        if changed := {name: value for name, value in new.items() if value != getattr(state.camera, name)}:
            cameras.describe_camera(connection, district, camera.id, by, **changed)
        counts["changed" if changed else "same"] += 1
    return counts


def read_table(file: Path) -> list[Camera]:
    """The cameras of a table with the columns id, name, latitude and longitude; others are left aside.

    Raises:
        InputError: as `read_rows` does, or if a line describes no camera or one that stands above.
    """
    found: dict[str, Camera] = {}
    wrong = []
    for number, row in read_rows(file, _COLUMNS).items():
        try:
            camera = cameras.camera_of(*(row[name] for name in _COLUMNS))
        except InputError as error:
            wrong.append(f"  line {number}: {error}")
            continue
        if camera.id in found:
            wrong.append(f"  line {number}: {camera.id} stands above already")
        found[camera.id] = camera
    if wrong or not found:
        raise InputError("\n".join([f"each line of {file} must describe a camera of its own:", *(wrong or ["  none"])]))
    return list(found.values())


def _place(text: str) -> tuple[str, str]:
    latitude, separator, longitude = text.partition(",")
    if not separator:
        raise InputError(f"a place must be LATITUDE,LONGITUDE such as 35.8584,128.6306, got {text!r}")
    return latitude.strip(), longitude.strip()


def _line(state: CameraState) -> str:
    camera, service = state.camera, state.service
    now = f"retired {service.retired:%Y-%m-%d %H:%M} UTC" if service.retired else "in service"
    seen = f"seen until {state.last_processed:%Y-%m-%d %H:%M:%S} UTC" if state.last_processed else "no video yet"
    away = [f"away now: {state.gap}"] if state.gap else []
    place = f"{camera.latitude:.6f},{camera.longitude:.6f}"
    return "\t".join([f"{state.district}/{camera.id}", camera.name, place, now, seen, *away])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.cameras", description="Manage the cameras of the store.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="print all cameras with place and state")
    listing.add_argument("district", nargs="?")
    add = commands.add_parser("add", help="add a camera, and its district if that is new")
    rename = commands.add_parser("rename", help="give a camera another name; its id stays")
    move = commands.add_parser("move", help="correct the place of a camera, of past sightings too")
    retire = commands.add_parser("retire", help="take a camera out of service; its sightings stay")
    table = commands.add_parser("import", help="add and change cameras by a CSV file")
    for command in (add, rename, move, retire, table):
        command.add_argument("district")
    for command in (add, rename, move, retire):
        command.add_argument("id")
    add.add_argument("--name", default="", help="default: the id")
    add.add_argument("--at", required=True, metavar="LATITUDE,LONGITUDE")
    rename.add_argument("name")
    move.add_argument("at", metavar="LATITUDE,LONGITUDE")
    table.add_argument("file", type=Path)
    for command in (add, table):
        command.add_argument("--time-zone", help="IANA name, such as Asia/Seoul; only of a new district")
    return parser


if __name__ == "__main__":
    run_command(main)

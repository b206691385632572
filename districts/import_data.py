"""Imports annotations or crops in a foreign format: writes districts-in/<name> and conf/district/<name>.yaml.

`prepare` takes the data over from districts-in/<name> and checks them, as it does with every source.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from zoneinfo import available_timezones

from districts.formats.coco import read_coco
from districts.formats.crop_table import read_crop_table
from districts.formats.cuhk03 import read_cuhk03
from districts.formats.cvat import read_cvat
from districts.formats.identity_folders import read_identity_folders
from districts.formats.label_studio import read_label_studio
from districts.formats.mot import read_mot
from districts.formats.msmt17 import read_msmt17
from districts.formats.named_crops import read_named_crops
from districts.formats.voc import read_voc
from districts.formats.yolo import read_yolo
from districts.importing.annotated import Annotated
from districts.importing.archives import unpacked
from districts.importing.description import SOURCES, Configuration
from districts.importing.district_folder import import_annotated
from districts.importing.options import PARTS, Options
from districts.importing.source_files import SourceFiles
from districts.importing.splits import Shares
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.names import require_name
from domain.stage import run_stage

# Readers of formats; each takes the source's files.
READERS: Mapping[str, Callable[[SourceFiles], Annotated]] = {
    "coco": read_coco,
    "crop-table": read_crop_table,
    "cuhk03": read_cuhk03,
    "cvat": read_cvat,
    "identity-folders": read_identity_folders,
    "label-studio": read_label_studio,
    "mot": read_mot,
    "msmt17": read_msmt17,
    "named-crops": read_named_crops,
    "voc": read_voc,
    "yolo": read_yolo,
}
# Published sets with splits and labels of their own: `prepare` reads them as they are.
_PUBLISHED = ("market1501", "pa100k", "peta")


def main(argv: Sequence[str] = ()) -> None:
    """Write districts-in/<name> and conf/district/<name>.yaml; with `--dry-run` only say what they would hold.

    Raises:
        InputError: if the source cannot be read, or an option does not fit it.
    """
    arguments = _parser().parse_args(list(argv))
    name = require_name(arguments.name)
    if arguments.format in _PUBLISHED:
        source, settings = arguments.source, {"importer": arguments.format, "source": str(arguments.source)}
        if not source.is_dir():
            raise InputError(f"SOURCE must be a folder, got {source}")
    else:
        source, settings = SOURCES / name, {"importer": "folder", "source": str(SOURCES / name)}
    configuration = Configuration(name, settings)
    configuration.require_free()
    if arguments.format not in _PUBLISHED:
        print("\n".join(_import(arguments, name, source)))
    if arguments.dry_run:
        print(
            f"nothing is written; without --dry-run {source} would become the district {name} in {configuration.file}"
        )
        return
    configuration.write()
    print(
        f"{configuration.file} makes {source} the district {name}. Fill in what its district.yaml marks, then check it:"
    )
    print(f"  python -m conf.compose district={name} && python -m districts.prepare")


def _import(arguments: argparse.Namespace, name: str, target: Path) -> list[str]:
    """Write the district's folder, unless it is a dry run; returns what it holds."""
    if target.exists() and not (arguments.replace or arguments.dry_run):
        raise InputError(
            f"{target} must not exist yet, as an import adds nothing to a district; to add cameras or crops, put their "
            "files beside the others in SOURCE and import all of them with --replace"
        )
    options = _options(arguments, name)
    with unpacked(arguments.source, SOURCES) as source:
        files = SourceFiles(source)
        with nullcontext() if arguments.dry_run else atomic_folder(target) as written:
            return import_annotated(READERS[arguments.format](files), files, options, written)


def _options(arguments: argparse.Namespace, name: str) -> Options:
    renamed = dict(_pair(text) for text in arguments.rename)
    parts = tuple(arguments.parts.split(","))
    if unknown := set(parts) - set(PARTS):
        raise InputError(f"--parts must be some of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    if arguments.time_zone not in available_timezones():
        raise InputError(f"--time-zone must be an IANA name, such as Asia/Seoul, got {arguments.time_zone!r}")
    if not arguments.every_s > 0 or (arguments.fps is not None and not arguments.fps > 0):
        raise InputError(f"--every-s and --fps must be above 0, got {arguments.every_s} and {arguments.fps}")
    return Options(
        name=name,
        classes=tuple(filter(None, arguments.classes.split(","))),
        renamed=renamed,
        parts=tuple(part for part in PARTS if part in parts),
        shares=Shares.of_text(arguments.splits),
        every_s=arguments.every_s,
        fps=arguments.fps,
        starts=tuple(arguments.start),
        shared_identities=arguments.shared_identities,
        schema=arguments.schema,
        time_zone=arguments.time_zone,
        source=arguments.origin,
        licence=arguments.licence,
    )


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise InputError(f"--rename must be OLD=NEW, got {text!r}")
    return old, new


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m districts.import_data", description=__doc__)
    parser.add_argument("format", choices=sorted([*READERS, *_PUBLISHED]), metavar="FORMAT", help="%(choices)s")
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="folder or zip of the data, with pictures or videos in it"
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="name of the district")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    parser.add_argument("--replace", action="store_true", help="replace an earlier import of this name")
    parser.add_argument("--classes", default="", help="classes that are people, separated by commas, after --rename")
    parser.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW",
        help="new name of a class, an attribute, a value or, as ATTRIBUTE.VALUE, of one attribute's value; repeatable",
    )  # fmt: skip
    parser.add_argument("--parts", default=",".join(PARTS), help="what to write, of %(default)s")
    parser.add_argument(
        "--splits", default="70,15,15", help="percent to train, validate and test, where the source has no splits"
    )
    parser.add_argument("--every-s", type=float, default=1.0, help="seconds between pictures and crops from a video")
    parser.add_argument("--fps", type=float, help="frames a second of footage that does not say it")
    parser.add_argument(
        "--start", action="append", default=[], metavar="[CAMERA=]TIME",
        help="when a recording begins, such as 2026-05-12T18:40:00+09:00; without CAMERA for all; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--shared-identities", action="store_true", help="a track id is the same person in all recordings"
    )
    parser.add_argument("--schema", default=Options.schema, help="attribute schema; default: %(default)s")
    parser.add_argument("--time-zone", default=Options.time_zone, help="IANA name; default: %(default)s")
    parser.add_argument("--origin", default="", help="where the data come from, for district.yaml; default: SOURCE")
    parser.add_argument("--licence", default=Options.licence, help="for district.yaml; default: %(default)s")
    return parser


if __name__ == "__main__":
    run_stage(main)

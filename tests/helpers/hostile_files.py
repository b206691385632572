"""Reads thousands of hostile files of every kind that the product reads, and reports what is not as documented.

    python -m tests.helpers.hostile_files FOLDER SEED COUNT

It is a process of its own, so that its memory can be measured and limited. It prints one line of JSON.
"""

import json
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from districts.box_files import read_tracks
from districts.labels import _read_table
from districts.layout import read_attribute_split, read_district, read_problems
from domain.errors import ArtifactError, InputError
from domain.model_card import read_card
from domain.schemas import read_schema
from domain.videos import VideoLimits
from export.engines.loading import load
from export.engines.onnx_runtime import OnnxRunner
from serving.streams import read_streams
from serving.video.files import VideoReader
from serving.video.recordings import Naming
from tests.helpers.hostile_annotations import annotations
from tests.helpers.hostile_videos import declaring, encoded, playlists, with_scans
from tests.helpers.tiny_engines import write_engines
from training.weights import WEIGHTS, read_weights

_LIMITS = VideoLimits(max_pixels=1_000_000, max_hours=0.05)
_BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)
_CAMERA = {
    "id": "c1",
    "name": "gate",
    "latitude": 35.8,
    "longitude": 128.6,
    "fps": 5.0,
    "width_px": 64,
    "height_px": 48,
}
_DISTRICT = {
    "name": "demo", "time_zone": "Asia/Seoul", "attribute_schema": "suseong", "source": "", "licence": "",
    "cameras": [_CAMERA | {"start": "2026-05-12T18:40:00+09:00"}],
}  # fmt: skip
_PROBLEM = {"id": "p1", "identity": 1, "crops": ["a.jpg"], "attributes": {}, "camera": "c1", "frame": 3}
_NASTY = (
    "../../x", "a/b", "=1+1", "\0", "\ud800", "x" * 5000, "9" * 5000, "-1", "1e999", "nan", "", "null", "&a [*a]",
    "[" * 3000, "2150-01-01", "!!python/object:os.system x", "\u202e", "'", '"', "\n", ",", "{", "*", "?",
    "file:///etc/passwd",
)  # fmt: skip


class Kind:
    """Files of one kind: their good contents, where they lie, and what reads them."""

    def __init__(self, place: str, contents: list[bytes], read: Callable[[Path], object]) -> None:
        self.place, self.contents, self.read = place, contents, read


def mutated(content: bytes, chance: random.Random) -> bytes:
    """`content` with one to some changes, of which each may be of bytes, of a word, or of the length."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x0b\0\0\0")
                )
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + chance.randrange(1, 64)]
            case 4:
                changed[at:at] = chance.randbytes(chance.randrange(1, 64))
            case 5:
                changed[at:at] = chance.choice(_NASTY).encode("utf-8", "surrogatepass")
            case 6:
                changed[at:at] = changed[: chance.randrange(len(changed) + 1)] * chance.choice((1, 2, 8))
    return bytes(changed[:2_000_000])


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind, with its good files made in `folder`."""
    videos = [
        encoded(folder / name, codec=codec, frames=8)
        for name, codec in (
            ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.flv", "libx264"),
            ("a.h264", "libx264"), ("a.mpg", "mpeg2video"), ("a.avi", "mjpeg"), ("a.mjpeg", "mjpeg"),
            ("b.mp4", "mpeg4"),
        )
    ]  # fmt: skip
    videos += list(playlists(folder / "canary.mp4").values())
    videos += [declaring(folder / "bomb.mp4", samples) for samples in (1_000_000, 170_000_000)]
    with_scans(folder / "scans.mkv", 300)
    videos.append((folder / "scans.mkv").read_bytes())
    videos.append(encoded(folder / "large.mp4", (2000, 1600), frames=2))
    write_engines(folder / "engines")
    engine = folder / "engines" / "detector"
    torch.save({"a.weight": torch.zeros(3, 3), "b": torch.ones(2)}, folder / WEIGHTS)
    schema = read_schema("market1501")
    table = ",".join(["image", "identity", "camera", *schema.group_names]) + "\n" + "1.jpg,7,c1\n" * 5
    labels = "file,identity,case,verdict,district,camera_id,tracklet_id,first_seen,last_seen\n"
    labels += "1.jpg,1,1,confirmed,demo,c1,7,2026-05-12T09:40:00Z,2026-05-12T09:41:00Z\n" * 3
    cameras = "district: demo\ncameras:\n  c1: rtsp://viewer:secret@127.0.0.1/street\n"

    def video(file: Path) -> None:
        with VideoReader(file, limits=_LIMITS) as reader:
            for _ in reader:
                pass

    def engine_at(file: Path) -> None:
        load(file, threads=1)

    def onnx(file: Path) -> None:
        OnnxRunner(file, read_card(engine), 1)  # past the checksum, as if the card were theirs too

    imports = {name: Kind(*parts) for name, parts in annotations().items()}
    here = Naming(r"(?P<camera>[\w.-]+)_(?P<year>\d{4})", "Asia/Seoul")
    return {
        "video": Kind("v.mp4", videos, video),
        "sidecar": Kind(
            "gate.mp4.yaml",
            [b"camera: c1\nstart: 2026-05-12T18:40:00+09:00\n", _BOMB.encode()],
            lambda file: here.recording(file.with_name("gate.mp4")),
        ),
        "district": Kind(
            "district.yaml",
            [yaml.safe_dump(_DISTRICT).encode(), _BOMB.encode()],
            lambda file: read_district(file.parent),
        ),
        "problems": Kind(
            "videos/problems.yaml",
            [yaml.safe_dump({"problems": [_PROBLEM] * 2}).encode(), _BOMB.encode()],
            lambda file: read_problems(file.parent.parent),
        ),
        "live cameras": Kind("cameras.yaml", [cameras.encode(), _BOMB.encode()], read_streams),
        "attributes": Kind(
            "attributes/train.csv",
            [table.encode()],
            lambda file: read_attribute_split(file.parent.parent, "train", schema),
        ),
        "labels": Kind("labels.csv", [labels.encode()], _read_table),
        "tracks": Kind("c1.txt", [b"1,2,3.5,4,50,60,0.9,-1,-1,-1\n" * 5], read_tracks),
        "card": Kind("card/card.json", [(engine / "card.json").read_bytes()], lambda file: read_card(file.parent)),
        "engine": Kind("engines/detector/model.onnx", [(engine / "model.onnx").read_bytes()], engine_at),
        "ONNX": Kind("o.onnx", [(engine / "model.onnx").read_bytes()], onnx),
        "weights": Kind(f"w/{WEIGHTS}", [(folder / WEIGHTS).read_bytes()], lambda file: read_weights(file.parent, "x")),
        **imports,
    }


def main(folder: Path, seed: int, count: int) -> dict[str, object]:
    """Read `count` files; what ended otherwise than documented, how many of each kind, and the memory that it took."""
    chance, read, wrong = random.Random(seed), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as made:
        every = kinds(Path(made))
        place = folder / "files"
        (place / "engines" / "detector").mkdir(parents=True)
        card = Path(made) / "engines" / "detector" / "card.json"
        (place / "engines" / "detector" / "card.json").write_bytes(card.read_bytes())
        before_bytes = _most_resident_bytes()
        for number in range(count):
            name = list(every)[number % len(every)]
            kind = every[name]
            content = chance.choice(kind.contents)
            file = place / kind.place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if number < len(every) else mutated(content, chance))
            try:
                kind.read(file)
                read[f"{name}: read"] += 1
            except (InputError, ArtifactError) as error:
                read[f"{name}: refused"] += 1
                if len(str(error)) > 2000:
                    wrong.append(f"{name} {number}: a message of {len(str(error))} letters")
            except Exception as error:  # noqa: BLE001  # it is what the test looks for
                wrong.append(f"{name} {number}: {type(error).__name__}: {str(error)[:200]}")
                (folder / f"wrong-{name}-{number}").write_bytes(file.read_bytes())
        sockets = [link for link in map(_target, Path("/proc/self/fd").iterdir()) if link.startswith("socket:")]
    return {
        "read": dict(sorted(read.items())),
        "wrong": wrong,
        "grown_mb": (_most_resident_bytes() - before_bytes) // 10**6,
        "num_sockets": len(sockets),  # one, to the process that looks at videos
    }


def _most_resident_bytes() -> int:
    """So far; what is resident now may have been taken back by the kernel."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))

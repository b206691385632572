"""CVAT's own XML 1.1, for images and for video, written as its manual prints it.

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import globox
import pytest

from districts.box_files import read_tracks
from districts.layout import read_attribute_split
from domain.errors import InputError
from domain.schemas import read_schema
from tests.helpers.imports_of_data import HEIGHT, WIDTH, boxes_in, draw, run_import, write_video

START = ("--start", "2026-05-12T18:40:00+09:00")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(file: Path, inner: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{inner}</annotations>')
    return file


def image(number: int, name: str, shapes: str, more: str = "") -> str:
    return f'<image id="{number}" name="{name}" {more} width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'


PERSON = (
    '<box label="person" source="manual" occluded="0" xtl="4.00" ytl="5.00" xbr="14.00" ybr="13.00" z_order="0">'
    '<attribute name="gender">female</attribute><attribute name="note">seen twice</attribute></box>'
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A task with subsets and every kind of shape."""
    others = (
        '<box label="person" occluded="0" xtl="10" ytl="5" xbr="20" ybr="7" rotation="90.0" z_order="0"></box>'
        '<polygon label="person" occluded="0" points="1.0,2.0;6.5,2.0;3.0,12.0" z_order="0"></polygon>'
        '<ellipse label="person" cx="10" cy="10" rx="4" ry="5"/>'
        '<mask label="person" rle="3, 4" left="2" top="3" width="5" height="6"/>'
        '<points label="person" points="1,2"/><skeleton label="person"><points label="nose" points="1,1"/></skeleton>'
        '<tag label="person"/><box label="car" xtl="0" ytl="0" xbr="9" ybr="9"/>'
    )
    for split in ("train", "val", "test"):
        draw(tmp_path / f"task/images/{split}/frame 1.png")
    inner = "".join(
        image(place, f"{split}/frame 1.png", PERSON + (others if split == "train" else ""), f'subset="{split}"')
        for place, split in enumerate(("train", "val", "test"))
    )
    save(tmp_path / "task/annotations.xml", f"<meta><task><mode>annotation</mode></task></meta>{inner}")
    return tmp_path / "task"


def test_each_shape_with_an_extent_is_a_box(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    district = run_import("cvat", pictures)
    found = boxes_in(district)
    person = [4, 5, 14, 13]
    assert found["val/val_frame 1.png"] == [person]
    turned, polygon, ellipse, mask = [14, 1, 16, 11], [1, 2, 6.5, 12], [6, 5, 14, 15], [2, 3, 7, 9]
    assert found["train/train_frame 1.png"] == [person, turned, polygon, ellipse, mask]
    said = capsys.readouterr().out
    assert "left out classes: car (1)" in said
    assert "1 shapes of the kind skeleton have no box; left out" in said
    assert "1 shapes of the kind tag have no box; left out" in said


def test_attributes_of_the_schema_become_an_attribute_set(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = read_schema("suseong")
    table = read_attribute_split(run_import("cvat", pictures), "train", schema)
    (labels,) = table.labels.tolist()
    gender = schema.group_names.index("gender")
    assert schema.groups[gender].label_names[labels[gender]] == "female"
    assert set(labels[:gender] + labels[gender + 1 :]) == {-1}
    assert "left out, for the schema suseong does not have them: note (3)" in capsys.readouterr().out


def test_what_globox_writes_is_read(tmp_path: Path) -> None:
    boxes = [globox.BoundingBox.create(label="person", coords=(place, 2, place + 7.5, 16)) for place in range(3)]
    annotations = [
        globox.Annotation(image_id=draw(tmp_path / f"set/{name}.png").name, image_size=(WIDTH, HEIGHT), boxes=[box])
        for name, box in zip("abc", boxes, strict=True)
    ]
    globox.AnnotationSet(annotations).save_cvat(tmp_path / "set/annotations.xml")
    read = {name.partition("/")[2]: found for name, found in boxes_in(run_import("cvat", tmp_path / "set")).items()}
    assert read == {f"{name}.png": [[place, 2, place + 7.5, 16]] for place, name in enumerate("abc")}


def box(frame: int, left: float, *, outside: int = 0, keyframe: int = 1, label: str = "") -> str:
    corners = f'xtl="{left}" ytl="4.00" xbr="{left + 8}" ybr="16.00"'
    return f'<box frame="{frame}" keyframe="{keyframe}" outside="{outside}" occluded="0" {corners}>{label}</box>'


def track(number: int, boxes: str, label: str = "person") -> str:
    return f'<track id="{number}" label="{label}" source="manual">{boxes}</track>'


def meta(last: int = 19, more: str = "") -> str:
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    return (
        f"<meta><task><id>7</id><name>gate</name><size>{last + 1}</size><mode>interpolation</mode><overlap>5</overlap>"
        f"<start_frame>0</start_frame><stop_frame>{last}</stop_frame>{more or '<frame_filter></frame_filter>'}"
        f"<labels><label><name>person</name></label></labels>{size}<source>gate.mp4</source></task></meta>"
    )


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twenty frames, two a second: somebody walks through, with keyframes only; a car stands there."""
    write_video(tmp_path / "gate/gate.mp4")
    walker = track(0, box(0, 0) + box(10, 20) + box(17, 13) + box(19, 13, outside=1))
    save(tmp_path / "gate/annotations.xml", meta() + walker + track(1, box(0, 1) + box(19, 1), label="car"))
    return tmp_path / "gate"


def test_a_video_is_cut_by_time(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    district = run_import("cvat", video, *START)
    found = boxes_in(district)
    assert sorted(int(name[-10:-4]) for name in found) == list(range(1, 20, 2))  # one a second
    assert found["train/gate_000001.jpg"] == [[0, 4, 8, 16]]  # CVAT's frame 0
    assert found["train/gate_000007.jpg"] == [[12, 4, 20, 16]]
    truth = read_tracks(district / "videos/gate.txt")
    assert truth.frames.tolist() == [1, 2]  # CVAT's 17 and 18; in 19 the walker is outside
    assert truth.boxes_xyxy.tolist() == [[13, 4, 21, 16]] * 2
    assert "left out classes: car (20)" in capsys.readouterr().out


def test_frames_without_people_are_annotated_too(video: Path) -> None:
    save(video / "annotations.xml", meta() + track(0, box(3, 0) + box(4, 0, outside=1)))
    found = boxes_in(run_import("cvat", video, *START))
    assert len(found) == 10
    assert [name for name, boxes in found.items() if boxes] == []  # frame 4 is between two pictures
    assert len(boxes_in(run_import("cvat", video, "--every-s", "0.5", "--replace", *START))) == 20


def test_a_task_of_each_fifth_frame(video: Path) -> None:
    steps = "<frame_filter>step=5</frame_filter>"
    save(video / "annotations.xml", meta(more=steps) + track(0, "".join(box(frame, frame) for frame in (0, 5, 10, 15))))
    district = run_import("cvat", video, "--splits", "50,25,25", *START)
    assert {name: boxes[0][0] for name, boxes in boxes_in(district).items()} == {
        "train/gate_000001.jpg": 0,
        "train/gate_000006.jpg": 5,
        "val/gate_000011.jpg": 10,
        "test/gate_000016.jpg": 15,
    }
    assert read_tracks(district / "videos/gate.txt").frames.tolist() == [1]


def test_frames_as_pictures_with_a_rate(video: Path) -> None:
    (video / "gate.mp4").unlink()
    for frame in range(20):
        draw(video / f"images/frame_{frame:06d}.PNG")
    with pytest.raises(InputError, match=r"the frame rate of .*images must be given: --fps"):
        run_import("cvat", video, *START)
    assert len(boxes_in(run_import("cvat", video, "--fps", "2", *START))) == 10


def test_attributes_that_change_along_a_track(video: Path) -> None:
    def worn(value: str) -> str:
        return f'<attribute name="bag">{value}</attribute><attribute name="가방색">x</attribute>'

    walkers = "".join(
        track(number, box(first, 2, label=worn("backpack")) + box(first + 1, 2, label=worn("none")))
        for number, first in enumerate((0, 14, 17))
    )
    save(video / "annotations.xml", meta() + walkers)
    district = run_import("cvat", video, "--every-s", "0.5", *START)
    schema = read_schema("suseong")
    bag = schema.group_names.index("bag")
    labels = read_attribute_split(district, "train", schema).labels[:, bag].tolist()
    assert [schema.groups[bag].label_names[label] for label in labels] == ["backpack", "none"]
    assert read_attribute_split(district, "test", schema).identities.tolist() == [3, 3]


def replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
WRONG = [
    pytest.param(replace('xtl="0"', 'xtl="left"'), r"track '0': xtl must be a number", id="no number"),
    pytest.param(replace('xtl="0"', 'xtl="1e999"'), r"track '0': xtl must be a number", id="infinite"),
    pytest.param(replace('xtl="0"', ""), r"track '0': xtl must be a number below .*, got None", id="no corner"),
    pytest.param(replace('frame="10"', 'frame="-10"'), r"frame must be a whole number from 0", id="negative frame"),
    pytest.param(replace('frame="10"', 'frame="900000000"'), r"must have frames that rise by at most", id="huge gap"),
    pytest.param(replace('frame="10"', 'frame="17"'), r"must have frames that rise by", id="frame twice"),
    pytest.param(replace('frame="19"', 'frame="900"'), r"boxes of gate must be within .*, got frame 900", id="end"),
    pytest.param(replace('track id="0"', 'track id="x"'), r"id must be a number", id="no id"),
    pytest.param(replace("<width>40<", "<width>90<"), r"frames of 90 × 20 pixels, got gate\.mp4", id="size"),
    pytest.param(replace("<stop_frame>19<", "<stop_frame>x<"), r"stop_frame must be a number", id="stop"),
    pytest.param(replace("<frame_filter><", "<frame_filter>step=0<"), r"frame_filter must be a whole", id="step"),
    pytest.param(replace("gate.mp4", "../../../etc/passwd"), r"etc/passwd' must be below .*missing", id="path"),
    pytest.param(replace("<annotations>", f"{BOMB}<annotations>"), "without a document type", id="entities"),
    pytest.param(
        replace("<annotations>", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations>'),
        "without a document type",
        id="external document type",
    ),
    pytest.param(replace("<version>", "<a>" * 30 + "<version>"), "must have at most 20 levels", id="deep"),
    pytest.param(replace("</annotations>", ""), "must be XML: no element found", id="cut off"),
    pytest.param(lambda _: "", "must be XML: no element found", id="empty"),
    pytest.param(replace("utf-8", "klingon"), "must be XML", id="encoding"),
    pytest.param(lambda _: "<annotations/>", "must hold an .xml of CVAT for images or for video", id="nothing in it"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_is_named_in_one_line(change: Callable[[str], str], message: str, video: Path) -> None:
    file = video / "annotations.xml"
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=message) as raised:
        run_import("cvat", video, *START)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()


def test_two_videos_in_one_export_are_refused(video: Path) -> None:
    file = video / "annotations.xml"
    file.write_text(file.read_text().replace("</task>", "</task><task><source>other.mp4</source></task>"))
    with pytest.raises(InputError, match="must be the export of one task, got 2 videos"):
        run_import("cvat", video)


def test_a_missing_picture_is_named(pictures: Path) -> None:
    (pictures / "images/val/frame 1.png").unlink()
    (pictures / "images/test/frame 1.png").unlink()
    (pictures / "images/train/frame 1.png").rename(pictures / "images/other.png")
    with pytest.raises(InputError, match=r"image 'train/frame 1\.png': the file .* must be below .*; it is missing"):
        run_import("cvat", pictures)
    ElementTree.parse(pictures / "annotations.xml")  # the file itself is right


def project(*tasks: str) -> str:
    """Head of a project's export; an older CVAT names no video of its tasks."""
    return f"<meta><project><id>3</id><name>streets</name><tasks>{''.join(tasks)}</tasks></project></meta>"


def task(number: int, name: str, source: str = "") -> str:
    head = f"<task><id>{number}</id><name>{name}</name><mode>interpolation</mode><stop_frame>19</stop_frame>"
    return f"{head}{source and f'<source>{source}</source>'}</task>"


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """A project of two videos, in each of which somebody stands."""
    for name in ("gate", "square"):
        write_video(tmp_path / f"streets/videos/{name}.mp4")
    stand = box(0, 2) + box(19, 2)
    walkers = track(0, stand).replace("<track", '<track task_id="7"')
    walkers += track(1, stand.replace('xtl="2"', 'xtl="5"')).replace("<track", '<track task_id="9"')
    save(tmp_path / "streets/annotations.xml", project(task(7, "gate"), task(9, "2nd", "square.mp4")) + walkers)
    return tmp_path / "streets"


def test_each_video_of_a_project_is_a_camera(streets: Path) -> None:
    district = run_import("cvat", streets, *START)
    found = boxes_in(district)
    assert found["train/gate_000001.jpg"] == [[2, 4, 10, 16]]
    assert found["train/square_000001.jpg"] == [[5, 4, 10, 16]]
    assert sorted(file.name for file in (district / "videos").glob("*.mp4")) == ["gate.mp4", "square.mp4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace('task_id="9"', 'task_id="8"'), r"track '1': task_id must be a task's, 7, 9, got '8'"),
        (replace(' task_id="9"', ""), r"track '1': task_id must be a task's, 7, 9, got ''"),
        (replace("<name>gate", "<name>north"), r"the task 'north' must name its video; export it by itself"),
        (replace("square.mp4", "market.mp4"), r"the file 'market\.mp4' must be below .*; it is missing"),
    ],
)
def test_a_wrong_project_is_named(change: Callable[[str], str], message: str, streets: Path) -> None:
    file = streets / "annotations.xml"
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=message):
        run_import("cvat", streets, *START)

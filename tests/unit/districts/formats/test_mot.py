"""MOTChallenge sequences and videos become frames to detect people in, and a video to test tracking on.

The forms are those of https://motchallenge.net/instructions/ and of MOT17's folders.
"""

from pathlib import Path

import motmetrics
import pytest

from districts.box_files import read_tracks
from districts.demo.video import read_frames
from districts.layout import read_district
from domain.errors import InputError
from tests.helpers.imports_of_data import HEIGHT, WIDTH, boxes_in, draw, run_import, write_video

pytestmark = pytest.mark.slow

START = ("--start", "2026-05-12T18:40:00+09:00", "--time-zone", "Asia/Seoul")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def row(frame: int, track: int, rest: str = "1,1,1.0") -> str:
    return f"{frame},{track},{frame + 1},3,8,12,{rest}\n"


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """Twenty frames of MOT17, two a second; a car, and a reflection that does not count."""
    folder = tmp_path / "MOT17/train/MOT17-02-FRCNN"
    for number in range(1, 21):
        draw(folder / "img1" / f"{number:06d}.jpg")
    text = "".join(row(frame, 4) for frame in range(1, 21)) + row(3, 5, "1,3,1") + row(20, 6, "0,1,0.2")
    write(folder / "gt/gt.txt", text)
    information = "[Sequence]\nname=MOT17-02-FRCNN\nimDir=img1\nframeRate=2\nseqLength=20\n"
    write(folder / "seqinfo.ini", information + f"imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n")
    return tmp_path / "MOT17"


def test_a_sequence_is_cut_by_time(sequence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    district = run_import("mot", sequence, *START)
    numbers: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for name in boxes_in(district):
        numbers[name.partition("/")[0]].append(int(name[-10:-4]))
    assert numbers == {"train": [1, 3, 5, 7, 9, 11, 13], "val": [15, 17], "test": [19]}
    assert boxes_in(district)["train/MOT17-02_000003.jpg"] == [[4, 3, 12, 15]]  # without the car
    truth = read_tracks(district / "videos/MOT17-02.txt")
    assert truth.frames.tolist() == [1, 2, 3, 3]
    assert truth.boxes_xyxy[0].tolist() == [19, 3, 27, 15]  # of frame 18
    assert truth.confidences.tolist() == [1, 1, 1, 0]
    assert len(list(read_frames(district / "videos/MOT17-02.mp4"))) == 3
    (camera,) = read_district(district).cameras
    assert (camera.fps, camera.width_px, camera.height_px) == (2, WIDTH, HEIGHT)
    assert str(camera.start) == "2026-05-12 18:40:08.500000+09:00"  # frame 18 of two a second
    assert "left out classes: car (1)" in capsys.readouterr().out


def test_motmetrics_reads_what_was_written(sequence: Path) -> None:
    district = run_import("mot", sequence, *START)
    theirs = motmetrics.io.loadtxt(str(district / "videos/MOT17-02.txt"))
    assert theirs[["X", "Y", "Width", "Height"]].iloc[0].tolist() == [19 - 1, 3 - 1, 8, 12]  # it counts pixels from 0


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_a_video_with_its_text_beside_it(suffix: str, tmp_path: Path) -> None:
    write_video(tmp_path / f"in/gate 1{suffix}")
    write(tmp_path / "in/gate 1.txt", "".join(row(frame, 1, "1,-1,-1,-1") for frame in range(1, 21)))
    district = run_import("mot", tmp_path / "in", *START)
    shades = [int(picture.mean()) for _, picture in read_frames(district / "videos/gate-1.mp4")]
    assert shades == pytest.approx([180, 190, 200], abs=3)
    assert len(boxes_in(district)) == 10


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "in/gate.avi", "RIFF, but not really")
    write(tmp_path / "in/gate.txt", row(1, 1))
    with pytest.raises(InputError, match=r"gate\.avi must be a video that PyAV can read"):
        run_import("mot", tmp_path / "in")


def test_frames_from_0_are_shifted(sequence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(sequence / "train/MOT17-02-FRCNN/gt/gt.txt", "".join(row(frame, 1) for frame in range(20)))
    district = run_import("mot", sequence, *START)
    assert boxes_in(district)["train/MOT17-02_000001.jpg"] == [[1, 3, 9, 15]]
    assert "MOT17-02-FRCNN: frames count from 0; shifted by one" in capsys.readouterr().out


def test_only_the_annotated_time_is_used(tmp_path: Path) -> None:
    write_video(tmp_path / "in/c1.avi", num_frames=25)
    write(tmp_path / "in/c1.txt", "".join(row(frame, 1) for frame in range(6, 16)))
    district = run_import("mot", tmp_path / "in", "--every-s", "0.5", *START)
    assert sorted(int(name[-10:-4]) for name in boxes_in(district)) == list(range(6, 16))
    assert len(list(read_frames(district / "videos/c1.mp4"))) == 2


def test_sequences_that_repeat_for_each_detector_are_taken_once(
    sequence: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sequence / "train/MOT17-02-SDP"
    for file in (sequence / "train/MOT17-02-FRCNN").rglob("*.*"):
        target = other / file.relative_to(sequence / "train/MOT17-02-FRCNN")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    district = run_import("mot", sequence, *START)
    assert [camera.id for camera in read_district(district).cameras] == ["MOT17-02"]
    assert "MOT17-02-SDP repeats the pictures of MOT17-02; left out" in capsys.readouterr().out


def test_without_a_start_the_description_asks_for_it(sequence: Path) -> None:
    district = run_import("mot", sequence)
    text = (district / "district.yaml").read_text()
    remark = "fill in, with a time zone: of videos/MOT17-02.mp4, which begins 8.5 s into the recording"
    assert f"start: null  # {remark}" in text
    assert "latitude: 0.0  # fill in" in text
    assert read_district(district).cameras[0].start is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("gt/gt.txt", "1,2,3,4\n", r"gt\.txt, line 1: must be frame, id, left"),
        ("gt/gt.txt", "1,1,1,1,1,1\n-3,1,1,1,1,1\n", r"line 2: must be frame"),
        ("gt/gt.txt", "1.5,1,1,1,1,1\n", r"line 1: must be frame"),
        ("gt/gt.txt", "a,1,1,1,1,1\n", r"line 1: each field must be a number"),
        ("gt/gt.txt", "1,1,1,1,1e999,1\n", r"line 1: each field must be a number"),
        ("gt/gt.txt", "1,1,1,1,1,1\n40,1,1,1,1,1\n", r"must be within its 20 annotated frames, got frame 40"),
        ("gt/gt.txt", "99999999,1,1,1,1,1\n", r"must be within its 20 annotated frames, got frame 99999999"),
        ("gt/gt.txt", "1,1,1,1,5,5,1,3,1\n", r"must be chosen: --classes NAME,…; the source has car \(1\)"),
        ("gt/gt.txt", "2,7,1,1,5,5\n2,7,1,1,6,6\n", r"must have one box in a frame, got two of track 7 in frame 2"),
        ("seqinfo.ini", "frameRate=25\n", r"must have a section \[Sequence\] of key=value"),
        ("seqinfo.ini", "[Sequence]\nframeRate=fast\n", r"frameRate must be a number"),
        (
            "seqinfo.ini",
            "[Sequence]\nframeRate=2\nimDir=../../../secret\n",
            r"must have its footage: .*FRCNN/secret with",
        ),
        ("seqinfo.ini", "[Sequence]\n", r"the frame rate of .*img1 must be given: --fps"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(file: str, text: str, message: str, sequence: Path) -> None:
    write(sequence / "train/MOT17-02-FRCNN" / file, text)
    with pytest.raises(InputError, match=message) as raised:
        run_import("mot", sequence, *START)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()


def test_a_source_without_ground_truth_or_footage_is_refused(sequence: Path) -> None:
    for file in sequence.rglob("*.jpg"):
        file.unlink()
    with pytest.raises(InputError, match=r"gt\.txt must have its footage: .*img1 with pictures, or one video"):
        run_import("mot", sequence)
    (sequence / "train/MOT17-02-FRCNN/gt/gt.txt").unlink()
    with pytest.raises(InputError, match=r"must hold gt/gt\.txt in the folder of a sequence, or a video"):
        run_import("mot", sequence)

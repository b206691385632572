from pathlib import Path

import numpy as np
import pytest

from domain.embeddings import unit_length
from domain.errors import ArtifactError, InputError
from domain.tracklets import Tracklet
from serving.ingestion.following import CameraVideo, StageClock, follow
from serving.perception import perception as perception_module
from serving.perception.perception import Perception, open_engine
from serving.video.files import video_writer
from tests.helpers.walkers import (
    BLUE,
    COLOURS,
    GREEN,
    RED,
    START,
    ColourDetector,
    ColourReid,
    engines,
    follow_files,
    perception,
    picture,
    settings,
    write_video,
)


def test_people_are_found_in_pixels_of_their_own_picture() -> None:
    small = picture([RED, BLUE], 0)
    large = np.kron(small, np.ones((2, 2, 1), np.uint8))
    found, found_large = perception().detect([small, large])
    order = np.argsort(found.boxes_xyxy[:, 0])
    np.testing.assert_allclose(found.boxes_xyxy[order], [[20, 40, 36, 88], [100, 70, 116, 118]])
    np.testing.assert_allclose(np.sort(found_large.boxes_xyxy, axis=0), 2 * np.sort(found.boxes_xyxy, axis=0), atol=3)


def test_other_classes_than_person_are_passed_over() -> None:
    class DogDetector(ColourDetector):
        def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
            outputs = super().__call__(images)
            return outputs | {"scores": outputs["scores"][:, :, ::-1]}

    [found] = perception(DogDetector()).detect([picture([RED], 0)])
    assert len(found) == 0


def test_a_detector_of_one_class_finds_people_whatever_it_is_called() -> None:
    [found] = perception(ColourDetector(("pedestrian",))).detect([picture([RED], 0)])
    assert len(found) == 1


def test_a_detector_without_people_is_refused() -> None:
    with pytest.raises(ArtifactError, match="must list the class person, got dog, cat"):
        perception(ColourDetector(("dog", "cat")))


def test_frames_go_into_the_detector_in_batches() -> None:
    detector = ColourDetector()
    eyes = perception(detector)
    assert len(eyes.detect([picture([], 0)] * 19)) == 19
    assert detector.batches == [8, 8, 3]
    assert eyes.detect([]) == []


def test_crops_of_any_size_are_embedded_and_described() -> None:
    crops = [picture([RED], 0)[40:88, 20:36], picture([BLUE], 0)[70:118, 100:116][:30]]
    eyes = perception()
    embeddings = eyes.embed(crops)
    assert embeddings.shape == (2, 3)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert eyes.attributes(crops)["upper_colour"].argmax(axis=1).tolist() == [0, 2]


class ReversedReid(ColourReid):
    """Another model: as `ColourReid`, with blue first."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.model_copy(update={"weights_sha256": "d1" * 32})

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return super().__call__(images[..., ::-1])


@pytest.mark.parametrize("describes", [True, False])
def test_while_a_model_is_rolled_out_tracklets_have_the_embeddings_that_the_one_before_alone_would_give(
    tmp_path: Path, describes: bool
) -> None:
    def followed(eyes: Perception) -> list[Tracklet]:
        return follow_files([video], eyes)[0].tracklets

    video = write_changing_video(tmp_path / "street.mp4")
    both = followed(Perception(*engines(describes=describes), settings().perception, ReversedReid()))
    newest = followed(perception(describes=describes))
    before = followed(Perception(*engines(reid=ReversedReid(), describes=describes), settings().perception))
    assert len(both) == len(newest) == len(before) > 0
    for one, by_newest, by_before in zip(both, newest, before, strict=True):
        np.testing.assert_array_equal(one.embedding, by_newest.embedding)
        assert one.attributes == by_newest.attributes
        assert bool(one.attributes) == describes
        assert by_newest.more_embeddings == by_before.more_embeddings == {}
        [(version, embedding)] = one.more_embeddings.items()
        assert version == ReversedReid().card.version
        np.testing.assert_allclose(embedding, by_before.embedding, atol=1e-6)
        of_crops = unit_length(perception().embed(one.crops).mean(axis=0))[::-1]
        assert np.abs(embedding - of_crops).max() > 1e-3  # the crops that are kept say something else


def write_changing_video(file: Path) -> Path:
    """Somebody whose colour changes while he walks, so that single crops are not like the mean of all."""
    with video_writer(file, 10) as write:
        for number in range(60):
            image = picture([RED], number / 10)
            image[(image == COLOURS["red"]).all(axis=2)] = (230, 20 + number, 20)
            write(image)
    return file


def test_no_crops_give_empty_embeddings_of_the_right_length() -> None:
    assert perception().embed([]).shape == (0, 3)
    assert perception().attributes([]) == {}
    assert perception(describes=False).attributes([]) == {}


def test_thresholds_come_from_the_card_and_else_from_the_settings() -> None:
    eyes = perception()
    assert (eyes.strong_score, eyes.match_distance) == (0.5, 0.3)
    detector, reid = ColourDetector(), ColourReid()
    detector.card = detector.card.model_copy(update={"score_threshold": None})
    reid.card = reid.card.model_copy(update={"match_distance": None})
    bare = Perception(detector, reid, None, settings().perception.model_copy(update={"match_distance": 0.4}))
    assert (bare.strong_score, bare.match_distance) == (settings().perception.strong_score, 0.4)


def test_a_missing_engine_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must be an engine for the task detector; it is missing, export"):
        open_engine(tmp_path / "engines" / "detector", "detector", "fall_back")


def test_an_engine_for_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception_module, "load", lambda path, threads, without_plan: ColourReid())
    with pytest.raises(ArtifactError, match="must be an engine for the task detector, its card says reid"):
        open_engine(tmp_path, "detector", "fall_back")


@pytest.mark.slow
def test_everybody_in_every_camera_is_followed_and_described(tmp_path: Path) -> None:
    files = [
        write_video(tmp_path / "c1.mp4", [RED, GREEN], fps=10, seconds=4),
        write_video(tmp_path / "c2.mp4", [BLUE], fps=6, seconds=2),
    ]
    first, second = follow_files(files)
    rates = pytest.approx(10), 40, pytest.approx(6), 12
    assert (first.fps, first.num_frames, second.fps, second.num_frames) == rates
    assert first.damage is None
    colours = [max(one.attributes["upper_colour"].items(), key=lambda item: item[1])[0] for one in first.tracklets]
    assert sorted(colours) == ["green", "red"]
    [blue] = second.tracklets
    assert (blue.camera_id, blue.first_frame, blue.last_frame) == ("c2", 1, 12)
    np.testing.assert_allclose(blue.boxes_xyxy.mean(axis=0), [100, 70, 116, 118], atol=2)
    assert sum(blue.attributes["upper_colour"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_only_the_best_crops_wait_for_the_end_of_the_video(tmp_path: Path) -> None:
    video = CameraVideo("c1", write_video(tmp_path / "c1.mp4", [RED, GREEN], seconds=4), START)
    kept = {
        number: follow(
            [video], perception(), settings(), on_frames=lambda count: None, clock=StageClock(), num_crops=number
        )[0].tracklets
        for number in (1, 3)
    }
    for one, same in zip(kept[1], kept[3], strict=True):
        assert (len(one.crops), len(same.crops)) == (1, 3)
        np.testing.assert_array_equal(one.crops[0], same.crops[0])
        assert one.attributes == same.attributes, "all crops are described, kept or not"


@pytest.mark.slow
def test_the_number_of_cameras_in_a_batch_changes_nothing(tmp_path: Path) -> None:
    files = [write_video(tmp_path / f"c{i}.mp4", [RED, GREEN], seconds=1.5 + i) for i in range(3)]
    together = follow_files(files)
    for alone, one in zip([follow_files([file])[0] for file in files], together, strict=True):
        assert [t.frames.tolist() for t in alone.tracklets] == [t.frames.tolist() for t in one.tracklets]
        assert [t.id for t in alone.tracklets] == [t.id for t in one.tracklets]


def test_skipped_frames_are_interpolated(tmp_path: Path) -> None:
    file = write_video(tmp_path / "c1.mp4", [RED], seconds=2)
    detector = ColourDetector()
    [followed] = follow_files([file], perception(detector), settings().model_copy(update={"frame_stride": 3}))
    assert sum(detector.batches) == 7
    [one] = followed.tracklets
    assert one.frames.tolist() == list(range(1, 20))
    np.testing.assert_allclose(one.boxes_xyxy[:, 0], 20 + 4 * np.arange(19), atol=1.5)


def test_an_empty_street_has_no_tracklets(tmp_path: Path) -> None:
    [followed] = follow_files([write_video(tmp_path / "c1.mp4", [], seconds=1)])
    assert followed.tracklets == []


def test_a_missing_video_stops_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c9\.mp4 must be a video file; it is missing"):
        follow_files([tmp_path / "c9.mp4"])

"""Films a session with one camera: scenery is lit once per sky, people are drawn into it frame by frame."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from districts.demo.body import Rig, build_rig, stand
from districts.demo.ground_truth import GroundTruth, ground_truth_of, view_index
from districts.demo.lighting import cast_shadow, compose, is_shaded, light_scenery, scenery_surfaces, sun_reaches
from districts.demo.rasteriser import OVERSAMPLING, Canvas, View, blank_canvas, draw
from districts.demo.scenery import build_scenery
from districts.demo.sessions import Session
from districts.demo.shapes import KIND, PLANE
from districts.demo.streets import PICTURE_SIZE
from districts.demo.video import VideoWriter
from districts.demo.weather import Lens, Sky, blend

_SEEN_FROM_M, _SEEN_TO_M = 2.0, 24.0  # people farther away are hidden or too small
_SUNNY = 0.3  # with less sunlight there are no hard shadows


@dataclass(frozen=True)
class _Figure:
    """A person drawn into a frame."""

    rig: Rig
    shapes: np.ndarray  # in world coordinates
    x: float
    y: float
    heading: float
    covered: int  # number of drawn pixels, hidden ones included
    extent: np.ndarray  # see `draw`
    sunlit: float  # 0 in the shadow of the scenery, else 1
    has_hard_shadow: bool


class Film:
    """Camera `number` during `session`: pictures with their ground truth, frame by frame."""

    def __init__(self, session: Session, number: int) -> None:
        self._session, self._place = session, session.plan.places[number]
        self._view: View = self._place.view()
        self._scenery, self._lamp = build_scenery(self._place, np.random.default_rng([session.seed[0], 100 + number]))
        self._lens = Lens(self._place, np.random.default_rng([*session.seed, 200 + number]))
        self._rigs = [build_rig(person) for person in session.people]
        self._lit: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._canvas = blank_canvas(self._view)
        draw(self._scenery, 0, 0, self._view, self._canvas, np.empty(8))
        self._surfaces = scenery_surfaces(self._scenery, self._view, self._canvas)
        flat = (self._scenery[:, KIND] == PLANE) | (self._scenery[:, 3] < 0.02)
        seen = self._canvas.nearest[::OVERSAMPLING, ::OVERSAMPLING]
        self._is_ground = flat[seen] & (seen >= 0)
        self._num_drawn = 0

    def shoot(self, frame: int) -> tuple[np.ndarray, list[tuple[float, ...]]]:
        """Picture `uint8 [height, width, 3]` RGB and ground-truth rows (see `ground_truth_of`) of a frame, from 1."""
        now, following, share = self._session.sky(frame)
        sky, (scenery, light) = blend(now, following, share), self.light(now)
        if share > 0:
            scenery_after, light_after = self.light(following)
            scenery = cv2.addWeighted(scenery, 1 - share, scenery_after, share, 0)
            light = cv2.addWeighted(light, 1 - share, light_after, share, 0)
        picture = light.copy()
        rows = self.add_people(picture, scenery, sky, frame)
        return self._lens.expose(picture, sky), rows

    def light(self, sky: Sky) -> tuple[np.ndarray, np.ndarray]:
        """The scenery lit by `sky`, float32, at the drawn and at the picture's size; computed once per sky."""
        key = (sky.time, sky.weather)
        if key not in self._lit:
            sunlit = np.ones(self._is_ground.shape, np.float32)
            if max(sky.sun) > _SUNNY:
                sunlit = sun_reaches(self._scenery, self._view, self._canvas, np.array(sky.sun_direction))
            drawn = light_scenery(self._surfaces, self._view, self._canvas, sky.array(self._lamp), sunlit)
            self._lit[key] = drawn, cv2.resize(drawn, PICTURE_SIZE, interpolation=cv2.INTER_AREA)
        return self._lit[key]

    def add_people(self, picture: np.ndarray, scenery: np.ndarray, sky: Sky, frame: int) -> list[tuple[float, ...]]:
        """Draw the people of `frame` and their shadows into `picture` (float32 light); return their ground-truth rows.

        Args:
            scenery: lit scenery at the drawn size.
        """
        canvas = Canvas(self._canvas.depth.copy(), np.full_like(self._canvas.nearest, -1), self._canvas.stamp)
        figures = self._draw_figures(canvas, sky, frame)
        if not figures:
            return []
        brightness = np.ones(self._is_ground.shape, np.float32)
        for figure in figures:
            darkness = sky.shadow if figure.has_hard_shadow else 0.25
            bars = _shadow_bars(figure, sky)
            cast_shadow(bars, darkness, sky.shadow_softness, self._view, self._is_ground, brightness)
        picture *= brightness[..., None]
        regions = np.array([_region(figure.extent) for figure in figures])
        visible = np.zeros(len(figures), np.int64)
        compose(
            picture,
            np.concatenate([regions[:, :2].min(axis=0), regions[:, 2:].max(axis=0)]),
            scenery,
            brightness,
            np.concatenate([figure.shapes for figure in figures]),
            np.repeat(np.arange(len(figures)), [len(figure.shapes) for figure in figures]),
            np.array([figure.sunlit for figure in figures]),
            self._view,
            canvas,
            sky.array(self._lamp),
            visible,
        )
        rows = [self._truth(frame, figure, int(seen)) for figure, seen in zip(figures, visible, strict=True)]
        return [row for row in rows if row]

    def _draw_figures(self, canvas: Canvas, sky: Sky, frame: int) -> list[_Figure]:
        """Draw all people who may be in the picture into `canvas`."""
        figures: list[_Figure] = []
        take, time_s = self._session.moment(frame)
        forward = self._view.axes[2, :2] / np.linalg.norm(self._view.axes[2, :2])
        num_shapes = 0
        for walk in self._session.walks:
            position = walk.position(time_s) if walk.take == take else None
            if position is None:
                continue
            x, y, heading, walked = position
            away = np.array([x, y]) - self._view.eye[:2]
            ahead, aside = float(away @ forward), abs(float(away[0] * forward[1] - away[1] * forward[0]))
            if not (_SEEN_FROM_M < ahead < _SEEN_TO_M and aside < 0.75 * ahead + 2.0):
                continue
            rig, extent = self._rigs[walk.person], np.empty(8)
            shapes = stand(rig, x, y, heading, walked)
            self._num_drawn += 1
            covered = draw(shapes, num_shapes, self._num_drawn, self._view, canvas, extent)
            num_shapes += len(shapes)
            chest, towards = 0.6 * rig.person.height_m, np.array(sky.sun_direction)
            sunny = max(sky.sun) > _SUNNY
            sunlit = 0.0 if sunny and is_shaded(self._scenery, x, y, chest, towards) else 1.0
            figures.append(_Figure(rig, shapes, x, y, heading, covered, extent, sunlit, sunny and sunlit > 0))
        return figures

    def _truth(self, frame: int, figure: _Figure, visible: int) -> tuple[float, ...] | None:
        """Ground-truth row of the person, or None if no pixel of the frame shows them."""
        if figure.covered == 0:
            return None
        low, high = figure.extent[4:6], figure.extent[6:8]
        inside = np.minimum(high, [self._view.width, self._view.height]) - np.maximum(low, 0)
        share_inside = float(np.prod(inside.clip(0)) / np.prod(high - low))
        towards = float(np.arctan2(self._view.eye[1] - figure.y, self._view.eye[0] - figure.x))
        box, view = figure.extent[:4] / OVERSAMPLING, view_index(figure.heading, towards)
        return (frame, figure.rig.person.identity, *box, visible / figure.covered * share_inside, view)


def film(session: Session, number: int, file: Path) -> GroundTruth:
    """Write the video of camera `number` to `file` and return its ground truth."""
    camera, rows = Film(session, number), []
    with VideoWriter(file, session.settings.fps, PICTURE_SIZE) as video:
        for frame in range(1, session.num_frames + 1):
            picture, truths = camera.shoot(frame)
            video.write(picture)
            rows.extend(truths)
    return ground_truth_of(rows)


def _region(extent: np.ndarray) -> np.ndarray:
    """Covered region at the picture's size, int64 left, top, right, bottom; an empty one if nothing is covered."""
    if extent[0] > extent[2]:
        return np.array([*PICTURE_SIZE, 0, 0])
    return np.concatenate([extent[:2] // OVERSAMPLING, -(-extent[2:4] // OVERSAMPLING)]).astype(np.int64)


def _shadow_bars(figure: _Figure, sky: Sky) -> np.ndarray:
    """The shadow on the ground as bars (two ends, half width); a round blob without direct sun."""
    x, y, height = figure.x, figure.y, figure.rig.person.height_m
    if not figure.has_hard_shadow:
        return np.array([[x - 0.02, y, x + 0.02, y, 0.18 * height]])
    east, north, up = sky.sun_direction
    fall = np.array([east, north]) / max(up, 0.25)
    feet = [shape for shape in figure.shapes[:, 1:4] if shape[2] < 0.12 * height]
    hips, neck, crown = (np.array([x, y, share * height]) for share in (0.5, 0.84, 0.97))
    bars = [(foot, hips, 0.07) for foot in (feet[:1] + feet[-1:])]
    bars += [(hips, neck, 0.17), (neck, crown, 0.12)]
    return np.array([[*(low[:2] - low[2] * fall), *(high[:2] - high[2] * fall), width] for low, high, width in bars])

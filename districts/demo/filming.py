"""One camera films one session: scenery lit once per sky, people drawn into it frame by frame."""

from pathlib import Path

import cv2
import numpy as np

from districts.demo.body import Rig, build_rig, stand
from districts.demo.ground_truth import GroundTruth, ground_truth_of, view_index
from districts.demo.lighting import cast_shadow, compose, is_shaded, light_scenery, sun_reaches
from districts.demo.rasteriser import OVERSAMPLING, draw
from districts.demo.scenery import build_scenery
from districts.demo.sessions import Session
from districts.demo.shapes import KIND, PLANE
from districts.demo.solids import FAR
from districts.demo.streets import PICTURE_SIZE
from districts.demo.video import VideoWriter
from districts.demo.weather import Lens, Sky, blend

_SEEN_FROM_M, _SEEN_TO_M = 2.0, 24.0  # people farther off are hidden or too small


class Film:
    """The camera `number` during `session`: pictures with their ground truth, frame by frame."""

    def __init__(self, session: Session, number: int) -> None:
        """Build the scenery and draw it; it is lit when a frame needs the light."""
        self._session, self._place = session, session.plan.places[number]
        self._view = self._place.view()
        self._scenery, self._lamp = build_scenery(self._place, np.random.default_rng([session.seed[0], 100 + number]))
        self._lens = Lens(self._place, np.random.default_rng([*session.seed, 200 + number]))
        self._rigs = [build_rig(person) for person in session.people]
        self._lit: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._stamp_value = 0
        view, size = self._view, (self._view.height, self._view.width)
        self._depth, self._index = np.full(size, FAR, np.float32), np.full(size, -1, np.int32)
        self._stamp = np.full(size, -1, np.int32)
        draw(
            self._scenery, 0, 0, view.eye, view.axes, view.focal_px, self._depth, self._index, self._stamp, np.empty(8)
        )
        ground = np.concatenate([self._scenery[:, KIND] == PLANE, [False]]) | np.append(_is_road(self._scenery), False)
        self._is_ground = ground[self._index[::OVERSAMPLING, ::OVERSAMPLING]]

    def shoot(self, frame: int) -> tuple[np.ndarray, list[tuple[float, ...]]]:
        """Picture (uint8 RGB) and ground-truth rows (see `ground_truth_of`) of a frame counted from 1."""
        one, other, share = self._session.sky(frame)
        sky, (scenery, light) = blend(one, other, share), self._light(one)
        if share > 0:
            scenery_after, light_after = self._light(other)
            scenery = cv2.addWeighted(scenery, 1 - share, scenery_after, share, 0)
            light = cv2.addWeighted(light, 1 - share, light_after, share, 0)
        light = light.copy()
        rows = self._draw_people(light, scenery, sky, frame)
        return self._lens.expose(light, sky), rows

    def _light(self, sky: Sky) -> tuple[np.ndarray, np.ndarray]:
        """The scenery under `sky`, float32 at the drawn and at the picture's size; computed once for each sky."""
        key = (sky.time, sky.weather)
        if key not in self._lit:
            view, towards = self._view, np.array(sky.sun_direction)
            sunlit = np.ones(self._is_ground.shape, np.float32)
            if max(sky.sun) > 0.1:
                sunlit = sun_reaches(
                    self._scenery, view.eye, view.axes, view.focal_px, self._depth, self._index, towards
                )
            drawn = light_scenery(
                self._scenery,
                view.eye,
                view.axes,
                view.focal_px,
                self._depth,
                self._index,
                sky.array(self._lamp),
                sunlit,
            )
            self._lit[key] = drawn, cv2.resize(drawn, PICTURE_SIZE, interpolation=cv2.INTER_AREA)
        return self._lit[key]

    def _present(self, frame: int) -> list[tuple[Rig, tuple[float, float, float, float], float]]:
        """Rig, position and distance of everybody who may be in the picture."""
        take, time_s = self._session.moment(frame)
        found = []
        for walk in self._session.walks:
            if walk.take != take:
                continue
            position = walk.position(time_s)
            if position is None:
                continue
            x, y = position[0] - self._view.eye[0], position[1] - self._view.eye[1]
            ahead = x * np.cos(self._place.heading) + y * np.sin(self._place.heading)
            aside = abs(y * np.cos(self._place.heading) - x * np.sin(self._place.heading))
            if _SEEN_FROM_M < ahead < _SEEN_TO_M and aside < 0.75 * ahead + 2.0:
                found.append((self._rigs[walk.person], position, float(ahead)))
        return found

    def _draw_people(self, light: np.ndarray, scenery: np.ndarray, sky: Sky, frame: int) -> list[tuple[float, ...]]:
        present = self._present(frame)
        if not present:
            return []
        view, towards = self._view, np.array(sky.sun_direction)
        depth, index = self._depth.copy(), np.full_like(self._index, -1)
        bodies, owners, covered, extents, sunlit = [], [], [], [], []
        brightness = np.ones(self._is_ground.shape, np.float32)
        for number, (rig, (x, y, heading, walked), _) in enumerate(present):
            body, extent = stand(rig, x, y, heading, walked), np.empty(8)
            self._stamp_value += 1
            first = sum(map(len, bodies))
            covered.append(
                draw(
                    body,
                    first,
                    self._stamp_value,
                    view.eye,
                    view.axes,
                    view.focal_px,
                    depth,
                    index,
                    self._stamp,
                    extent,
                )
            )
            bodies.append(body)
            owners.extend([number] * len(body))
            extents.append(extent)
            in_sun = max(sky.sun) > 0.1 and not is_shaded(self._scenery, x, y, 0.6 * rig.person.height_m, towards)
            sunlit.append(1.0 if in_sun else 0.0)
            bars = _shadow_bars(body, sky, rig.person.height_m, x, y, in_sun)
            darkness = sky.shadow if in_sun else 0.22
            cast_shadow(
                bars, darkness, sky.shadow_softness, view.eye, view.axes, view.focal_px, self._is_ground, brightness
            )
        light *= brightness[..., None]
        shapes, visible = np.concatenate(bodies), np.zeros(len(present), np.int64)
        regions = [_region(extent) for extent in extents]
        owner_of, sun_of, sky_array = np.array(owners), np.array(sunlit), sky.array(self._lamp)
        union = np.array([*np.min(regions, axis=0)[:2], *np.max(regions, axis=0)[2:]])
        compose(
            light,
            union,
            scenery,
            brightness,
            shapes,
            owner_of,
            sun_of,
            view.eye,
            view.axes,
            view.focal_px,
            depth,
            index,
            sky_array,
            visible,
        )
        return [
            row
            for number in range(len(present))
            if (row := self._truth(frame, present[number], covered[number], int(visible[number]), extents[number]))
        ]

    def _truth(
        self,
        frame: int,
        present: tuple[Rig, tuple[float, float, float, float], float],
        covered: int,
        visible: int,
        extent: np.ndarray,
    ) -> tuple[float, ...] | None:
        """The person's row, or None where no pixel of the frame would show them."""
        if covered == 0:
            return None
        rig, (x, y, heading, _), _ = present
        box = extent[:4] / OVERSAMPLING
        whole = (extent[6] - extent[4]) * (extent[7] - extent[5])
        clipped_low = np.maximum(extent[4:6], 0)
        clipped_high = np.minimum(extent[6:8], [self._view.width, self._view.height])
        inside = float(np.prod(np.maximum(clipped_high - clipped_low, 0)) / whole)
        towards = float(np.arctan2(self._view.eye[1] - y, self._view.eye[0] - x))
        return (frame, rig.person.identity, *box, visible / covered * inside, view_index(heading, towards))


def film(session: Session, number: int, file: Path) -> GroundTruth:
    """Write the video of the camera `number` to `file` and return its ground truth."""
    camera, rows = Film(session, number), []
    with VideoWriter(file, session.settings.fps, PICTURE_SIZE) as video:
        for frame in range(1, session.num_frames + 1):
            picture, found = camera.shoot(frame)
            video.write(picture)
            rows.extend(found)
    return ground_truth_of(rows)


def _is_road(shapes: np.ndarray) -> np.ndarray:
    """Bool [shape]: flat enough to walk on."""
    return (shapes[:, KIND] != PLANE) & (shapes[:, 3] < 0.02)


def _region(extent: np.ndarray) -> np.ndarray:
    """The covered pixels at the picture's size, int64 left, top, right, bottom; empty when there are none."""
    if extent[0] > extent[2]:
        return np.array([PICTURE_SIZE[0], PICTURE_SIZE[1], 0, 0])
    return np.concatenate([extent[:2] // OVERSAMPLING, -(-extent[2:4] // OVERSAMPLING)]).astype(np.int64)


def _shadow_bars(body: np.ndarray, sky: Sky, height_m: float, x: float, y: float, in_sun: bool) -> np.ndarray:
    """The shadow on the ground as bars (two ends, half width); a round blob where no sun comes."""
    if not in_sun:
        return np.array([[x - 0.02, y, x + 0.02, y, 0.30 * height_m / 1.7]])
    east, north, up = sky.sun_direction
    feet = body[body[:, 3] < 0.12 * height_m][:, 1:4]
    hips, neck, head = (np.array([x, y, share * height_m]) for share in (0.5, 0.84, 0.93))
    bars = [(foot, hips, 0.07) for foot in (feet[0], feet[-1])] if len(feet) else []
    bars += [(hips, neck, 0.17), (head, head + np.array([0, 0, 0.05]), 0.12)]
    fall = np.array([[east, north]]) / max(up, 0.25)
    return np.array(
        [[*(low[:2] - low[2] * fall[0]), *(high[:2] - high[2] * fall[0]), width] for low, high, width in bars]
    )

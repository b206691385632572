"""Pictures in RGB, and their resizing to a network's input size.

Scaling to 0..1 and normalisation are part of every engine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Real, UInt8
from PIL import Image

from domain.errors import InputError
from domain.model_card import ModelCard

Picture = UInt8[np.ndarray, "height width 3"]  # RGB

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # of districts.layout
_MAX_PIXELS = 80_000_000  # Pillow warns beyond
LETTERBOX_GREY = 114  # padding colour of ultralytics, also in training


@dataclass(frozen=True)
class Resized:
    """A picture at a network's input size, with the mapping back: `original = (resized - pad) / scale`."""

    image: Picture
    scale_xy: tuple[float, float]
    pad_xy_px: tuple[float, float]
    original_size: tuple[int, int]  # height, width

    def boxes_to_original(self, boxes_xyxy: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, "box 4"]:
        """Map boxes from pixels of the input to pixels of the original picture, clipped to it."""
        shift = np.array(self.pad_xy_px * 2, np.float32)
        scale = np.array(self.scale_xy * 2, np.float32)
        height, width = self.original_size
        return np.clip((boxes_xyxy - shift) / scale, 0, np.array([width, height, width, height], np.float32))


def read_image(file: Path) -> Picture:
    """Read the picture in `file`.

    Raises:
        InputError: if the file is missing or not a picture that OpenCV can read.
    """
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(
            f"{file} must be a readable picture (JPEG, PNG, …)" + ("" if file.exists() else "; it is missing")
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def require_picture(file: Path) -> tuple[int, int]:
    """Width and height by the header of `file`; raises `InputError` unless it is a picture that may be decoded.

    OpenCV takes 3 GB for a PNG of some kilobytes, so pictures of others are looked at so before they are read.
    """
    with open_header(file) as picture:
        return picture.size


@contextmanager
def open_header(file: Path) -> Iterator[Image.Image]:
    """The picture in `file` before it is decoded; raises as `require_picture` does, also for what the caller reads."""
    if not file.is_file():
        raise InputError(f"{file} must be a readable picture (JPEG, PNG, …); it is missing or no file")
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > _MAX_PIXELS:
                raise InputError(f"{file} must have at most {_MAX_PIXELS} pixels, got {width} × {height}")
            yield picture
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} must be a readable picture ({', '.join(_FORMATS)}): {error}") from error


def write_image(file: Path, image: Picture, jpeg_quality: int = 92) -> None:
    """Write `image` in the format of the file's suffix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if file.suffix.lower() in {".jpg", ".jpeg"} else []
    written = cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not written:
        raise OSError(f"{file} could not be written")


def encode_jpeg(image: Picture, quality: int = 92) -> bytes:
    """`image` as a JPEG file."""
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV encodes any image that is not empty"
    return jpeg.tobytes()


def decode_jpeg(content: bytes) -> Picture:
    """The picture of a JPEG that `encode_jpeg` made.

    Raises:
        InputError: if it is none.
    """
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise InputError(f"a picture must be a JPEG, got {len(content)} bytes that are none")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def resize_for(card: ModelCard, image: Picture) -> Resized:
    """Resize `image` to the input size of `card`'s network, stretched or letterboxed as the card says."""
    size = card.input_height_px, card.input_width_px
    return letterbox(image, *size) if card.resize == "letterbox" else stretch(image, *size)


def stretch(image: Picture, height: int, width: int) -> Resized:
    """Resize `image` to `height` × `width` without keeping its aspect ratio, as Darknet and re-ID networks do."""
    original = image.shape[:2]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return Resized(resized, (width / original[1], height / original[0]), (0.0, 0.0), original)


def letterbox(image: Picture, height: int, width: int) -> Resized:
    """Resize `image` with its aspect ratio, centred on grey, as ultralytics does in training."""
    original = image.shape[:2]
    scale = min(height / original[0], width / original[1])
    inner_height, inner_width = round(original[0] * scale), round(original[1] * scale)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    canvas = np.full((height, width, 3), LETTERBOX_GREY, np.uint8)
    inner = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return Resized(canvas, (inner_width / original[1], inner_height / original[0]), (float(left), float(top)), original)


def crop_boxes(image: Picture, boxes_xyxy: Real[np.ndarray, "box 4"]) -> list[np.ndarray]:
    """Crop of `image` for each box in pixels, clipped to the picture; at least 1 × 1 pixel."""
    height, width = image.shape[:2]
    crops = []
    for left, top, right, bottom in np.asarray(boxes_xyxy, np.float64):
        x0, y0 = int(np.clip(np.floor(left), 0, width - 1)), int(np.clip(np.floor(top), 0, height - 1))
        x1, y1 = int(np.clip(np.ceil(right), x0 + 1, width)), int(np.clip(np.ceil(bottom), y0 + 1, height))
        crops.append(image[y0:y1, x0:x1])
    return crops

"""Decodes an uploaded photo without trusting it; a file that is no usable photo is refused with the reason."""

import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from domain.errors import InputError
from serving.search.metrics import STAGE_SECONDS

_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
)  # formats of cameras and telephones; each further decoder is one more to trust
_MIN_SIDE_PX = 8
_MAX_ASPECT = 20
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error, zlib.error)


@STAGE_SECONDS.labels("decode").time()
def decode_photo(content: bytes, max_pixels: int) -> np.ndarray:
    """The picture in `content` as `uint8 [height, width, 3]` RGB, upright as its EXIF orientation says.

    The size is checked before any pixel is decoded, so a small file that declares a huge picture costs nothing. Of an
    animation the first frame is taken; transparency is dropped.

    Raises:
        InputError: if the file is empty, not a picture of a known format, damaged, too large, too small or too narrow.
    """
    if not content:
        raise InputError("the photo must be a picture, got an empty file")
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(content), formats=_FORMATS) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked next
            _check_size(picture.width, picture.height, max_pixels)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))  # each copy costs memory
    except InputError:
        raise
    except UnidentifiedImageError as error:
        kinds = ", ".join(_FORMATS)
        raise InputError(f"the photo must be a picture ({kinds}), got a file that is none of these") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"the photo must have at most {max_pixels} pixels, got far more; send a smaller one"
        ) from error
    except _BROKEN as error:
        raise InputError(
            f"the photo must be undamaged, got one that cannot be decoded ({error}); send it again"
        ) from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    size = f"{width} × {height}"
    if width * height > max_pixels:
        raise InputError(f"the photo must have at most {max_pixels} pixels, got {size}; send a smaller one")
    if min(width, height) < _MIN_SIDE_PX:
        raise InputError(f"the photo must be at least {_MIN_SIDE_PX} pixels wide and high, got {size}")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise InputError(f"the photo must be at most {_MAX_ASPECT} times as long as wide, got {size}")

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from domain.errors import InputError
from serving.search.photo import decode_photo

MOST = 1_000_000


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 40, height: int = 60) -> Image.Image:
    rows = np.linspace(0, 255, height).astype(np.uint8)[:, None, None]
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).copy())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "WEBP"])
def test_known_kinds_come_as_rgb(kind: str) -> None:
    image = decode_photo(encoded(gradient(), kind), MOST)
    assert (image.dtype, image.shape) == (np.uint8, (60, 40, 3))
    np.testing.assert_allclose(image, np.asarray(gradient()), atol=12)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_comes_as_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_photo(encoded(gradient().convert(mode), kind), MOST).shape == (60, 40, 3)


def test_a_photo_held_sideways_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°: the telephone lay on its side
    image = decode_photo(encoded(gradient(), "JPEG", exif=exif), MOST)
    assert image.shape == (40, 60, 3)
    assert image[20, 0].mean() > 200 > 50 > image[20, -1].mean()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_the_photo(kind: str) -> None:
    red, green = Image.new("RGB", (40, 60), (250, 0, 0)), Image.new("RGB", (40, 60), (0, 250, 0))
    image = decode_photo(encoded(red, kind, save_all=True, append_images=[green] * 3), MOST)
    assert image.shape == (60, 40, 3)
    assert image[..., 0].mean() > 200 > 50 > image[..., 1].mean()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "got an empty file", id="empty"),
        pytest.param(b"I am a text file", "got a file that is none of these", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "got a file that is none of these", id="svg"),
        pytest.param(encoded(gradient(), "GIF"), "got a file that is none of these", id="kind not allowed"),
        pytest.param(encoded(gradient(), "JPEG")[:300], "got one that cannot be decoded|none of these", id="cut JPEG"),
        pytest.param(encoded(gradient(), "PNG")[:-30], "got one that cannot be decoded", id="cut PNG"),
        pytest.param(encoded(gradient(1100, 1000), "PNG"), "at most 1000000 pixels, got 1100 × 1000", id="large"),
        pytest.param(encoded(gradient(40, 7), "PNG"), "at least 8 pixels wide and high, got 40 × 7", id="small"),
        pytest.param(encoded(gradient(10, 201), "PNG"), "at most 20 times as long as wide", id="narrow"),
    ],
)
def test_a_file_that_is_no_photo_is_refused_with_a_reason(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"photo must be .*{message}|photo must have .*{message}"):
        decode_photo(content, MOST)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    header = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # claims 3.6 billion pixels
    with pytest.raises(InputError, match="photo must"):
        decode_photo(bytes(header), MOST)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_photo_raises_no_other_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ["JPEG", "PNG", "WEBP", "BMP"][seed % 4]
    content = np.frombuffer(encoded(gradient(), kind), np.uint8).copy()
    places = rng.integers(0, len(content), size=5)
    content[places] = rng.integers(0, 256, size=5)
    with suppress(InputError):  # any other error would be a 500
        assert decode_photo(content.tobytes(), MOST).dtype == np.uint8

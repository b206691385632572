"""Photos are decoded in processes that know nothing of the service and cannot keep it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from domain.deadline import OverdueError, deadline_after
from domain.errors import InputError
from serving.search import photo
from serving.search.photo import PhotoDecoders, SlowPhotoError
from tests.end_to_end.conftest import wait_until
from tests.helpers.hostile_uploads import jpeg_of_scans
from tests.helpers.photo_decoders import process_of
from tests.helpers.project import ROOT

MOST = 1_000_000
TELEPHONE_PX = 5000, 5000
MUCH_S = 20.0
_DECODE_AND_WAIT = """
import sys
from pathlib import Path
from serving.search.photo import PhotoDecoders
decoders = PhotoDecoders(1, 1_000_000)
decoders.decode(Path(sys.argv[1]).read_bytes(), 20.0)
print(decoders._idle.get().result()._process.pid, flush=True)
input()
"""


@pytest.fixture(scope="module")
def decoders() -> Iterator[PhotoDecoders]:
    opened = PhotoDecoders(1, MOST)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def decode_photo(decoders: PhotoDecoders) -> Callable[[bytes], np.ndarray]:
    return lambda content: decoders.decode(content, MUCH_S)[0]


@pytest.fixture(scope="module")
def large() -> Iterator[PhotoDecoders]:
    """For photos as large as the settings allow."""
    opened = PhotoDecoders(1, TELEPHONE_PX[0] * TELEPHONE_PX[1])
    yield opened
    opened.close()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 40, height: int = 60) -> Image.Image:
    rows = np.linspace(0, 255, height).astype(np.uint8)[:, None, None]
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).copy())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "WEBP"])
def test_known_kinds_come_as_rgb(decode_photo: Callable[[bytes], np.ndarray], kind: str) -> None:
    image = decode_photo(encoded(gradient(), kind))
    assert (image.dtype, image.shape) == (np.uint8, (60, 40, 3))
    np.testing.assert_allclose(image, np.asarray(gradient()), atol=12)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_comes_as_rgb(decode_photo: Callable[[bytes], np.ndarray], mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_photo(encoded(gradient().convert(mode), kind)).shape == (60, 40, 3)


def deep_png(channels: int) -> bytes:
    """16 bits a channel: the upper 8 rise down the picture, the lower 8 across it."""
    high, low = np.meshgrid(np.arange(60) * 4, np.arange(40) * 6, indexing="ij")
    deep = (high * 256 + low).astype(np.uint16)
    done, content = cv2.imencode(".png", np.repeat(deep[..., None], channels, axis=2))
    assert done
    return content.tobytes()


def deep_tiff(mode: str) -> bytes:
    deep = np.arange(60, dtype=np.uint16)[:, None].repeat(40, axis=1) * 1000
    return encoded(Image.fromarray(deep.astype("<u2" if mode == "I;16" else ">u2").view(np.uint16)), "TIFF")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(deep_png(1), id="grey of 16 bits"),
        pytest.param(deep_png(3), id="colours of 16 bits"),
        pytest.param(deep_png(4), id="colours of 16 bits with transparency"),
        pytest.param(deep_tiff("I;16"), id="TIFF of 16 bits"),
        pytest.param(encoded(gradient().convert("LA"), "PNG"), id="grey with transparency"),
        pytest.param(encoded(gradient().convert("P"), "PNG", transparency=3), id="palette with transparency"),
        pytest.param(encoded(gradient().convert("L"), "TIFF", compression="tiff_lzw"), id="TIFF of 8 bits"),
        pytest.param(encoded(gradient().convert("CMYK"), "JPEG", quality=95), id="CMYK"),
    ],
)
def test_a_photo_is_seen_as_opencv_reads_the_same_file(
    decode_photo: Callable[[bytes], np.ndarray], content: bytes
) -> None:
    read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_allclose(decode_photo(content), read, atol=3)
    assert len(np.unique(read)) >= 6


@pytest.mark.parametrize(("size", "seen"), [((1600, 1300), (800, 650)), ((3000, 4001), (750, 1001))])
def test_a_jpeg_of_too_many_pixels_is_seen_smaller(
    decoders: PhotoDecoders, size: tuple[int, int], seen: tuple[int, int]
) -> None:
    plain = decoders.decode(encoded(gradient(*size), "JPEG"), MUCH_S)
    assert plain.image.shape == (seen[1], seen[0], 3)
    assert plain.scale == (seen[0] / size[0], seen[1] / size[1])
    assert plain.image[0].mean() < 10 < 245 < plain.image[-1].mean()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decoders.decode(encoded(gradient(*size), "JPEG", exif=exif), MUCH_S)
    assert turned.image.shape == (*seen, 3)
    assert turned.scale == (seen[1] / size[1], seen[0] / size[0])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8160, 6120), (16320, 12240)], ids=["50 megapixels", "200 megapixels"])
def test_the_largest_photos_of_telephones_are_taken(large: PhotoDecoders, size: tuple[int, int]) -> None:
    content = encoded(Image.new("RGB", size, (200, 100, 50)), "JPEG")
    decoded = large.decode(content, MUCH_S)
    assert 6_000_000 < decoded.image.shape[0] * decoded.image.shape[1] <= 25_000_000
    assert decoded.image.mean(axis=(0, 1)) == pytest.approx([200, 100, 50], abs=3)


def test_a_photo_held_sideways_stands_upright(decode_photo: Callable[[bytes], np.ndarray]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°: the telephone lay on its side
    image = decode_photo(encoded(gradient(), "JPEG", exif=exif))
    assert image.shape == (40, 60, 3)
    assert image[20, 0].mean() > 200 > 50 > image[20, -1].mean()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_the_photo(decode_photo: Callable[[bytes], np.ndarray], kind: str) -> None:
    red, green = Image.new("RGB", (40, 60), (250, 0, 0)), Image.new("RGB", (40, 60), (0, 250, 0))
    image = decode_photo(encoded(red, kind, save_all=True, append_images=[green] * 3))
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
        pytest.param(
            encoded(gradient(1600, 1300), "JPEG", progressive=True),
            "at most 2000000 pixels as a progr",
            id="progressive",
        ),
        pytest.param(encoded(gradient(8200, 8000), "JPEG"), "at most 1000000 pixels, got 8200 × 8000", id="huge"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a JPEG, got HEIC.*사진은 JPEG이어야 합니다", id="HEIC"),
        pytest.param(encoded(Image.new("F", (40, 60), 0.5), "TIFF"), "16 bits a channel, got floating", id="float"),
        pytest.param(encoded(Image.new("I", (40, 60), 2**30), "TIFF"), "16 bits a channel, got 32 bits", id="32 bits"),
        pytest.param(encoded(gradient(40, 7), "PNG"), "at least 8 pixels wide and high, got 40 × 7", id="small"),
        pytest.param(encoded(gradient(10, 201), "PNG"), "at most 20 times as long as wide", id="narrow"),
    ],
)
def test_a_file_that_is_no_photo_is_refused_with_a_reason(
    decode_photo: Callable[[bytes], np.ndarray], content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=f"photo must be .*{message}|photo must have .*{message}"):
        decode_photo(content)


def test_a_bomb_is_refused_before_it_is_decoded(decode_photo: Callable[[bytes], np.ndarray]) -> None:
    header = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # claims 3.6 billion pixels
    with pytest.raises(InputError, match="photo must"):
        decode_photo(bytes(header))


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_photo_raises_no_other_error(decode_photo: Callable[[bytes], np.ndarray], seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ["JPEG", "PNG", "WEBP", "BMP"][seed % 4]
    content = np.frombuffer(encoded(gradient(), kind), np.uint8).copy()
    places = rng.integers(0, len(content), size=5)
    content[places] = rng.integers(0, 256, size=5)
    with suppress(InputError):  # any other error would be a 500
        assert decode_photo(content.tobytes()).dtype == np.uint8


def test_a_photo_of_more_scans_than_an_encoder_writes_is_refused_at_once(large: PhotoDecoders) -> None:
    began = monotonic()
    with pytest.raises(InputError, match="photo must be a JPEG of at most 50 scans"):
        large.decode(jpeg_of_scans(*TELEPHONE_PX, 20_000), MUCH_S)
    assert monotonic() - began < 2  # libjpeg would take five minutes


def test_scans_of_a_thumbnail_and_after_the_end_do_not_count(large: PhotoDecoders) -> None:
    marks = b"\xff\xda" * 20_000
    exif = b"Exif\0\0" + b"\xff\xda" * 200
    assert large.decode(encoded(gradient(), "JPEG", exif=exif) + marks, MUCH_S)[0].shape == (60, 40, 3)


def test_a_photo_that_takes_long_is_given_up_and_the_next_is_decoded(large: PhotoDecoders) -> None:
    began = monotonic()
    with pytest.raises(SlowPhotoError, match=r"in 0\.2 s of processor time"):
        large.decode(jpeg_of_scans(*TELEPHONE_PX, 50), 0.2)
    image, spent_s, _ = large.decode(encoded(gradient(), "PNG"), MUCH_S)
    assert (image.shape, spent_s < 0.2) == ((60, 40, 3), True)
    assert monotonic() - began < 5


def test_at_the_deadline_the_decoder_is_killed(large: PhotoDecoders) -> None:
    killed = process_of(large)
    with deadline_after(0.2), pytest.raises(OverdueError, match="photo must be decoded by the deadline"):
        large.decode(jpeg_of_scans(*TELEPHONE_PX, 50), MUCH_S)
    assert not killed.is_running()
    assert process_of(large) != killed


def test_at_the_deadline_a_decoder_that_reads_nothing_is_killed_too(large: PhotoDecoders) -> None:
    with deadline_after(10):
        large.decode(encoded(gradient(), "PNG"), MUCH_S)
    killed = process_of(large)
    killed.suspend()
    began = monotonic()
    with deadline_after(0.2), pytest.raises(OverdueError, match="photo must be decoded by the deadline"):
        large.decode(bytes(5_000_000), MUCH_S)  # more than its socket holds
    assert monotonic() - began < 5
    assert not killed.is_running()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_decoder_that_somebody_killed_is_replaced_unnoticed(decoders: PhotoDecoders, how: signal.Signals) -> None:
    killed = process_of(decoders)
    killed.send_signal(how)
    assert decoders.decode(encoded(gradient(), "PNG"), MUCH_S)[0].shape == (60, 40, 3)
    assert process_of(decoders) != killed


def test_a_photo_that_ends_its_decoder_is_refused(decoders: PhotoDecoders) -> None:
    process_of(decoders).send_signal(signal.SIGSEGV)  # as a wild pointer in libjpeg would
    with pytest.raises(InputError, match="must be undamaged"):
        decoders.decode(encoded(gradient(), "PNG"), MUCH_S)


def test_a_decoder_ends_with_the_service_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(gradient(), "PNG"))
    service = subprocess.Popen(
        [sys.executable, "-c", _DECODE_AND_WAIT, str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with service:
        assert service.stdout is not None
        decoder = psutil.Process(int(service.stdout.readline()))
        decoder.suspend()  # as busy as with a photo: it does not see that its socket was closed
        service.kill()
    wait_until(lambda: not decoder.is_running() or decoder.status() == "zombie", 10, lambda: str(decoder))


def test_a_decoder_has_no_descriptor_and_no_secret_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://dongseon:s3cret@db/dongseon")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        opened = PhotoDecoders(1, MOST)
        opened.decode(encoded(gradient(), "PNG"), MUCH_S)
        process = Path(f"/proc/{process_of(opened).pid}")
        descriptors = {at.name: str(at.readlink()) for at in (process / "fd").iterdir()}
        environment = (process / "environ").read_text()
        opened.close()
    assert sorted(descriptors) == ["0", "1", "2"]
    assert descriptors["0"] == descriptors["1"]
    assert descriptors["2"] == "/dev/null"
    assert "s3cret" not in environment


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        pytest.param("JPEG", "CMYK", {"progressive": True}, id="progressive CMYK"),
        pytest.param("WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 0}, id="WebP with transparency"),
        pytest.param("TIFF", "I;16", {}, id="TIFF of 16 bits"),
        pytest.param("PNG", "I;16", {}, id="PNG of 16 bits"),
    ],
)
def test_every_photo_as_large_as_allowed_fits_into_the_decoders_memory(
    large: PhotoDecoders, kind: str, mode: str, options: dict[str, object]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turning it takes a copy
    content = encoded(Image.new(mode, TELEPHONE_PX, 200), kind, exif=exif, **options)
    assert large.decode(content, MUCH_S)[0].shape == (*TELEPHONE_PX, 3)
    status = Path(f"/proc/{process_of(large).pid}/status").read_text()
    most_mb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000
    print(f"{kind} {mode}: {most_mb:.0f} MB")
    assert most_mb < (photo._BASE_BYTES + photo._BYTES_A_PIXEL * 25_000_000) / 1e6


def test_a_photo_that_needs_more_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "_BASE_BYTES", 100_000_000)
    monkeypatch.setattr(photo, "_BYTES_A_PIXEL", 0)
    opened = PhotoDecoders(1, 25_000_000)
    try:
        with pytest.raises(InputError, match=r"decoded in bounded memory|cannot be decoded"):
            opened.decode(encoded(Image.new("RGB", TELEPHONE_PX), "PNG"), MUCH_S)
        assert opened.decode(encoded(gradient(), "PNG"), MUCH_S)[0].shape == (60, 40, 3)
    finally:
        opened.close()

"""The Bento of the pipeline, served from a clean folder as on another machine."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import free_port, server, succeed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clean = tmp_path_factory.mktemp("clean")
    port = free_port()
    command = ["bentoml", "serve", str(smoke / "bento"), "--host", "127.0.0.1", "--port", str(port)]
    with server(clean, command, f"http://127.0.0.1:{port}/readyz"):
        yield f"http://127.0.0.1:{port}"


def test_a_photo_finds_ranked_sightings(service: str, smoke: Path) -> None:
    photo = next((smoke / "data" / "demo" / "reid" / "query").glob("*.jpg"))
    answer = httpx.post(f"{service}/v1/search", files={"photo": photo.read_bytes()}, timeout=60)
    assert answer.status_code == 200, answer.text
    sightings = answer.json()["sightings"]
    assert sightings
    distances = [sighting["distance"] for sighting in sightings]
    assert distances == sorted(distances)
    for sighting in sightings:
        assert sighting["camera_id"]
        assert sighting["first_seen"] <= sighting["last_seen"]
        assert 0 <= sighting["match_probability"] <= 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"I am a text file", id="text"),
        pytest.param(b"\xff\xd8\xff", id="cut"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_file_that_is_no_photo_gets_400_with_a_message(service: str, content: bytes) -> None:
    answer = httpx.post(f"{service}/v1/search", files={"photo": ("photo.jpg", content, "image/jpeg")}, timeout=60)
    assert answer.status_code == 400
    assert "photo" in answer.text


def test_the_service_imports_neither_torch_nor_a_training(smoke: Path) -> None:
    forbidden = {"torch", "pytorch_lightning", "hydra", "omegaconf", "torchreid", "ultralytics", "mlflow", "dvc"}
    code = "import sys, serving.service, serving.track, serving.track_video; print(*sys.modules)"
    loaded = set(succeed(smoke, "python", "-c", code).split())
    assert "serving.service" in loaded
    assert not loaded & (forbidden | {"training"})

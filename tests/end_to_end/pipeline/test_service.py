"""The Bento of the pipeline, served from a clean folder as on another machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import free_port, server, succeed

pytestmark = pytest.mark.slow
Asking = tuple[httpx.Client, dict[str, str]]  # of a service, and what every search of it must say


@pytest.fixture(scope="module")
def service(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Asks as a reviewer who has opened a case."""
    clean = tmp_path_factory.mktemp("clean")
    port = free_port()
    bento, store = str(smoke / "bento" / "demo"), f"DONGSEON_STORE={smoke / 'store'}"
    command = ["env", store, "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    with server(clean, command, f"http://127.0.0.1:{port}/readyz"):
        made = succeed(smoke, "python", "-m", "serving.accounts", "create", "lee", "--role", "reviewer")
        headers = {"Authorization": "Bearer " + re.findall(r"dongseon_\S+", made)[0]}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            case = client.post("/v1/cases", json={"title": "A missing child"}).json()["id"]
            yield client, {"case": case, "reason": "reported missing"}


def test_a_photo_finds_ranked_sightings(service: Asking, smoke: Path) -> None:
    client, for_case = service
    photo = next((smoke / "data" / "demo" / "reid" / "query").glob("*.jpg"))
    answer = client.post("/v1/search", data=for_case, files={"photo": photo.read_bytes()})
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
def test_a_file_that_is_no_photo_gets_400_with_a_message(service: Asking, content: bytes) -> None:
    client, for_case = service
    answer = client.post("/v1/search", data=for_case, files={"photo": ("photo.jpg", content, "image/jpeg")})
    assert answer.status_code == 400
    assert "photo" in answer.text


def test_the_service_imports_neither_torch_nor_a_training(smoke: Path) -> None:
    forbidden = {"torch", "pytorch_lightning", "hydra", "omegaconf", "torchreid", "ultralytics", "mlflow", "dvc"}
    code = "import sys, serving.service, serving.track, serving.track_video; print(*sys.modules)"
    loaded = set(succeed(smoke, "python", "-c", code).split())
    assert "serving.service" in loaded
    assert not loaded & (forbidden | {"training"})


def test_products_of_a_search_stay_in_its_thread(smoke: Path) -> None:
    code = (
        "import serving.service; from threadpoolctl import threadpool_info; "
        "print('blas threads', *{each['num_threads'] for each in threadpool_info() if each['user_api'] == 'blas'})"
    )
    assert "blas threads 1\n" in succeed(smoke, "env", "OPENBLAS_NUM_THREADS=2", "python", "-c", code)

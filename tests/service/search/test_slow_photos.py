"""Photos that take long to decode occupy a lane of their own, whichever endpoint takes them."""

import asyncio

import httpx
import numpy as np
import pytest
from prometheus_client import REGISTRY

from serving.deployment import Deployment
from serving.search.photo import SlowPhotoError
from serving.web.api import build_api
from tests.helpers.deployments import FOR_CASE, client_of, search_service
from tests.helpers.hostile_uploads import jpeg_of_scans, picture_file
from tests.helpers.photo_decoders import process_of

THREADS = 2  # of searches, in the repository's settings
QUICK = picture_file(np.random.default_rng(0))


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A photo that takes 0.4 s of processor time and more, by the machine."""
    return jpeg_of_scans(4990, 4990, 50)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick photo takes 0.1 s at most, so that `slow` is slow on a fast machine, too."""
    monkeypatch.setattr("serving.search.searched_photos._QUICK_S", 0.1)


def num_decoded() -> float:
    """Photos of which decoding has ended, however it ended."""
    return REGISTRY.get_sample_value("dongseon_stage_seconds_count", {"stage": "decode"}) or 0.0


@pytest.mark.parametrize(
    ("path", "form"), [("/search", FOR_CASE), ("/photo", {}), ("/watches/estimate", FOR_CASE | {"hours": "1"})]
)
def test_while_slow_photos_are_decoded_the_same_account_searches_on(
    deployment: Deployment, slow: bytes, path: str, form: dict[str, str]
) -> None:
    api = build_api()
    api.state.max_upload_bytes, api.state.threads = 20_000_000, THREADS

    async def answered() -> tuple[httpx.Response, list[httpx.Response]]:
        """The answer to a search beside slow photos whose decoder stands still, and then to them."""
        decoder = process_of(api.state.search_service._photos._slow_decoders)
        before = num_decoded()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://x", timeout=120) as client:
            decoder.suspend()
            try:
                asked = (client.post(path, data=form, files={"photo": slow}) for _ in range(THREADS))
                waiting = [asyncio.create_task(each) for each in asked]
                while num_decoded() < before + THREADS:  # they are not known to be slow before
                    await asyncio.sleep(0.05)
                quick = await asyncio.wait_for(client.post("/search", data=FOR_CASE, files={"photo": QUICK}), 30)
            finally:
                decoder.resume()
            return quick, await asyncio.gather(*waiting)

    with client_of(api, deployment):
        quick, others = asyncio.run(asyncio.wait_for(answered(), timeout=240))
    assert quick.status_code == 200, quick.text
    assert [each.status_code for each in others] == [200] * THREADS, others[0].text


def test_a_photo_that_takes_long_is_decoded_by_the_slow_decoder_alone(deployment: Deployment, slow: bytes) -> None:
    service = search_service(deployment)
    try:
        with pytest.raises(SlowPhotoError):
            service.people_in(slow)
        decoder = process_of(service._photos._slow_decoders)
        before_s = decoder.cpu_times().user
        assert service.people_in(slow, slowly=True).width_px == 4990
        assert decoder.cpu_times().user > before_s + 0.1
    finally:
        service.close()

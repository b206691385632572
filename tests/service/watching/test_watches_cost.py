"""What watches cost while nobody looks at the page."""

from pathlib import Path

import pytest

from benchmarks.live_cameras import measure_watches, parser, service_of
from tests.helpers.deployments import write_deployment

FEATURE = 512  # of re-ID models
MOST = 0.05  # of the processor


@pytest.mark.soak
@pytest.mark.slow
def test_a_hundred_cases_that_watch_ten_cameras_cost_a_twentieth_of_the_processor_at_most(tmp_path: Path) -> None:
    root, cameras = write_deployment(tmp_path / "service").root, [f"c{number}" for number in range(10)]
    options = parser().parse_args(["--video", "none", "--watches", "100", "--rejected", "20", "--seconds", "60"])
    with service_of(root, tmp_path, cameras) as (service, deployment):
        figures = measure_watches(service, deployment.settings.search, FEATURE, cameras, options)
    print(figures)
    assert figures["sightings_a_second"] == pytest.approx(1, abs=0.1), "a busy street"
    assert figures["not_looked_at"] == 0
    assert figures["alerts"] >= 4, "they did look"
    assert figures["of_the_processor"] <= MOST

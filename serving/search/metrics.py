"""What Prometheus can ask of searches; `serving.web.middleware.metrics` says how that is answered."""

from prometheus_client import Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

SEARCH_SECONDS = Histogram(
    "dongseon_search_seconds", "How long searches that were answered took", ["kind"], buckets=_SECONDS
)
STAGE_SECONDS = Histogram("dongseon_stage_seconds", "How long a stage of a search took", ["stage"], buckets=_SECONDS)

"""Prometheus metrics of searches; `serving.web.middleware.metrics` answers with them."""

from prometheus_client import Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

SEARCH_SECONDS = Histogram("dongseon_search_seconds", "Time of answered searches", ["kind"], buckets=_SECONDS)
STAGE_SECONDS = Histogram("dongseon_stage_seconds", "Time of a stage of a search", ["stage"], buckets=_SECONDS)

"""Engines: exported networks that run without torch; they take `uint8` pictures and return named arrays."""

from export.engines.loading import WithoutPlan as WithoutPlan
from export.engines.loading import load as load

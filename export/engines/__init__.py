"""Engines: exported networks that run anywhere, `uint8` pictures in, named arrays out; no torch needed."""

from export.engines.loading import WithoutPlan as WithoutPlan
from export.engines.loading import load as load

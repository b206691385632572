"""Limits of one search."""

from pydantic import PositiveInt

from domain.settings import Settings


class SearchLimits(Settings):
    """How much one search may send and receive."""

    top_k: PositiveInt
    max_top_k: PositiveInt
    max_photo_pixels: PositiveInt
    max_photos: PositiveInt

"""Limits of one search."""

from pydantic import PositiveFloat, PositiveInt

from domain.settings import Settings


class SearchLimits(Settings):
    """Limits of the size of a search and its answer."""

    top_k: PositiveInt
    max_top_k: PositiveInt
    max_photo_pixels: PositiveInt
    max_photos: PositiveInt
    max_decoding_s: PositiveFloat  # of a processor, for all photos of a search
    threads: PositiveInt

"""The people to search for in uploaded photos."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from domain.errors import InputError
from domain.images import Picture
from serving.search.engines import SearchEngines
from serving.search.limits import SearchLimits
from serving.search.person_selection import Box, crop_of, people_in_photo, scaled
from serving.search.photo import PhotoDecoders, SlowPhotoError

_QUICK_S = 0.5  # processor time for the photos of a search that is not slow: five photos of a telephone
_SLOW_NICE = 10  # of the decoder of slow searches, which takes what the others leave


class SearchedPhoto(NamedTuple):
    """The person to search for in a photo, and everybody who was detected in it; boxes and size in its pixels."""

    selected: Box | None  # None: the whole photo
    detected: list[Box]
    size: tuple[int, int]  # width and height, upright
    crops: list[Picture]  # of the selected person, at the input size of each re-ID engine


class SearchedPhotos:
    """Finds the people to search for in photos; safe to share between threads.

    Args:
        limits: of a search.
    """

    def __init__(self, limits: SearchLimits) -> None:
        self._limits = limits
        self._decoders = PhotoDecoders(limits.threads, limits.max_photo_pixels)
        self._slow_decoders = PhotoDecoders(1, limits.max_photo_pixels, _SLOW_NICE)

    def close(self) -> None:
        """End the decoders."""
        self._decoders.close()
        self._slow_decoders.close()

    def people(
        self, models: Sequence[SearchEngines], photos: Sequence[bytes], marked: Sequence[Box | None], *, slowly: bool
    ) -> Iterator[SearchedPhoto]:
        """The person of each photo. A photo is decoded when it is asked for, so that one lies in memory at a time.

        Args:
            models: engines, of which the first detect people; each has its crop.
            photos: the files.
            marked: for each photo a box that the user drew, or None.
            slowly: whether decoding may take `max_decoding_s` of processor time, one slow search after the other; else
                half a second.

        Raises:
            InputError: if a photo is no usable picture, or nobody is where the user drew.
            SlowPhotoError: if the photos take longer, and might not with `slowly`.
            EnginesAwayError: if the engines do not answer.
            OverdueError: if the deadline of the request passes.
        """
        decoders, left_s = (self._slow_decoders, self._limits.max_decoding_s) if slowly else (self._decoders, _QUICK_S)
        for number, (photo, drawn) in enumerate(zip(photos, marked, strict=True), start=1):
            try:
                image, spent_s, scale = decoders.decode(photo, left_s)
                found = people_in_photo(models[0].perception, image, drawn and scaled(drawn, scale))
            except SlowPhotoError as error:
                if not slowly:
                    raise
                raise InputError(
                    f"photos must be decoded in {self._limits.max_decoding_s:g} s of a processor, got photos that take "
                    "longer; send smaller or plain JPEGs",
                    code="photo_slow",
                    number=number,
                ) from error
            except InputError as error:
                raise InputError(f"photo {number}: {error}", code=error.code, number=number) from error
            left_s -= spent_s
            person = crop_of(image, found.selected)
            crops = [engines.perception.reid_input(person) for engines in models]
            back = (1 / scale[0], 1 / scale[1])
            height, width = image.shape[:2]
            del image, person  # before the next is decoded
            yield SearchedPhoto(
                selected=found.selected and scaled(found.selected, back),
                detected=[scaled(box, back) for box in found.detected],
                size=(round(width * back[0]), round(height * back[1])),
                crops=crops,
            )

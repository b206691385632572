"""Search: a person's photos, attributes or both -> sightings, nearest first.

Nearest tracklets from the store's index, k-reciprocal re-ranking among them, then the attributes' evidence.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from domain.cameras import Sighting
from domain.embeddings import cosine_distances, unit_length
from domain.errors import InputError, require_shape
from domain.settings import Settings
from evaluation.reranking import rerank_candidates
from serving.fusion import attribute_evidence, description_likelihood, match_probability
from serving.metrics import STAGE_SECONDS
from serving.store import Store, StoredTracklet


class SearchSettings(Settings):
    """How candidates are found, ordered and judged."""

    candidates: PositiveInt  # nearest tracklets that are re-ranked
    k1: PositiveInt  # of re-ranking, as in evaluation.reranking
    k2: PositiveInt
    lambda_value: float = Field(ge=0, le=1)
    attribute_weight: NonNegativeFloat  # distance that one nat of attribute evidence is worth
    probability_softness: PositiveFloat  # distance over which the odds of a match change by e


class Searcher:
    """Finds a person among the sightings that one model described. Holds no state of a search."""

    def __init__(
        self, store: Store, match_distance: float, settings: SearchSettings, model_version: str | None = None
    ) -> None:
        """Search in `store`.

        Args:
            store: stays open as long as this is used, and is closed by its owner.
            match_distance: the re-ID card's cosine distance that parts same from different people.
            settings: see `SearchSettings`.
            model_version: passes over sightings of other models; None when the store holds those of one only.
        """
        self._store = store
        self._match_distance = match_distance
        self._settings = settings
        self._model_version = model_version

    def search(
        self,
        embedding: np.ndarray | None = None,
        attributes: Mapping[str, str] | None = None,
        *,
        top_k: int | None = None,
        cameras: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Sighting]:
        """Sightings of the person, nearest first; ties keep the store's order.

        With a photo, `distance` is the re-ranked distance less the attributes' evidence, and `match_probability` comes
        from the plain cosine distance less the same evidence, for that is what `match_distance` speaks of: the two need
        not put sightings in exactly the same order. By attributes alone, `match_probability` is how likely the words
        fit, not who it is, and `distance` is one less that.

        Args:
            embedding: `[feature]` of one photo, or `[photo, feature]` of several photos of one person, whose mean asks.
            attributes: group -> label, of those that are known.
            top_k: how many to return; None for all candidates.
            cameras: ids of cameras to search; None for all.
            since: leaves out what ended before; with a time zone.
            until: leaves out what began after; with a time zone.

        Raises:
            InputError: if there is neither photo nor attribute, `top_k` is below 1, or a time has no time zone.
        """
        asked = dict(attributes or {})
        if embedding is None and not asked:
            raise InputError("a search must have a photo, an attribute, or both, got neither")
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k must be at least 1, got {top_k}")
        for name, moment in (("since", since), ("until", until)):
            if moment is not None and moment.tzinfo is None:
                raise InputError(f"{name} must have a time zone, such as 2026-05-01T09:00:00+09:00, got {moment}")
        limit = max(self._settings.candidates, top_k or 0)
        if embedding is None:
            with STAGE_SECONDS.labels("database").time():
                found = self._store.described(asked, limit, cameras, since, until, model_version=self._model_version)
            return [_by_description(one, asked) for one in found][:top_k]
        query = _one_query(embedding)
        with STAGE_SECONDS.labels("database").time():
            found = self._store.nearest(query, limit, cameras, since, until, model_version=self._model_version)
        return self._by_photo(query, found, asked, top_k)

    def _by_photo(
        self, query: np.ndarray, found: Sequence[StoredTracklet], asked: Mapping[str, str], top_k: int | None
    ) -> list[Sighting]:
        if not found:
            return []
        settings = self._settings
        gallery = unit_length(np.stack([one.embedding for one in found]))
        plain = cosine_distances(query[None], gallery)[0]
        with STAGE_SECONDS.labels("re-rank").time():
            reranked = rerank_candidates(
                query, gallery, k1=settings.k1, k2=settings.k2, lambda_value=settings.lambda_value
            )
        evidence = np.array([attribute_evidence(one.attributes, asked) for one in found])
        shifts = settings.attribute_weight * evidence
        distances = reranked - shifts
        return [
            sighting_of(
                found[i],
                distance=float(distances[i]),
                probability=match_probability(
                    float(plain[i] - shifts[i]), self._match_distance, settings.probability_softness
                ),
            )
            for i in np.argsort(distances, kind="stable")[:top_k]
        ]


def _one_query(embedding: np.ndarray) -> np.ndarray:
    photos = np.asarray(embedding, np.float32)
    if photos.ndim == 1:
        photos = photos[None]
    require_shape("embedding", photos, (None, None))
    if not photos.size or not np.isfinite(photos).all():
        raise InputError(f"embeddings must be finite and not empty, got shape {photos.shape}")
    return unit_length(photos.mean(axis=0))


def _by_description(one: StoredTracklet, asked: Mapping[str, str]) -> Sighting:
    likelihood = description_likelihood(one.attributes, asked)
    return sighting_of(one, distance=1 - likelihood, probability=likelihood)


def sighting_of(one: StoredTracklet, *, distance: float, probability: float) -> Sighting:
    """`one` as an answer."""
    return Sighting(
        district=one.district,
        tracklet_id=one.id,
        camera_id=one.camera.id,
        first_seen=one.first_seen,
        last_seen=one.last_seen,
        latitude=one.camera.latitude,
        longitude=one.camera.longitude,
        distance=distance,
        match_probability=probability,
        crop=one.crop,
        attributes=one.attributes,
    )

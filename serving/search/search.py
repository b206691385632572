"""Search: photos of a person, confirmed sightings, a description, or all of them -> sightings, nearest first.

Nearest tracklets from the store's index, k-reciprocal re-ranking among them, then the evidence of the attributes and of
the sightings that somebody has rejected.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import sqlalchemy as sa
from pydantic import Field, PositiveFloat, PositiveInt

from domain.attribute_query import AttributeQuery
from domain.cameras import Sighting
from domain.embeddings import cosine_distances, unit_length
from domain.errors import InputError, require_shape
from domain.settings import Settings
from evaluation.reranking import rerank_candidates
from serving.database import queries
from serving.database.store import Store
from serving.database.tracklet_filter import ALL_TRACKLETS, TrackletFilter
from serving.database.tracklet_rows import StoredTracklet
from serving.matching.description import attribute_evidence, description_likelihood
from serving.matching.match_curve import MatchCurve
from serving.search.metrics import STAGE_SECONDS

SightingKey = tuple[str, int]  # district and number in it


class SearchSettings(Settings):
    """Settings of candidates, re-ranking and match probability."""

    candidates: PositiveInt
    k1: PositiveInt
    k2: PositiveInt
    lambda_value: float = Field(ge=0, le=1)
    attribute_trust: float = Field(ge=0, le=1)
    probability_softness: PositiveFloat


class Hit(Sighting):
    """A sighting as search and route answer it."""

    model_version: str  # of the re-ID model that embedded it
    confirmed: bool = False  # somebody has judged that this is the person


class Searcher:
    """Finds a person among the sightings that one model described. Holds no state of a search."""

    def __init__(
        self, store: Store, curve: MatchCurve, settings: SearchSettings, model_version: str | None = None
    ) -> None:
        """Search in `store`.

        Args:
            store: stays open as long as this is used, and is closed by its owner.
            curve: how likely a cosine distance of the re-ID engine is that of one person.
            settings: see `SearchSettings`.
            model_version: passes over sightings of other models; None when the store holds those of one only.
        """
        self._store = store
        self._curve = curve
        self._settings = settings
        self._model_version = model_version

    def search(
        self,
        embedding: np.ndarray | None = None,
        description: AttributeQuery | None = None,
        *,
        confirmed: Collection[SightingKey] = (),
        rejected: Collection[SightingKey] = (),
        top_k: int | None = None,
        where: TrackletFilter = ALL_TRACKLETS,
    ) -> list[Hit]:
        """Sightings of the person, nearest first; ties keep the store's order.

        With a photo or a confirmed sighting, `distance` is the re-ranked distance less the attributes' evidence, which
        counts as the distance by which the curve's odds change as much, and
        `match_probability` comes from the plain cosine distance less the same evidence, for that is what the curve
        speaks of: the two need not put sightings in exactly the same order. By attributes alone, `match_probability` is
        how likely the words fit, not who it is, and `distance` is one less that.

        Confirmed sightings are searched for with the photos, which together count as one of them: by the mean of all.
        They have probability 1 and say so. Rejected ones are left out, and who looks
        like one of them falls back: a sighting shows the person, the person rejected, or neither, and these three share
        its probability. Judged sightings of another model cannot be compared and do neither.

        Args:
            embedding: `[feature]` of one photo, or `[photo, feature]` of several photos of one person.
            description: of the person in words, see `serving.matching.description.read_description`.
            confirmed: sightings that certainly show the person.
            rejected: sightings that certainly show somebody else.
            top_k: how many to return; None for all candidates.
            where: filter of the sightings, of which the searcher sets the model.

        Raises:
            InputError: if there is neither photo, confirmed sighting nor attribute, `top_k` is below 1, a time has no
                time zone, or a judged sighting is not stored, or both confirmed and rejected.
        """
        asked = description or {}
        if embedding is None and not confirmed and not asked:
            raise InputError("a search must have a photo, a confirmed sighting or an attribute, got none")
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k must be at least 1, got {top_k}")
        for name, moment in (("since", where.since), ("until", where.until)):
            if moment is not None and moment.tzinfo is None:
                raise InputError(f"{name} must have a time zone, such as 2026-05-01T09:00:00+09:00, got {moment}")
        _require_one_verdict(confirmed, rejected)
        right, wrong = self._embeddings_of(confirmed), self._embeddings_of(rejected)
        looks = [*([] if embedding is None else [_one_look(embedding)]), *right]
        limit = max(self._settings.candidates, top_k or 0)
        enough = limit + len(rejected)
        where = replace(where, model_version=self._model_version)
        if looks:
            query = unit_length(np.mean(looks, axis=0))
            with STAGE_SECONDS.labels("database").time():
                found = queries.nearest(self._store.engine, query, enough, where)
            hits = self._by_looks(query, _without(rejected, found)[:limit], asked, wrong, top_k)
        elif asked:
            with STAGE_SECONDS.labels("database").time(), self._store.begin() as connection:
                found = queries.described(connection, asked, enough, where)
            hits = self._by_description(_without(rejected, found)[: top_k or limit], asked)
        else:
            raise InputError("confirmed sightings must be of the model that searches, got only such of another")
        return [_confirmed(hit) if (hit.district, hit.tracklet_id) in confirmed else hit for hit in hits]

    def _embeddings_of(self, judged: Collection[SightingKey]) -> list[np.ndarray]:
        if not judged:
            return []
        with self._store.begin() as connection:
            stored = stored_sightings(connection, judged)
        return [one.embedding for one in stored if self._model_version in (None, one.model_version)]

    def _by_looks(
        self,
        query: np.ndarray,
        found: Sequence[StoredTracklet],
        asked: AttributeQuery,
        wrong: Sequence[np.ndarray],
        top_k: int | None,
    ) -> list[Hit]:
        if not found:
            return []
        settings = self._settings
        gallery = unit_length(np.stack([one.embedding for one in found]))
        plain = cosine_distances(query[None], gallery)[0]
        with STAGE_SECONDS.labels("re-rank").time():
            reranked = rerank_candidates(
                query, gallery, k1=settings.k1, k2=settings.k2, lambda_value=settings.lambda_value
            )
        evidence = np.zeros(len(found))
        described = self._attributes_of(found) if asked else []
        if asked:
            evidence += [attribute_evidence(each, asked) for each in described]
        shifts = self._likeness_to(wrong, gallery) - self._curve.softness * settings.attribute_trust * evidence
        distances = reranked + shifts
        nearest = np.argsort(distances, kind="stable")[:top_k]
        shown = [described[i] for i in nearest] if asked else self._attributes_of([found[i] for i in nearest])
        return [
            hit_of(
                found[i],
                attributes,
                distance=float(distances[i]),
                probability=self._curve.probability(float(plain[i] + shifts[i])),
            )
            for i, attributes in zip(nearest, shown, strict=True)
        ]

    def _by_description(self, found: Sequence[StoredTracklet], asked: AttributeQuery) -> list[Hit]:
        hits = []
        for one, described in zip(found, self._attributes_of(found), strict=True):
            fit = description_likelihood(described, asked)
            hits.append(hit_of(one, described, distance=1 - fit, probability=fit))
        return hits

    def _attributes_of(self, found: Sequence[StoredTracklet]) -> list[dict[str, dict[str, float]]]:
        with STAGE_SECONDS.labels("attributes").time(), self._store.begin() as connection:
            return queries.attributes(connection, found)

    def _likeness_to(self, wrong: Sequence[np.ndarray], gallery: np.ndarray) -> np.ndarray:
        """Distance `[gallery]` by which those fall back that look like somebody rejected.

        Odds o of being the person become o / (1 + r), where r are the odds of being the rejected person who is nearest.
        """
        if not wrong:
            return np.zeros(len(gallery))
        nearest = cosine_distances(unit_length(np.stack(wrong)), gallery).min(axis=0)
        return self._curve.softness * np.logaddexp(0, (self._curve.half_distance - nearest) / self._curve.softness)


def stored_sightings(connection: sa.Connection, wanted: Collection[SightingKey]) -> list[StoredTracklet]:
    """Those of `wanted`, by time.

    Raises:
        InputError: if one is not stored.
    """
    found = queries.tracklets(connection, wanted) if wanted else []
    strange = sorted(set(wanted) - {(one.district, one.id) for one in found})
    if strange:
        raise InputError(f"sightings must be stored ones, got {', '.join(f'{name}/{id_}' for name, id_ in strange)}")
    return found


def hit_of(
    one: StoredTracklet,
    attributes: dict[str, dict[str, float]],
    *,
    distance: float,
    probability: float,
    confirmed: bool = False,
) -> Hit:
    """`one` and its attributes as an answer."""
    return Hit(
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
        attributes=attributes,
        model_version=one.model_version,
        confirmed=confirmed,
    )


def _one_look(embedding: np.ndarray) -> np.ndarray:
    photos = np.asarray(embedding, np.float32)
    if photos.ndim == 1:
        photos = photos[None]
    require_shape("embedding", photos, (None, None))
    if not photos.size or not np.isfinite(photos).all():
        raise InputError(f"embeddings must be finite and not empty, got shape {photos.shape}")
    return unit_length(photos.mean(axis=0))


def _without(rejected: Collection[SightingKey], found: Sequence[StoredTracklet]) -> list[StoredTracklet]:
    return [one for one in found if (one.district, one.id) not in rejected]


def _confirmed(hit: Hit) -> Hit:
    return hit.model_copy(update={"match_probability": 1.0, "confirmed": True})


def _require_one_verdict(confirmed: Collection[SightingKey], rejected: Collection[SightingKey]) -> None:
    both = sorted(set(confirmed) & set(rejected))
    if both:
        named = ", ".join(f"{district}/{number}" for district, number in both)
        raise InputError(f"a sighting must be confirmed or rejected, got {named} as both")

"""Search: ranks stored sightings by photos of a person, confirmed sightings, a description, or all of them."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import numpy as np
import sqlalchemy as sa
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from domain.attribute_query import AttributeQuery
from domain.cameras import Camera, CameraKey, Sighting
from domain.embeddings import cosine_distances, unit_length
from domain.errors import InputError, require_shape
from domain.settings import Settings
from evaluation.reranking import rerank_candidates
from serving.database import queries
from serving.database.districts import cameras_by_key
from serving.database.store import Store
from serving.database.tracklet_filter import ALL_TRACKLETS, TrackletFilter
from serving.database.tracklet_rows import EmbeddedTracklet, StoredTracklet
from serving.matching.description import attribute_evidence, description_likelihood
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Seen, Transits
from serving.search.metrics import STAGE_SECONDS

SightingKey = tuple[str, int]  # district and tracklet id
_Stored = TypeVar("_Stored", bound=StoredTracklet)
_CERTAIN = 1e-9  # probabilities are clipped to this distance from 0 and 1, so that evidence is finite


class SearchSettings(Settings):
    """Settings of candidates, re-ranking and match probability."""

    candidates: PositiveInt
    k1: PositiveInt
    k2: PositiveInt
    lambda_value: float = Field(ge=0, le=1)
    attribute_trust: float = Field(ge=0, le=1)
    time_trust: float = Field(ge=0, le=1)
    probability_softness: PositiveFloat


class Evidence(BaseModel):
    """What moved the match probability p, in nats: the three add up to ln(p / (1 - p))."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    looks: float  # photos, confirmed and rejected sightings, and how rare a match is among candidates
    words: float  # attributes
    place_and_time: float  # against what is seen there and then by chance; 0 where nothing is known


class Hit(Sighting):
    """Sighting in the answer of a search or route."""

    model_version: str  # re-ID model of its embedding; found by words, that which made it
    deployment_version: str | None = None  # one id of the models that made it; None if unknown
    confirmed: bool = False  # a verdict says that it shows the person
    evidence: Evidence | None = None  # of a search; None for a confirmed sighting


class Searcher:
    """Finds a person among the stored sightings, by the embeddings of one model. Has no state of a search.

    Args:
        store: the store of the sightings; its owner closes it after the last search.
        curve: match curve of the re-ID engine.
        settings: see `SearchSettings`.
        model_version: re-ID model; a search by appearance finds only sightings with an embedding by it.
        transits: what place and time tell; None: nothing.
        attributes_version: attribute model by which sightings are described, see `serving.database.queries.described`.
        embed_stored: embeddings of judged sightings that have none by the model; None: they do not count.
        reader: database of the candidates, such as a replica of the store's; None for the store's own. Judged sightings
            come from the store's own, where they may be newer.
    """

    def __init__(
        self,
        store: Store,
        curve: MatchCurve,
        settings: SearchSettings,
        model_version: str,
        transits: Transits | None = None,
        attributes_version: str = "",
        embed_stored: Callable[[Sequence[StoredTracklet]], Sequence[np.ndarray]] | None = None,
        reader: sa.Engine | None = None,
    ) -> None:
        self._store = store
        self._reader = reader or store.engine
        self._curve = curve
        self._settings = settings
        self._model_version = model_version
        self._transits = transits
        self._attributes_version = attributes_version
        self._embed_stored = embed_stored

    def search(
        self,
        embedding: Float[np.ndarray, "*photo feature"] | None = None,
        description: AttributeQuery | None = None,
        *,
        confirmed: Collection[SightingKey] = (),
        rejected: Collection[SightingKey] = (),
        left_out: Collection[SightingKey] = (),
        like: Collection[SightingKey] = (),
        seen_at: Sequence[Seen] = (),
        top_k: int | None = None,
        where: TrackletFilter = ALL_TRACKLETS,
        cells: Sequence[tuple[CameraKey, float, float]] | None = None,
    ) -> list[Hit]:
        """Sightings of the person, likeliest first; ties keep the store's order.

        With a photo or a confirmed sighting:

        1. Candidates are the tracklets nearest to the query, the mean embedding of the photos and the confirmed
           sightings; all photos together count as one sighting. Where `seen_at` or a confirmed sighting tells place and
           time, half as many more are the nearest of those whose camera and time a walk from there makes likely.
        2. Their distance is re-ranked with k-reciprocal neighbours.
        3. Evidence in nats is subtracted, as the distance that changes the curve's odds as much: that of the attributes
           times `attribute_trust`, and that of place and time times `time_trust`. For rejected sightings a distance is
           added: a candidate shows the person, a rejected person or neither, and these three share its probability.
           The result is `distance`, the order of the list.
        4. `match_probability` is the curve at the plain cosine distance with the same changes, because the curve is
           fitted to plain distances; where re-ranking changed the order, sightings share the mean of theirs (isotonic
           regression), so that it never rises along the list.

        With attributes alone, `match_probability` is the likelihood of the description, changed by place and time; it
        says nothing about the identity. `distance` is then 1 - `match_probability`.

        Confirmed sightings have probability 1; rejected ones are left out.

        Args:
            embedding: `[feature]` of one photo, or `[photo, feature]` of several photos of one person.
            description: attributes of the person, see `serving.matching.description.read_description`.
            confirmed: sightings that certainly show the person.
            rejected: sightings that certainly show another person.
            left_out: sightings that are no hits, besides the rejected ones; they change no probability.
            like: unconfirmed sightings that are searched for as confirmed ones are.
            seen_at: where the person was seen besides.
            top_k: maximum number of sightings; None for all candidates.
            where: filter of the sightings.
            cells: cameras and times, as of `serving.database.queries.nearest_in_cells`, whose sightings alone a search
                by appearance compares; None for all.

        Raises:
            InputError: if there is neither photo, confirmed sighting nor attribute, `top_k` is below 1, a time has no
                time zone, a judged sighting is not stored, or a sighting is both confirmed and rejected.
        """
        description = description or {}
        if embedding is None and not (confirmed or like) and not description:
            raise InputError(
                "a search must have a photo, a confirmed sighting or an attribute, got none", code="no_question"
            )
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k must be at least 1, got {top_k}")
        for name, moment in (("since", where.since), ("until", where.until)):
            if moment is not None and moment.tzinfo is None:
                raise InputError(f"{name} must have a time zone, such as 2026-05-01T09:00:00+09:00, got {moment}")
        _require_one_verdict(confirmed, rejected)
        known, others = self._stored(confirmed), self._embeddings(self._stored(rejected))
        person = self._embeddings([*known, *self._stored(set(like) - set(confirmed))])
        if embedding is not None:
            person = [_mean_of_photos(embedding), *person]
        limit = max(self._settings.candidates, top_k or 0)
        gone = {*rejected, *left_out} - set(confirmed)
        limit_with_gone = limit + len(gone)
        seen = [*seen_at, *map(seen_in, known)] if self._transits is not None else []
        if person:
            query = unit_length(np.mean(person, axis=0))
            nearest = _without(gone, self._nearest(query, limit_with_gone, where, cells))[:limit]
            if cells is None:
                near = self._nearest_in_time(query, seen, limit // 2, where)
                nearest += _without({*gone, *_keys(nearest)}, near)
            hits = self._by_appearance(query, nearest, description, others, seen, top_k)
        elif description:
            with STAGE_SECONDS.labels("database").time(), self._reader.begin() as connection:
                candidates = queries.described(
                    connection,
                    description,
                    limit_with_gone,
                    where,
                    attributes_version=self._attributes_version,
                )
            first = limit if seen else top_k or limit  # place and time may bring later ones to the front
            hits = self._by_description(_without(gone, candidates)[:first], description, seen)[:top_k]
        else:
            raise InputError(
                "confirmed sightings must be of the service's model, got only sightings of other models",
                code="other_model",
            )
        return [_confirmed(hit) if (hit.district, hit.tracklet_id) in confirmed else hit for hit in hits]

    def _stored(self, judged: Collection[SightingKey]) -> list[StoredTracklet]:
        if not judged:
            return []
        with self._store.begin() as connection:
            return stored_sightings(connection, judged)

    def _embeddings(self, stored: Sequence[StoredTracklet]) -> list[Float[np.ndarray, " feature"]]:
        if not stored:
            return []
        with self._store.begin() as connection:
            embedded = queries.embedded(connection, stored, self._model_version)
        lacking = _without(_keys(embedded), stored) if self._embed_stored is not None else []
        others = self._embed_stored(lacking) if self._embed_stored is not None and lacking else []
        return [*(sighting.embedding for sighting in embedded), *others]

    def _nearest(
        self,
        query: Float[np.ndarray, " feature"],
        limit: int,
        where: TrackletFilter,
        cells: Sequence[tuple[CameraKey, float, float]] | None,
    ) -> list[EmbeddedTracklet]:
        with STAGE_SECONDS.labels("database").time():
            if cells is None:
                return queries.nearest(self._reader, query, self._model_version, limit, where)
            with self._reader.begin() as connection:
                return queries.nearest_in_cells(connection, query, self._model_version, limit, cells, where)

    def _nearest_in_time(
        self, query: Float[np.ndarray, " feature"], seen: Sequence[Seen], limit: int, where: TrackletFilter
    ) -> list[EmbeddedTracklet]:
        """The nearest of those whose camera and time are likely for who was `seen`."""
        if self._transits is None or not seen:
            return []
        with STAGE_SECONDS.labels("database").time(), self._reader.begin() as connection:
            cameras = cameras_by_key(connection)
            places = {key: camera for key, camera in cameras.items() if where.cameras is None or key in where.cameras}
            cells = self._transits.cells(seen, places)
            return queries.nearest_in_cells(connection, query, self._model_version, limit, cells, where)

    def _place_and_time(
        self, candidates: Sequence[StoredTracklet], seen: Sequence[Seen]
    ) -> Float[np.ndarray, " candidate"]:
        """Evidence of each candidate, in nats, as far as it is trusted."""
        if self._transits is None:
            return np.zeros(len(candidates))
        return self._settings.time_trust * place_and_time(candidates, seen, self._transits)

    def _by_appearance(
        self,
        query: Float[np.ndarray, " feature"],
        candidates: Sequence[EmbeddedTracklet],
        description: AttributeQuery,
        rejected: Sequence[Float[np.ndarray, " feature"]],
        seen: Sequence[Seen],
        top_k: int | None,
    ) -> list[Hit]:
        if not candidates:
            return []
        settings, curve = self._settings, self._curve
        gallery = unit_length(np.stack([candidate.embedding for candidate in candidates]))
        plain = cosine_distances(query[None], gallery)[0].astype(np.float64)
        with STAGE_SECONDS.labels("re-rank").time():
            reranked = rerank_candidates(
                query, gallery, k1=settings.k1, k2=settings.k2, lambda_value=settings.lambda_value
            )
        words = np.zeros(len(candidates))
        attributes = self._attributes_of(candidates) if description else []
        if description:
            words += [attribute_evidence(described, description) for described in attributes]
            words *= settings.attribute_trust
        place_and_time = self._place_and_time(candidates, seen)
        shifts = self._rejection_shifts(rejected, gallery) - curve.softness * (words + place_and_time)
        distances = reranked + shifts
        ranked = np.argsort(distances, kind="stable")
        probabilities = np.empty(len(candidates))
        unordered = expit((curve.half_distance - plain - shifts) / curve.softness)
        probabilities[ranked] = isotonic_regression(unordered[ranked], increasing=False).x
        nearest = ranked[:top_k]
        if description:
            attributes = [attributes[i] for i in nearest]
        else:
            attributes = self._attributes_of([candidates[i] for i in nearest])
        return [
            hit_of(
                candidates[i],
                described,
                distance=float(distances[i]),
                probability=float(probabilities[i]),
                evidence=_evidence(float(probabilities[i]), float(words[i]), float(place_and_time[i])),
            )
            for i, described in zip(nearest, attributes, strict=True)
        ]

    def _by_description(
        self, candidates: Sequence[StoredTracklet], description: AttributeQuery, seen: Sequence[Seen]
    ) -> list[Hit]:
        hits = []
        place_and_time = self._place_and_time(candidates, seen)
        for candidate, described, moved in zip(
            candidates, self._attributes_of(candidates), place_and_time.tolist(), strict=True
        ):
            words = float(log_odds(description_likelihood(described, description)))
            probability = float(expit(words + moved))
            evidence = Evidence(looks=0.0, words=words, place_and_time=moved)
            hits.append(
                hit_of(candidate, described, distance=1 - probability, probability=probability, evidence=evidence)
            )
        return sorted(hits, key=lambda hit: hit.distance)

    def _attributes_of(self, tracklets: Sequence[StoredTracklet]) -> list[dict[str, dict[str, float]]]:
        with STAGE_SECONDS.labels("attributes").time(), self._reader.begin() as connection:
            return queries.attributes(connection, tracklets, self._attributes_version)

    def _rejection_shifts(
        self, rejected: Sequence[Float[np.ndarray, " feature"]], gallery: Float[np.ndarray, "gallery feature"]
    ) -> Float[np.ndarray, " gallery"]:
        """Distance that the most similar of the rejected sightings adds to each candidate."""
        if not rejected:
            return np.zeros(len(gallery))
        nearest = cosine_distances(unit_length(np.stack(rejected)), gallery).min(axis=0)
        return self._curve.shift_of_rejected(nearest)


def place_and_time(
    candidates: Sequence[StoredTracklet], seen: Sequence[Seen], transits: Transits
) -> Float[np.ndarray, " candidate"]:
    """Evidence of place and time that each candidate shows the person of `seen`, in nats, see `Transits.evidence`."""
    cameras: list[CameraKey] = [(candidate.district, candidate.camera.id) for candidate in candidates]
    places: dict[CameraKey, Camera] = dict(zip(cameras, (candidate.camera for candidate in candidates), strict=True))
    times_s = np.array([_middle_s(candidate) for candidate in candidates])
    lasts_s = np.array([_lasts_s(candidate) for candidate in candidates])
    return transits.evidence(seen, cameras, times_s, places, lasts_s)


def stored_sightings(connection: sa.Connection, keys: Collection[SightingKey]) -> list[StoredTracklet]:
    """The sightings of `keys`, by time.

    Raises:
        InputError: if a sighting is not stored.
    """
    stored = queries.tracklets(connection, keys) if keys else []
    missing = sorted(set(keys) - {(sighting.district, sighting.id) for sighting in stored})
    if missing:
        named = ", ".join(f"{name}/{number}" for name, number in missing)
        raise InputError(f"sightings must be stored, got {named}", code="sightings_removed")
    return stored


def hit_of(
    tracklet: StoredTracklet,
    attributes: dict[str, dict[str, float]],
    *,
    distance: float,
    probability: float,
    confirmed: bool = False,
    evidence: Evidence | None = None,
) -> Hit:
    """`tracklet` with its attributes, distance and match probability."""
    return Hit(
        district=tracklet.district,
        tracklet_id=tracklet.id,
        camera_id=tracklet.camera.id,
        first_seen=tracklet.first_seen,
        last_seen=tracklet.last_seen,
        latitude=tracklet.camera.latitude,
        longitude=tracklet.camera.longitude,
        distance=distance,
        match_probability=probability,
        crop=tracklet.crop,
        attributes=attributes,
        model_version=tracklet.model_version,
        deployment_version=tracklet.deployment_version,
        confirmed=confirmed,
        evidence=evidence,
    )


def _evidence(probability: float, words: float, place_and_time: float) -> Evidence:
    return Evidence(
        looks=float(log_odds(probability)) - words - place_and_time, words=words, place_and_time=place_and_time
    )


def log_odds(probabilities: Float[np.ndarray, "*any"] | float) -> Float[np.ndarray, "*any"]:
    """ln(p / (1 - p)) of probabilities, which are clipped so that it is finite."""
    return np.asarray(logit(np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)))


def seen_in(tracklet: StoredTracklet) -> Seen:
    """Where and when a sighting was."""
    camera = tracklet.camera
    by = (tracklet.district, camera.id)
    return Seen(camera.latitude, camera.longitude, _middle_s(tracklet), by, lasts_s=_lasts_s(tracklet))


def _middle_s(tracklet: StoredTracklet) -> float:
    return (tracklet.first_seen.timestamp() + tracklet.last_seen.timestamp()) / 2


def _lasts_s(tracklet: StoredTracklet) -> float:
    return (tracklet.last_seen - tracklet.first_seen).total_seconds()


def _keys(tracklets: Sequence[StoredTracklet]) -> set[SightingKey]:
    return {(tracklet.district, tracklet.id) for tracklet in tracklets}


def _mean_of_photos(embedding: Float[np.ndarray, "*photo feature"]) -> Float[np.ndarray, " feature"]:
    photos = np.asarray(embedding, np.float32)
    if photos.ndim == 1:
        photos = photos[None]
    require_shape("embedding", photos, (None, None))
    if not photos.size or not np.isfinite(photos).all():
        raise InputError(f"embeddings must be finite and not empty, got shape {photos.shape}")
    return unit_length(photos.mean(axis=0))


def _without(left_out: Collection[SightingKey], candidates: Sequence[_Stored]) -> list[_Stored]:
    return [candidate for candidate in candidates if (candidate.district, candidate.id) not in left_out]


def _confirmed(hit: Hit) -> Hit:
    return hit.model_copy(update={"match_probability": 1.0, "confirmed": True, "evidence": None})


def _require_one_verdict(confirmed: Collection[SightingKey], rejected: Collection[SightingKey]) -> None:
    both = sorted(set(confirmed) & set(rejected))
    if both:
        named = ", ".join(f"{district}/{number}" for district, number in both)
        raise InputError(f"a sighting must be confirmed or rejected, got {named} as both", code="both_verdicts")

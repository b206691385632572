"""One watch: the person, and the probability that a new sighting shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from domain.attribute_query import AttributeQuery
from domain.cameras import CameraKey
from domain.embeddings import cosine_distances, unit_length
from evaluation.transit.model import LARGEST
from serving.database.tracklet_rows import EmbeddedTracklet, StoredTracklet
from serving.matching.description import attribute_evidence, description_likelihood
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Seen, Transits
from serving.search.search import SearchSettings, log_odds, place_and_time


@dataclass(frozen=True)
class Watch:
    """A person sought, and where."""

    embedding: Float[np.ndarray, " feature"] | None  # None: the description alone says who it is
    description: AttributeQuery
    cameras: frozenset[CameraKey] | None = None  # None: all
    min_probability: float = 0.0  # from which on a sighting is told
    rejected: Sequence[Float[np.ndarray, " feature"]] = ()  # of other people, by the case's verdicts
    seen: Sequence[Seen] = ()  # where and when, by what was said and by the case's verdicts
    id: int = 0
    case_id: int = 0
    account: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Sightings:
    """New sightings, whose attributes were read."""

    tracklets: Sequence[StoredTracklet]  # with embeddings of one model; without, they are looked at for words alone
    attributes: Sequence[dict[str, dict[str, float]]]
    embeddings: Float[np.ndarray, "sighting feature"] = field(init=False)  # unit length

    def __post_init__(self) -> None:
        embedded = [one.embedding for one in self.tracklets if isinstance(one, EmbeddedTracklet)]
        object.__setattr__(self, "embeddings", unit_length(np.stack(embedded)) if embedded else np.zeros((0, 0)))


def match_probabilities(
    watch: Watch, new: Sightings, curve: MatchCurve, settings: SearchSettings, transits: Transits
) -> Float[np.ndarray, " sighting"]:
    """Probability that each of `new` shows the person of `watch`, as a search gives it; 0 at other cameras.

    A search re-ranks its candidates, which changes their order but not these probabilities. Place and time are asked of
    those alone that they can bring to the watch's least probability.
    """
    if watch.embedding is None:
        words = np.array([description_likelihood(described, watch.description) for described in new.attributes])
        odds = log_odds(words)
    else:
        distances = cosine_distances(watch.embedding[None], new.embeddings)[0].astype(np.float64)
        if watch.rejected:
            nearest = cosine_distances(np.stack(watch.rejected), new.embeddings).min(axis=0)
            distances += curve.shift_of_rejected(nearest)
        odds = (curve.half_distance - distances) / curve.softness
        if watch.description:
            words = np.array([attribute_evidence(described, watch.description) for described in new.attributes])
            odds += settings.attribute_trust * words
    reachable = odds + settings.time_trust * LARGEST >= log_odds(watch.min_probability)
    may_be_told: list[int] = np.flatnonzero(reachable).tolist()
    if watch.seen and may_be_told:
        some = [new.tracklets[place] for place in may_be_told]
        odds[may_be_told] += settings.time_trust * place_and_time(some, watch.seen, transits)
    likely: Float[np.ndarray, " sighting"] = expit(odds)
    if watch.cameras is None:
        return likely
    return np.where([(one.district, one.camera.id) in watch.cameras for one in new.tracklets], likely, 0.0)

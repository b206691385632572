"""Rankings by looks and times, learnt without the people who are searched for.

Transit times are those of the training people. How much they count, and the probability of a match, come from the
validation people, split as the test people are: the first crop of a person in a camera is a query, all others are the
gallery.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from districts.layout import ReidTable
from domain.errors import InputError
from evaluation.reliability import Reliability, score_reliability
from evaluation.transit import Fusion, TransitModel, fit_fusion, misleading_cameras, nearest_walks

_FIRST = 20  # candidates of a query whose probabilities are scored
_BINS = 20
_Distances = Float32[np.ndarray, "query gallery"]
# Distances by looks, plain and re-ranked, of embeddings of queries and of a gallery.
Looks = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TimedRanking:
    """Distances by looks and times between the queries and the gallery of a district."""

    plain: Float32[np.ndarray, "query gallery"]
    reranked: Float32[np.ndarray, "query gallery"]
    fusion: Fusion  # of plain distances and times
    probabilities: Float64[np.ndarray, "query gallery"]
    reliability: Reliability  # of the probabilities of each query's first candidates
    transits: TransitModel
    misleading: list[int]  # numbers of cameras whose times are left out, for they contradict the model


def rank_with_time(
    transits: TransitModel,
    validation: tuple[ReidTable, Float[np.ndarray, "image feature"]] | None,
    query: ReidTable,
    gallery: ReidTable,
    plain: Float32[np.ndarray, "query gallery"],
    reranked: Float32[np.ndarray, "query gallery"],
    looks: Looks,
) -> TimedRanking | str:
    """The ranking by looks and times, or why there is none.

    Args:
        transits: of the training people.
        validation: crops of validation people and their embeddings; None without such people.
        query: of the district.
        gallery: of the district, without junk.
        plain: distances between them by looks.
        reranked: the same after re-ranking.
        looks: how both were computed.
    """
    if np.isnan(query.times_s).all() or np.isnan(gallery.times_s).all():
        return "the crops have no times (reid/times.csv)"
    if validation is None:
        return "there are no validation people (reid/bounding_box_val), of whom the weight of times is learnt"
    try:
        fusions, by_looks = _fusions(transits, *validation, looks)
    except InputError as error:
        return f"the validation people do not tell the weight of times: {error}"
    chances = by_looks.probabilities(plain, np.zeros_like(plain), len(gallery.images))
    walks = nearest_walks(chances, query.cameras, query.times_s, gallery.cameras, gallery.times_s)
    misleading = misleading_cameras(transits, walks)
    ratios = _log_ratios(transits.without(misleading), query, gallery)
    probabilities = fusions[0].probabilities(plain, ratios, len(gallery.images))
    return TimedRanking(
        plain=fusions[0].distances(plain, ratios),
        reranked=fusions[1].distances(reranked, ratios),
        fusion=fusions[0],
        probabilities=probabilities,
        reliability=_first_candidates(probabilities, query, gallery),
        transits=transits,
        misleading=misleading,
    )


def _fusions(
    transits: TransitModel, crops: ReidTable, embeddings: Float[np.ndarray, "image feature"], looks: Looks
) -> tuple[list[Fusion], Fusion]:
    """Of plain and of re-ranked distances with times, and of plain distances alone."""
    visits = np.stack([crops.identities, crops.cameras], axis=1)
    is_query = np.zeros(len(visits), bool)
    is_query[np.unique(visits, axis=0, return_index=True)[1]] = True
    is_query &= crops.identities > 0
    query, gallery = crops.only(is_query), crops.only(~is_query)
    if not query.images or not gallery.images:
        raise InputError(f"queries and gallery must have crops, got {len(query.images)} and {len(gallery.images)}")
    same, counted = _same_and_counted(query, gallery)
    ratios = _log_ratios(transits, query, gallery)
    distances = looks(embeddings[is_query], embeddings[~is_query])
    return (
        [fit_fusion(each, ratios, same, counted) for each in distances],
        fit_fusion(distances[0], np.zeros_like(ratios), same, counted),
    )


def _same_and_counted(
    query: ReidTable, gallery: ReidTable
) -> tuple[Bool[np.ndarray, "query gallery"], Bool[np.ndarray, "query gallery"]]:
    """Whether pairs show one person, and whether they count in the protocol."""
    same = query.identities[:, None] == gallery.identities
    return same, ~(same & (query.cameras[:, None] == gallery.cameras))


def _log_ratios(transits: TransitModel, query: ReidTable, gallery: ReidTable) -> _Distances:
    return transits.log_ratios(query.cameras, query.times_s, gallery.cameras, gallery.times_s)


def _first_candidates(
    probabilities: Float64[np.ndarray, "query gallery"], query: ReidTable, gallery: ReidTable
) -> Reliability:
    same, counted = _same_and_counted(query, gallery)
    first = np.argsort(np.where(counted, -probabilities, np.inf), axis=1, kind="stable")[:, :_FIRST]
    rows = np.arange(len(first))[:, None]
    is_counted = counted[rows, first]
    return score_reliability(probabilities[rows, first][is_counted], same[rows, first][is_counted], _BINS)

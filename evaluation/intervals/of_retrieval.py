"""Samples of re-identification: people are drawn, with all their queries; the gallery stays as it is."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int

from evaluation.intervals.bootstrap import Figures, Sample, Weights, ratios
from evaluation.open_set import Nearest, detection_rates
from evaluation.retrieval import RetrievalScores

UNIT = "people"
RANKS = (1, 5, 10, 20)  # as in the study's Table 5


def retrieval_sample(
    scores: RetrievalScores,
    nearest: Nearest,
    query_identities: Int[np.ndarray, " query"],
    false_alarm_rates: Sequence[float],
    chosen: Bool[np.ndarray, " query"] | None = None,
) -> Sample:
    """mAP, mINP, Rank-1 … Rank-20, and the detection rate at each false-alarm rate.

    Args:
        scores: of a ranking.
        nearest: of the same ranking.
        query_identities: of all queries.
        false_alarm_rates: each in 0..1; named in percent.
        chosen: queries that count; default: all that have a match.
    """
    counted = scores.first_ranks > 0 if chosen is None else (scores.first_ranks > 0) & chosen
    people, person = np.unique(query_identities[counted], return_inverse=True)

    def per_person(values: Float64[np.ndarray, " query"]) -> Float64[np.ndarray, " person"]:
        return np.bincount(person, values[counted].astype(np.float64), minlength=len(people))

    values = {"map": scores.average_precisions, "minp": scores.inverse_negative_penalties}
    values |= {f"rank{k}": (scores.first_ranks <= k).astype(np.float64) for k in RANKS}
    num_queries = per_person(np.ones(len(counted)))
    means = ratios({name: per_person(each) for name, each in values.items()}, dict.fromkeys(values, num_queries))
    of_chosen = counted[nearest.queries]
    known = Nearest(nearest.queries[of_chosen], nearest.match[of_chosen], nearest.other[of_chosen])
    person_of_known = np.searchsorted(people, query_identities[known.queries])

    def figures(weights: Weights) -> Figures:
        query_weights = weights[:, person_of_known]
        rates = {
            f"detection_rate_far{100 * rate:.0f}": detection_rates(known, rate, query_weights)
            for rate in false_alarm_rates
        }
        return dict(means(weights)) | rates

    return Sample(UNIT, len(people), int(counted.sum()), figures)

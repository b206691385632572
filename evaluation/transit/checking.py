"""Whether a transit model holds for what is seen now: a clock may have jumped, or people may come another way."""

import numpy as np
from jaxtyping import Float, Int, Int64

from evaluation.transit.model import TransitModel
from evaluation.transit.walks import Walks

_CLEARLY = 3.0  # nats by which the walks of a camera must speak against the model


def misleading_cameras(model: TransitModel, walks: Walks) -> list[int]:
    """Cameras of whose walks the times are clearly likelier for strangers than for one person, the worst first.

    A walk shows one person with the probability of its weight p, so that it speaks for the model by
    ln(1 + p (exp(r) - 1)). Cameras are taken out one by one, for a wrong clock spoils the walks of its neighbours too.
    A search is then no worse than by looks alone: take the evidence `without` them until their clocks are right, or
    the model is fitted again.
    """
    misleading: list[int] = []
    while True:
        ratios = model.of_walks(walks.from_cameras, walks.to_cameras, walks.times_s)
        support = np.log1p(walks.weights * np.expm1(ratios.astype(np.float64)))
        of_cameras = {
            number: float(support[(walks.from_cameras == number) | (walks.to_cameras == number)].sum())
            for number in model.cameras.tolist()
        }
        worst = min(of_cameras, key=of_cameras.__getitem__)
        if of_cameras[worst] > -_CLEARLY:
            return misleading
        misleading.append(worst)
        model = model.without([worst])


def nearest_walks(
    probabilities: Float[np.ndarray, "query gallery"],
    query_cameras: Int[np.ndarray, " query"],
    query_times_s: Float[np.ndarray, " query"],
    gallery_cameras: Int[np.ndarray, " gallery"],
    gallery_times_s: Float[np.ndarray, " gallery"],
) -> Walks:
    """From each query to the sighting in every other camera that is likeliest the person by looks; no label is needed.

    Args:
        probabilities: by looks alone, as of a `fit_fusion` to log ratios of 0: with the times unknown, not neutral.
        query_cameras: number of each query's camera.
        query_times_s: seconds on one clock; NaN: unknown.
        gallery_cameras: as of the queries.
        gallery_times_s: as of the queries.
    """
    queries: list[Int64[np.ndarray, " chosen"]] = []
    found: list[Int64[np.ndarray, " chosen"]] = []
    for number in np.unique(gallery_cameras):
        chosen = np.flatnonzero((query_cameras != number) & ~np.isnan(query_times_s))
        there = np.flatnonzero((gallery_cameras == number) & ~np.isnan(gallery_times_s))
        if len(chosen) and len(there):
            queries.append(chosen)
            found.append(there[probabilities[np.ix_(chosen, there)].argmax(axis=1)])
    first, second = (np.concatenate([np.zeros(0, np.int64), *each]) for each in (queries, found))
    return Walks(
        query_cameras[first].astype(np.int64),
        gallery_cameras[second].astype(np.int64),
        (gallery_times_s[second] - query_times_s[first]).astype(np.float64),
        probabilities[first, second].astype(np.float64),
        first,
    )

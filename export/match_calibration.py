"""Fits the probability that two crops at a cosine distance show the same person, on a district's validation people.

A pair is a crop and a visit, the mean embedding of all crops of one person in one camera, as a search compares a photo
with a tracklet; only pairs of different cameras count. The probability depends on the fraction of compared pairs that
show one person, which is far higher in a validation set than among the sightings of a city. So pairs are weighted to
make that fraction `prior`: the probability then holds for a search where that fraction of the candidates is right.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from districts.layout import read_reid_folder
from domain.embeddings import cosine_distances, unit_length
from domain.match_calibration import Calibration, write_calibration
from domain.model_card import ModelCard
from export.engines import load
from export.engines.engine import Engine
from export.pictures import resized_batches, stacked
from export.settings import ExportSettings

_PART: Literal["bounding_box_val"] = "bounding_box_val"
_FLATTEST = 1.0  # upper bound of the softness: distances lie in 0..2, so a curve this flat is already uninformative


def calibrate(engine: Engine, data: Path, prior: float, batch: int) -> Calibration | None:
    """The calibration of a re-ID engine; None if the district has no validation people with pairs of both kinds.

    Args:
        engine: embeds the crops.
        data: folder of the district.
        prior: assumed fraction of compared pairs that show one person, 0..1.
        batch: crops embedded together.
    """
    if not (data / "reid" / _PART).is_dir():
        return None
    table = read_reid_folder(data, _PART)
    people = np.flatnonzero(table.identities > 0)
    files = [data / "reid" / _PART / table.images[index] for index in people]
    batches = resized_batches(files, engine.card, batch, "calibration")
    embeddings = np.concatenate([engine(stacked(pictures))["embeddings"] for pictures in batches])
    identities = table.identities[people]
    distances, same = pairs_of_visits(embeddings, identities, table.cameras[people])
    if same.all() or not same.any():
        return None
    half_distance, softness = fit_logistic(distances, same, prior)
    return Calibration(
        half_distance=half_distance,
        softness=softness,
        prior=prior,
        num_identities=len(np.unique(identities)),
        num_same=int(same.sum()),
        num_different=int((~same).sum()),
    )


def calibrate_folder(folder: Path, card: ModelCard, data: Path, settings: ExportSettings) -> None:
    """Write the calibration on the district in `data` into the folder of a re-ID engine; without one, say so."""
    engine = load(folder / card.engines[0].file, threads=settings.threads)
    calibration = calibrate(engine, data, settings.match_prior, settings.predict_batch)
    if calibration is None:
        print(f"{settings.model}: match probabilities are not fitted to this district, which has no validation people")
    else:
        write_calibration(calibration, folder)


def pairs_of_visits(
    embeddings: np.ndarray, identities: np.ndarray, cameras: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distance `[pair]` of each crop to each visit of another camera, and whether both are of one person.

    Args:
        embeddings: float32 `[image, feature]`, unit length.
        identities: integers `[image]`.
        cameras: integers `[image]`.

    Example:
        >>> embeddings = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1]], np.float32)
        >>> distances, same = pairs_of_visits(embeddings, np.array([1, 1, 1, 2]), np.array([1, 1, 2, 2]))
        >>> distances.round(1).tolist(), same.tolist()
        ([0.4, 1.0, 0.4, 1.0, 0.4, 1.0], [True, False, True, False, True, False])
    """
    keys, of_image = np.unique(np.stack([identities, cameras], axis=1), axis=0, return_inverse=True)
    visits = unit_length(np.stack([embeddings[of_image == visit].mean(axis=0) for visit in range(len(keys))]))
    apart = cameras[:, None] != keys[None, :, 1]
    same = identities[:, None] == keys[None, :, 0]
    return cosine_distances(embeddings, visits)[apart].astype(np.float64), same[apart]


def fit_logistic(distances: np.ndarray, same: np.ndarray, prior: float) -> tuple[float, float]:
    """`half_distance` and `softness` of the curve 1 / (1 + exp((d - half_distance) / softness)) by maximum likelihood.

    Pairs are weighed so that the share `prior` is of one person. As in Platt 1999, the targets are not 1 and 0 but as
    far inside as so many pairs justify; so pairs that a distance parts perfectly do not give an endless slope.

    Args:
        distances: `[pair]`.
        same: bool `[pair]`, some of each.
        prior: 0..1.
    """
    num_same, num_different = int(same.sum()), int((~same).sum())
    weights = np.where(same, prior / num_same, (1 - prior) / num_different)
    targets = np.where(same, (num_same + 1) / (num_same + 2), 1 / (num_different + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        half_distance, log_softness = parameters
        softness = np.exp(log_softness)
        logits = (half_distance - distances) / softness
        error = weights * (expit(logits) - targets)
        value = float((weights * (np.logaddexp(0, logits) - targets * logits)).sum())
        return value, np.array([error.sum() / softness, -(error * logits).sum()])

    middle = (distances[same].mean() + distances[~same].mean()) / 2
    start = np.array([middle, np.log(np.clip(distances.std() / 2, 1e-6, _FLATTEST))])
    bounds = [(-2.0, 4.0), (np.log(1e-6), np.log(_FLATTEST))]
    half_distance, log_softness = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(half_distance), float(np.exp(log_softness))

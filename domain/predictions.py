"""Predictions of the engines on a district's pictures, written by `export.predict` and read by `evaluation`.

Evaluation never runs a model. The files are `.npz` without pickles.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from domain.atomic import atomic_file
from domain.errors import ArtifactError


class _Npz:
    """A dataclass of arrays that is stored in one `.npz` file."""

    def write(self, file: Path) -> None:
        """Write all fields atomically to `file`."""
        with atomic_file(file) as aside:
            np.savez_compressed(aside, **self.__dict__)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file written by `write`.

        Raises:
            ArtifactError: if the file is missing or does not hold this class.
        """
        try:
            with np.load(file, allow_pickle=False) as arrays:
                values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
            return cls(**values)
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise ArtifactError(f"{file} must hold {cls.__name__}; rerun export.predict ({error})") from error


@dataclass(frozen=True)
class DetectorPredictions(_Npz):
    """Boxes above a low threshold, after non-maximum suppression; `predictions/<district>/detector/{val,test}.npz`."""

    images: Shaped[np.ndarray, " image"]  # str, file names in detection/images/<split>
    image_index: Int64[np.ndarray, " box"]  # into images
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels of the original picture
    scores: Float32[np.ndarray, " box"]


@dataclass(frozen=True)
class AttributePredictions(_Npz):
    """`predictions/<district>/attributes/{val,test}.npz`."""

    images: Shaped[np.ndarray, " image"]  # str, file names in attributes/images
    groups: Shaped[np.ndarray, " group"]  # str, names in the order of the schema
    probabilities: Float32[np.ndarray, "image label"]  # labels of all groups, one group after the other


@dataclass(frozen=True)
class ReidPredictions(_Npz):
    """`predictions/<district>/reid-<backbone>/{query,gallery,validation}.npz`; the last is optional."""

    images: Shaped[np.ndarray, " image"]  # str, file names in reid/query, bounding_box_test, or bounding_box_val
    embeddings: Float32[np.ndarray, "image feature"]  # unit length

"""Settings of all evaluation stages: section `evaluation` of `params.yaml`."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from domain.settings import Settings


class EvaluationSettings(Settings):
    """Keys are described in `conf/evaluation/protocol.yaml`."""

    k1: PositiveInt
    k2: PositiveInt
    lambda_value: float = Field(ge=0, le=1)
    reranking_device: Literal["auto", "cpu", "cuda"]
    max_rank: PositiveInt
    bootstrap_repeats: PositiveInt
    iou_threshold: float = Field(gt=0, le=1)
    visit_window_s: NonNegativeFloat
    visit_gap_s: NonNegativeFloat
    visit_min_s: NonNegativeFloat
    num_ranked_pictures: PositiveInt

"""Settings of the stages `export` and `predict` and of `export.parity`: section `export` of `params.yaml`."""

from typing import Literal, Self, get_args

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from domain.names import Name
from domain.settings import Settings
from export.engines.plan_building import PlanPrecision

Task = Literal["detector", "attributes", "reid"]
Precision = Literal["fp32", "fp16", "int8"]


class Profile(Settings):
    """Batch sizes that an engine is built for; a larger batch is split."""

    min_batch: PositiveInt = 1
    opt_batch: PositiveInt
    max_batch: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min_batch <= self.opt_batch <= self.max_batch:
            raise ValueError("a profile must have min_batch <= opt_batch <= max_batch")
        return self


class Profiles(Settings):
    """The profile of each task: frames are large and few, crops small and many."""

    detector: Profile
    attributes: Profile
    reid: Profile


class PlanSettings(Settings):
    """How the TensorRT plan is built."""

    builder: Literal["tensorrt_rtx", "tensorrt", "none"]  # none: ONNX only
    precision: PlanPrecision
    compute_capabilities: tuple[str, ...] = Field(min_length=1)  # tensorrt_rtx; tensorrt builds for the GPU it runs on


class Limits(Settings):
    """Largest differences of an engine to torch."""

    output: NonNegativeFloat  # largest difference of a probability, a unit-length embedding, a box as part of the input
    metric: NonNegativeFloat  # difference of the metric: AP50-95, instance F1 or mAP


class ParitySettings(Settings):
    """The comparison of engines with torch."""

    images: PositiveInt  # validation pictures; int8 takes its ranges from them too
    fp32: Limits
    fp16: Limits
    int8: Limits

    def limits(self, precision: Precision) -> Limits:
        """Limits of an engine of `precision`."""
        return {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}[precision]


class ExportSettings(Settings):
    """The whole section `export`."""

    model: Name
    models: tuple[Name, ...]  # detector, attributes and, for each key of `reid.backbones`, reid-<key>
    profiles: Profiles
    precisions: dict[Task, tuple[Precision, ...]]  # of ONNX files; a CPU runs the first
    plan: PlanSettings
    parity: ParitySettings
    threads: PositiveInt | None  # of ONNX Runtime; null takes all cores
    match_prior: float = Field(gt=0, lt=1)  # see export.match_calibration
    predict_batch: PositiveInt
    predict_score_threshold: float = Field(ge=0, le=1)  # low, for a complete precision-recall curve

    @model_validator(mode="after")
    def _precisions_hold_what_is_built_from_them(self) -> Self:
        for task in get_args(Task):
            precisions = self.precisions.get(task, ())
            listed = ", ".join(precisions)
            if "fp32" not in precisions or len(set(precisions)) != len(precisions):
                raise ValueError(f"precisions.{task} must hold fp32, and each once, got {listed}")
            if self.plan.builder != "none" and self.plan.precision not in precisions:
                raise ValueError(f"precisions.{task} must hold the plan's, {self.plan.precision}, got {listed}")
        return self

    @model_validator(mode="after")
    def _model_is_listed(self) -> Self:
        if self.model not in self.models:
            raise ValueError(f"model must be one of {', '.join(self.models)}, got {self.model}")
        return self

    def profile(self, task: Task) -> Profile:
        """The profile of engines for `task`."""
        profiles = {
            "detector": self.profiles.detector,
            "attributes": self.profiles.attributes,
            "reid": self.profiles.reid,
        }
        return profiles[task]

"""Settings that all trainings share; `conf/training/` says what each key means."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from domain.settings import Settings


class HardwareSettings(Settings):
    """Section `hardware` of a training."""

    accelerator: Literal["auto", "cpu", "gpu"]
    devices: PositiveInt
    num_workers: NonNegativeInt
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"]
    accumulate_batches: PositiveInt
    cache_in_memory_mib: NonNegativeInt

    @property
    def chosen_precision(self) -> Literal["32", "bf16-mixed", "16-mixed"]:
        """The precision, where `auto` was replaced by `training.crops.precision`."""
        assert self.precision != "auto", "it is chosen for the machine before a training"
        return self.precision


class OptimizationSettings(Settings):
    """Keys of a training that say how it steps."""

    optimizer: Literal["adamw", "sgd"]
    lr: PositiveFloat
    momentum: float = Field(ge=0, lt=1)
    weight_decay: NonNegativeFloat
    warmup_fraction: float = Field(ge=0, lt=1)
    schedule: Literal["cosine", "steps"]
    final_lr_fraction: float = Field(ge=0, le=1)
    steps_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...]


class TrainingSettings(OptimizationSettings):
    """Keys of every training."""

    input_height_px: PositiveInt
    input_width_px: PositiveInt
    max_epochs: PositiveInt
    hardware: HardwareSettings

    def compared(self) -> dict[str, Any]:
        """The settings that a person compares between trainings, without those of the machine; plain and flat."""
        plain = self.model_dump(mode="json", by_alias=True, exclude={"hardware"})
        return plain | self.hardware.model_dump(include={"precision", "accumulate_batches"})

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.input_height_px, self.input_width_px

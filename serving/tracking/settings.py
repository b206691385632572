"""Settings of the tracker."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from domain.settings import Settings


class TrackerSettings(Settings):
    """Subsection `tracker` of the section `tracking`."""

    gate_deviations: PositiveFloat
    max_cost: float = Field(gt=0, le=1)
    appearance_weight: float = Field(ge=0, le=1)
    motion_s: NonNegativeFloat
    motion_min_iou: float = Field(gt=0, le=1)
    weak_min_iou: float = Field(gt=0, le=1)
    clear_margin: NonNegativeFloat
    embed_every_s: NonNegativeFloat
    active_s: NonNegativeFloat
    active_looks: NonNegativeFloat
    max_lost_s: NonNegativeFloat
    reach_heights_per_s: PositiveFloat
    reach_heights: PositiveFloat
    confirm_observations: PositiveInt
    rare_s: PositiveFloat
    best_crops: PositiveInt
    crop_spacing_s: NonNegativeFloat
    interpolate_s: NonNegativeFloat
    interpolate_looks: NonNegativeFloat
    max_tracklet_s: PositiveFloat

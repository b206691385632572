"""Augmentation and normalisation of a batch of crops, on the device that trains.

Written here and not taken from kornia: each picture needs random numbers of its own, drawn on the device for the whole
batch at once, and four operations are not worth one more package.
"""

import math

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from domain.settings import Settings

# Of ImageNet, RGB scaled to 0..1: all published backbones were trained with them.
CHANNEL_MEAN = (0.485, 0.456, 0.406)
CHANNEL_STD = (0.229, 0.224, 0.225)
_LUMA = (0.299, 0.587, 0.114)
_ERASED_ASPECT = 3.3  # largest ratio of the sides of an erased rectangle
_SMALLEST_ERASED = 0.02


class AugmentationSettings(Settings):
    """Section `augmentation` of a training."""

    flip_probability: float = Field(ge=0, le=1)
    pad_px: NonNegativeInt
    colour_jitter: NonNegativeFloat = Field(lt=1)
    erase_probability: float = Field(ge=0, le=1)
    erase_largest: float = Field(ge=_SMALLEST_ERASED, le=1)


class Preparation(nn.Module):
    """`uint8 [batch, 3, height, width]` crops to a network's input, channels last; augmented in train mode."""

    def __init__(self, settings: AugmentationSettings) -> None:
        super().__init__()
        self.augment, self.normalise = Augmentation(settings), Normalise()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Normalised float32 pictures of the same shape."""
        augmented = self.augment(images) if self.training else images
        normalised: Tensor = self.normalise(augmented)
        return normalised.contiguous(memory_format=torch.channels_last)


class Normalise(nn.Module):
    """`uint8` or 0..1 float `[batch, 3, height, width]` to float32, normalised by the channels' mean and deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(CHANNEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CHANNEL_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised pictures."""
        scaled = images if images.is_floating_point() else images.float() / 255
        return (scaled - self.mean).div_(self.std)


class Augmentation(nn.Module):
    """Shift, flip, colour jitter and random erasing, drawn for each picture separately from torch's generator."""

    mean: Tensor

    def __init__(self, settings: AugmentationSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("mean", torch.tensor(CHANNEL_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`uint8 [batch, 3, height, width]` to float32 of the same shape, 0..1."""
        settings = self.settings
        drawn, inside = shift_and_flip(images, settings.pad_px, settings.flip_probability)
        floats = drawn.float().div_(255)
        if settings.colour_jitter:
            floats = jitter_colour(floats, settings.colour_jitter)
        if settings.erase_probability:
            inside = inside & ~random_rectangles(floats, settings.erase_probability, settings.erase_largest)
        return torch.where(inside, floats, self.mean)


def shift_and_flip(images: Tensor, pad_px: int, flip_probability: float) -> tuple[Tensor, Tensor]:
    """Pictures shifted by up to `pad_px` in both directions and mirrored with `flip_probability`, and a mask.

    The mask `bool [batch, 1, height, width]` is true where a pixel of the result comes from inside the picture.
    """
    batch, _, height, width = images.shape
    device = images.device
    shifts = torch.randint(-pad_px, pad_px + 1, (2, batch, 1), device=device)
    rows = torch.arange(height, device=device) + shifts[0]
    columns = torch.arange(width, device=device) + shifts[1]
    flipped = torch.rand(batch, 1, device=device) < flip_probability
    columns = torch.where(flipped, width - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    picture = torch.arange(batch, device=device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2), inside[:, None]


def jitter_colour(images: Tensor, strength: float) -> Tensor:
    """Change brightness and channel balance, then saturation, then contrast, each by a factor 1 ± `strength`.

    Pictures `[batch, 3, height, width]` in 0..1 stay in 0..1. The changes are one matrix for each picture, for the time
    that they take is that of passes through memory.
    """
    batch, device = len(images), images.device

    def factors(channels: int, width: float) -> Tensor:
        return 1 + (torch.rand(batch, channels, device=device) * 2 - 1) * width

    brightness = factors(1, strength) * factors(3, strength / 4)  # [batch, channel]
    saturation, contrast = factors(1, strength)[:, :, None], factors(1, strength)
    to_grey = images.new_tensor(_LUMA) * brightness
    middle = (images.mean((2, 3)) * to_grey).sum(1, keepdim=True)
    matrix = saturation * torch.diag_embed(brightness) + (1 - saturation) * to_grey[:, :, None]
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    with torch.autocast(device.type, enabled=False):  # half precision would round colours
        changed = torch.baddbmm(((1 - contrast) * middle)[:, None], pixels, contrast[:, :, None] * matrix)
    return changed.clamp_(0, 1).unflatten(1, images.shape[2:]).permute(0, 3, 1, 2)


def random_rectangles(images: Tensor, probability: float, largest: float) -> Tensor:
    """`bool [batch, 1, height, width]`, true inside one rectangle of each picture that is to be erased.

    Source: Zhong et al. 2020, "Random erasing data augmentation", algorithm 1; a rectangle that does not fit is cut.
    """
    batch, _, height, width = images.shape
    device = images.device
    drawn = torch.rand(5, batch, 1, device=device)
    area = (_SMALLEST_ERASED + drawn[0] * (largest - _SMALLEST_ERASED)) * height * width
    aspect = torch.exp((drawn[1] * 2 - 1) * math.log(_ERASED_ASPECT))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (drawn[2] * (height - tall + 1)).floor()
    left = (drawn[3] * (width - wide + 1)).floor()
    row, column = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (row >= top) & (row < top + tall) & (drawn[4] < probability)
    in_columns = (column >= left) & (column < left + wide)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]

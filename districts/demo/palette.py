"""Colours by the schema's names, RGB in 0..1, and the shades of garments in these colours."""

import numpy as np

COLOURS = {
    "black": (0.07, 0.07, 0.08),
    "white": (0.90, 0.90, 0.88),
    "grey": (0.46, 0.47, 0.48),
    "red": (0.76, 0.10, 0.11),
    "orange": (0.93, 0.47, 0.08),
    "yellow": (0.93, 0.81, 0.16),
    "green": (0.14, 0.48, 0.20),
    "blue": (0.13, 0.25, 0.66),
    "purple": (0.45, 0.18, 0.58),
    "pink": (0.93, 0.52, 0.66),
    "brown": (0.37, 0.22, 0.12),
}
SKIN = ((0.93, 0.76, 0.64), (0.87, 0.68, 0.54), (0.77, 0.57, 0.43), (0.58, 0.40, 0.28))
HAIR = ((0.05, 0.04, 0.04), (0.16, 0.10, 0.06), (0.34, 0.20, 0.10), (0.48, 0.33, 0.16))
GREYING_HAIR = ((0.36, 0.35, 0.35), (0.45, 0.45, 0.46))
WHITE_HAIR = ((0.80, 0.80, 0.79), (0.92, 0.92, 0.90))
_SHADES = (0.86, 1.0, 1.14)


def shade_of(colour: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """One of three shades of `colour`; so few that many people share each."""
    red, green, blue = np.clip(np.array(COLOURS[colour]) * rng.choice(_SHADES), 0, 1).tolist()
    return red, green, blue

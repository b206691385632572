"""People of the demo district: labels of the `suseong` schema, and features that no label describes."""

from dataclasses import dataclass

import numpy as np

from districts.demo import patterns
from districts.demo.palette import COLOURS, GREYING_HAIR, HAIR, SKIN, WHITE_HAIR, shade_of
from districts.demo.shapes import Vector
from domain.attributes import AttributeSchema

_HEIGHT_M = {  # mean and spread; men are 0.12 m taller than women of their age
    "child": (1.22, 0.08),
    "adolescent": (1.58, 0.05),
    "young_adult": (1.67, 0.06),
    "middle_aged": (1.65, 0.06),
    "elderly": (1.59, 0.05),
}
_SHORT_M, _TALL_M = 1.45, 1.72  # below: short; above: tall
_SPEED_M_S = {"child": 1.05, "adolescent": 1.40, "young_adult": 1.45, "middle_aged": 1.30, "elderly": 0.95}
_PATTERNS = (
    patterns.PLAIN,
    patterns.STRIPES,
    patterns.UPRIGHT_STRIPES,
    patterns.CHECKS,
    patterns.LOGO,
    patterns.TWO_TONE,
)


@dataclass(frozen=True)
class Person:
    """A person with true and complete labels; data sets get only the visible ones (`crop_sets.known_labels`)."""

    identity: int
    labels: dict[str, str]  # all groups `of: person` except view
    height_m: float
    speed_m_s: float
    build: float  # width relative to the average, 0.88..1.17
    stoop: float  # forward lean of the back, radians
    swing: float  # of legs and arms, relative to the average
    skin: Vector
    hair: Vector
    upper: Vector
    upper_second: Vector
    upper_pattern: int
    pattern_scale: float
    lower: Vector
    lower_seam: bool
    shoes: Vector
    bag: Vector
    headwear: Vector
    bearded: bool


def draw_people(first_identity: int, count: int, schema: AttributeSchema, rng: np.random.Generator) -> list[Person]:
    """`count` random people; with enough of them, every label of every group occurs."""
    groups = [group for group in schema.groups if group.of == "person" and group.name != "view"]
    wishes = {group.name: _spread(group.name, group.label_names, count, rng) for group in groups}
    people = []
    for number in range(count):
        labels = _agreeing({name: wish[number] for name, wish in wishes.items()}, rng)
        people.append(_dress(first_identity + number, labels, rng))
    return people


# Share of each label before `_agreeing`, in the schema's order; labels of other groups are equally frequent.
_LABEL_SHARES = {
    "upper_type": (0.35, 0.35, 0.20, 0.10),
    "lower_type": (0.55, 0.25, 0.20),
    "hair": (0.35, 0.30, 0.27, 0.08),
    "headwear": (0.22, 0.18, 0.60),
    "eyewear": (0.22, 0.18, 0.60),
    "bag": (0.32, 0.18, 0.18, 0.32),
    "height": (0.14, 0.68, 0.18),
    "age": (0.12, 0.13, 0.35, 0.22, 0.18),
}


def _spread(group: str, names: tuple[str, ...], count: int, rng: np.random.Generator) -> list[str]:
    """`count` labels of `group` in random order, as near to their shares as `count` allows."""
    ends = np.cumsum(_LABEL_SHARES.get(group, (1 / len(names),) * len(names)))
    drawn = np.searchsorted(ends, (np.arange(count) + 0.5) / count)
    return [names[label] for label in rng.permutation(drawn)]


def _agreeing(labels: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """`labels` made plausible: hair and clothes agree with gender, clothes and bag with age."""
    labels = dict(labels)
    if labels["upper_type"] == "one_piece" or labels["lower_type"] == "skirt":
        labels["gender"] = "female"
    if labels["upper_type"] == "one_piece":
        labels |= {"lower_type": "skirt", "lower_colour": labels["upper_colour"]}
    if labels["gender"] == "female" and labels["hair"] in {"sport_cut", "bald"}:
        labels["hair"] = str(rng.choice(["bob", "long"]))
    if labels["gender"] == "male" and labels["hair"] in {"bob", "long"} and rng.random() < 0.9:
        labels["hair"] = "sport_cut"
    if labels["hair"] == "bald" and labels["age"] in {"child", "adolescent", "young_adult"}:
        labels["age"] = str(rng.choice(["middle_aged", "elderly"]))
    if labels["age"] == "child" and labels["bag"] == "handbag":
        labels["bag"] = "backpack"
    if labels["age"] == "adolescent":  # school uniform
        labels |= {"upper_colour": "white", "lower_colour": "grey", "bag": "backpack"}
        if labels["upper_type"] == "one_piece":
            labels["upper_type"] = "short_sleeve"
    if labels["upper_type"] == "coat" and labels["lower_type"] == "short_trousers":  # the coat would hide them
        labels["lower_type"] = "long_trousers"
    if rng.random() < 0.3 and labels["upper_type"] != "one_piece":  # few people wear bright colours below
        labels["lower_colour"] = str(rng.choice(["black", "blue", "grey"]))
    if rng.random() < 0.3:
        labels["shoe_colour"] = str(rng.choice(["black", "white"]))
    return labels


def _dress(identity: int, labels: dict[str, str], rng: np.random.Generator) -> Person:
    labels = dict(labels)
    mean, spread = _HEIGHT_M[labels["age"]]
    taller = 0.0 if labels["age"] == "child" else (0.06 if labels["gender"] == "male" else -0.06)
    wish = {"short": -0.04, "medium": 0.0, "tall": 0.08}[labels["height"]]
    height_m = float(mean + taller + wish + rng.uniform(-spread, spread))
    labels["height"] = "short" if height_m < _SHORT_M else "tall" if height_m > _TALL_M else "medium"
    old = labels["age"] == "elderly"
    hair = WHITE_HAIR if old else GREYING_HAIR if labels["age"] == "middle_aged" else HAIR
    upper_pattern = patterns.LAPELS if labels["upper_type"] == "coat" else int(rng.choice(_PATTERNS, p=_PATTERN_SHARES))
    colours = list(COLOURS)
    skirt = labels["lower_type"] == "skirt" or labels["upper_type"] == "one_piece"
    return Person(
        identity=identity,
        labels=labels,
        height_m=height_m,
        speed_m_s=float(_SPEED_M_S[labels["age"]] * rng.uniform(0.92, 1.08)),
        build=float(rng.uniform(0.88, 1.05) + (0.12 if labels["age"] == "middle_aged" else 0.0)),
        stoop=float(rng.uniform(0.22, 0.34) if old else rng.uniform(0.0, 0.06)),
        swing=float(rng.uniform(0.85, 1.15) * (0.75 if old else 1.0) * (0.75 if skirt else 1.0)),
        skin=SKIN[rng.integers(len(SKIN))],
        hair=hair[rng.integers(len(hair))],
        upper=shade_of(labels["upper_colour"], rng),
        upper_second=COLOURS[_contrasting(labels["upper_colour"], rng)],
        upper_pattern=upper_pattern,
        pattern_scale=float(rng.choice([4.0, 6.0])),
        lower=shade_of(labels["lower_colour"], rng),
        lower_seam=bool(rng.random() < 0.2),
        shoes=shade_of(labels["shoe_colour"], rng),
        bag=COLOURS[_other_than(labels["upper_colour"], colours, _BAG_SHARES, rng)],
        headwear=COLOURS[str(rng.choice(colours))],
        bearded=labels["gender"] == "male" and labels["age"] in _BEARD_AGES and bool(rng.random() < 0.6),
    )


_PATTERN_SHARES = (0.40, 0.16, 0.08, 0.12, 0.12, 0.12)
_BAG_SHARES = np.array([4, 1, 2, 1, 1, 1, 1, 2, 1, 1, 3]) / 18


_BEARD_AGES = {"young_adult", "middle_aged", "elderly"}


def _other_than(colour: str, colours: list[str], shares: np.ndarray, rng: np.random.Generator) -> str:
    """One of `colours` by their `shares`, except `colour`: a bag stands out from the clothes behind it."""
    left = shares * [name != colour for name in colours]
    return str(rng.choice(colours, p=left / left.sum()))


def _contrasting(colour: str, rng: np.random.Generator) -> str:
    if colour in {"white", "yellow", "pink"}:
        return str(rng.choice(["black", "grey", "blue"]))
    return str(rng.choice(["white", "white", "grey" if colour != "grey" else "black"]))

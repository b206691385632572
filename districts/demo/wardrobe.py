"""Body parts, clothes, hair and carried things as shapes on bones; every label of a person is visible in them."""

from districts.demo import patterns, skeleton
from districts.demo.palette import COLOURS
from districts.demo.people import Person
from districts.demo.shapes import Paint, Shapes, Vector
from districts.demo.skeleton import CHEST, HEAD, PELVIS, Frame

_SIDES = (
    (1, skeleton.UPPER_ARM_LEFT, skeleton.FOREARM_LEFT, skeleton.THIGH_LEFT, skeleton.SHIN_LEFT, skeleton.FOOT_LEFT),
    (
        -1,
        skeleton.UPPER_ARM_RIGHT,
        skeleton.FOREARM_RIGHT,
        skeleton.THIGH_RIGHT,
        skeleton.SHIN_RIGHT,
        skeleton.FOOT_RIGHT,
    ),
)
_FLAT = 0.64  # depth of the trunk relative to its width
_DARK = (0.04, 0.04, 0.05)
_LENS = (0.80, 0.90, 0.95)
_STICK = (0.25, 0.14, 0.07)


def dress(person: Person, frame: Frame) -> Shapes:
    """All shapes of `person`, each in the frame of its bone."""
    shapes = Shapes()
    _add_trunk(shapes, person, frame)
    _add_arms(shapes, person, frame)
    _add_legs(shapes, person, frame)
    _add_head(shapes, person, frame)
    _add_hair(shapes, person, frame)
    _add_headwear(shapes, person, frame)
    _add_eyewear(shapes, person, frame)
    _add_bag(shapes, person, frame)
    if person.labels["age"] == "elderly":
        _add_stick(shapes, frame)
    return shapes


def _upper_paint(person: Person) -> Paint:
    return Paint(person.upper, person.upper_second, person.upper_pattern, person.pattern_scale)


def _darker(colour: Vector, factor: float) -> Vector:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _add_trunk(shapes: Shapes, person: Person, frame: Frame) -> None:
    height, upper = frame.height, _upper_paint(person)
    kind, thick = person.labels["upper_type"], 1.14 if person.labels["upper_type"] == "coat" else 1.0
    shapes.cone(
        (0, 0, -0.07 * height),
        (0, 0, frame.shoulder_height),
        (frame.waist_width * thick, frame.chest_width * thick),
        upper,
        CHEST,
        _FLAT,
    )
    top = Paint(person.upper)
    shapes.ball(
        (0, 0, frame.shoulder_height),
        (frame.chest_width * _FLAT * thick, frame.shoulder * 1.02, 0.045 * height),
        top,
        CHEST,
    )
    if person.labels["age"] == "middle_aged":
        shapes.ball((0.025 * height, 0, 0.05 * height), (0.075 * height, frame.waist_width, 0.09 * height), top, CHEST)
    elif person.labels["gender"] == "female" and person.labels["age"] != "child":
        shapes.ball((0.035 * height, 0, 0.62 * frame.neck), (0.05 * height, 0.075 * height, 0.04 * height), top, CHEST)
    lower = Paint(person.lower)
    shapes.ball((0, 0, -0.01 * height), (0.07 * height, frame.hips_width, 0.07 * height), lower, PELVIS)
    if kind == "coat":
        shapes.cone(
            (0, 0, -0.20 * height), (0, 0, 0.04 * height), (0.125 * height, 0.115 * height), upper, PELVIS, 0.87
        )
    elif kind == "one_piece":
        shapes.cone(
            (0, 0, -0.25 * height), (0, 0, 0.06 * height), (0.170 * height, frame.waist_width), upper, PELVIS, 0.85
        )
    if kind != "one_piece" and person.labels["lower_type"] == "skirt":
        hem = -0.31 if kind == "coat" else -0.22  # visible below a coat
        shapes.cone(
            (0, 0, hem * height), (0, 0, 0.03 * height), (0.165 * height, frame.hips_width), lower, PELVIS, 0.85
        )


def _add_arms(shapes: Shapes, person: Person, frame: Frame) -> None:
    height, skin = frame.height, Paint(person.skin)
    kind = person.labels["upper_type"]
    plain_sleeve = person.upper_pattern in {patterns.LOGO, patterns.TWO_TONE, patterns.LAPELS}
    sleeve = Paint(person.upper) if plain_sleeve else _upper_paint(person)
    thick = height * {"coat": 0.046, "long_sleeve": 0.042}.get(kind, 0.036)
    for side, upper_arm, forearm, *_ in _SIDES:
        elbow: Vector = (0, 0, -frame.upper_arm)
        shapes.ball((0, 0, 0), (thick * 1.25, thick * 1.25, thick * 1.25), Paint(person.upper), upper_arm)
        if kind in {"long_sleeve", "coat"}:
            shapes.cone((0, 0, 0), elbow, (thick * 1.1, thick * 0.9), sleeve, upper_arm)
            shapes.ball(elbow, (thick * 0.9, thick * 0.9, thick * 0.9), Paint(person.upper), upper_arm)
            shapes.cone((0, 0, 0), (0, 0, -frame.forearm), (thick * 0.9, thick * 0.72), sleeve, forearm)
        else:
            hem: Vector = (0, side * 0.004, -0.5 * frame.upper_arm)
            shapes.cone((0, 0, 0), hem, (thick * 1.25, thick * 1.45), sleeve, upper_arm)
            shapes.cone((0, 0, 0), elbow, (thick * 0.8, thick * 0.72), skin, upper_arm)
            shapes.ball(elbow, (thick * 0.72, thick * 0.72, thick * 0.72), skin, upper_arm)
            shapes.cone((0, 0, 0), (0, 0, -frame.forearm), (thick * 0.72, thick * 0.55), skin, forearm)
        hand = 0.026 * height
        shapes.ball((0, 0, -frame.forearm - 0.6 * hand), (hand, 0.7 * hand, 1.4 * hand), skin, forearm)


def _add_legs(shapes: Shapes, person: Person, frame: Frame) -> None:
    height, skin = frame.height, Paint(person.skin)
    kind = person.labels["lower_type"]
    seam = Paint(person.lower, COLOURS["white"], patterns.SEAM) if person.lower_seam else Paint(person.lower)
    wide = height * person.build
    for _, _, _, thigh, shin, foot in _SIDES:
        knee: Vector = (0, 0, -frame.thigh)
        if kind == "long_trousers":
            shapes.cone((0, 0, 0.02 * height), knee, (0.062 * wide, 0.046 * wide), seam, thigh)
            shapes.ball(knee, (0.046 * wide, 0.046 * wide, 0.046 * wide), Paint(person.lower), thigh)
            shapes.cone((0, 0, 0), (0, 0, -frame.shin), (0.046 * wide, 0.040 * wide), seam, shin)
        else:
            if kind == "short_trousers":
                hem: Vector = (0, 0, -0.72 * frame.thigh)
                shapes.cone((0, 0, 0.02 * height), hem, (0.068 * wide, 0.074 * wide), seam, thigh)
            shapes.cone((0, 0, 0), knee, (0.052 * wide, 0.036 * wide), skin, thigh)
            shapes.ball(knee, (0.036 * wide, 0.036 * wide, 0.036 * wide), skin, thigh)
            shapes.cone((0, 0, 0), (0, 0, -frame.shin), (0.038 * wide, 0.026 * wide), skin, shin)
        sole = Paint(_darker(person.shoes, 0.75))
        shapes.ball(
            (0.034 * height, 0, -0.012 * height),
            (0.080 * height, 0.037 * height, 0.032 * height),
            Paint(person.shoes),
            foot,
        )
        shapes.ball((0.036 * height, 0, -0.030 * height), (0.082 * height, 0.038 * height, 0.012 * height), sole, foot)


def _add_head(shapes: Shapes, person: Person, frame: Frame) -> None:
    radius, height = frame.head, frame.height
    skin, middle = Paint(person.skin), _head_height(frame)
    shapes.cone((0, 0, -0.03 * height), (0, 0, middle), (0.036 * height, 0.032 * height), skin, HEAD)
    shapes.ball((0, 0, middle), (radius, 0.86 * radius, 1.12 * radius), skin, HEAD)
    shadowed = Paint(_darker(person.skin, 0.8))
    shapes.ball(
        (0.98 * radius, 0, middle - 0.12 * radius), (0.16 * radius, 0.13 * radius, 0.2 * radius), shadowed, HEAD
    )
    mouth = Paint((0.55, 0.22, 0.2))
    shapes.ball((0.80 * radius, 0, middle - 0.55 * radius), (0.1 * radius, 0.28 * radius, 0.07 * radius), mouth, HEAD)
    if person.bearded:
        paint = Paint(person.hair, _darker(person.hair, 0.5), patterns.CURLS)
        chin: Vector = (0.30 * radius, 0, middle - 0.72 * radius)
        shapes.ball(chin, (0.74 * radius, 0.84 * radius, 0.62 * radius), paint, HEAD, ((0.6, 0, -0.8), -0.2))
    for side in (1, -1):
        ear: Vector = (0, side * 0.86 * radius, middle - 0.1 * radius)
        shapes.ball(ear, (0.2 * radius, 0.1 * radius, 0.28 * radius), shadowed, HEAD)
        eye: Vector = (0.88 * radius, side * 0.34 * radius, middle + 0.14 * radius)
        shapes.ball(eye, (0.12 * radius, 0.15 * radius, 0.11 * radius), Paint(_DARK), HEAD)


def _head_height(frame: Frame) -> float:
    """Height of the head's centre above the neck."""
    return 0.03 * frame.height + 1.0 * frame.head


def _add_hair(shapes: Shapes, person: Person, frame: Frame) -> None:
    radius, middle, kind = frame.head, _head_height(frame), person.labels["hair"]
    paint = Paint(person.hair, _darker(person.hair, 0.5), patterns.CURLS)
    if kind == "sport_cut":
        cut = ((-0.35, 0.0, 0.94), 0.30)
        shapes.ball((-0.02 * radius, 0, middle), (1.08 * radius, 0.95 * radius, 1.2 * radius), paint, HEAD, cut)
    elif kind in {"bob", "long"}:
        cut = ((-0.94, 0.0, 0.34), -0.22)
        wide = (1.25 if kind == "long" else 1.45) * radius
        shapes.ball((-0.06 * radius, 0, middle - 0.15 * radius), (wide, wide, 1.45 * radius), paint, HEAD, cut)
    if kind == "long":
        length = 0.13 * frame.height
        shapes.ball((-0.75 * radius, 0, middle - 0.9 * length), (0.55 * radius, 1.1 * radius, length), paint, HEAD)
        for side in (1, -1):  # over the shoulders, so that it is also visible from the front
            strand: Vector = (0.35 * radius, side * 1.0 * radius, middle - 0.9 * length)
            shapes.ball(strand, (0.45 * radius, 0.38 * radius, length), paint, HEAD)


def _add_headwear(shapes: Shapes, person: Person, frame: Frame) -> None:
    radius, middle, kind = frame.head, _head_height(frame), person.labels["headwear"]
    paint, rim = Paint(person.headwear), Paint(_darker(person.headwear, 0.8))
    if kind == "hat":
        shapes.ball(
            (0, 0, middle + 0.1 * radius), (1.24 * radius, 1.2 * radius, 1.3 * radius), paint, HEAD, ((0, 0, 1), 0.22)
        )
        shapes.ball((0.1 * radius, 0, middle + 0.42 * radius), (1.9 * radius, 1.75 * radius, 0.10 * radius), rim, HEAD)
    elif kind == "helmet":
        white = Paint(person.headwear, COLOURS["white"], patterns.UPRIGHT_STRIPES, 2.0)
        shapes.ball(
            (-0.05 * radius, 0, middle + 0.05 * radius),
            (1.42 * radius, 1.36 * radius, 1.42 * radius),
            white,
            HEAD,
            ((-0.45, 0, 0.89), -0.1),
        )
        for side in (1, -1):
            chin: Vector = (0.55 * radius, side * 0.5 * radius, middle - 1.0 * radius)
            ear: Vector = (0.2 * radius, side * 1.0 * radius, middle)
            shapes.cone(ear, chin, (0.08 * radius, 0.08 * radius), Paint(_DARK), HEAD)


def _add_eyewear(shapes: Shapes, person: Person, frame: Frame) -> None:
    radius, kind = frame.head, person.labels["eyewear"]
    if kind == "none":
        return
    level = _head_height(frame) + 0.14 * radius
    frame_paint, lens = Paint(_DARK), Paint(_DARK if kind == "sunglasses" else _LENS)
    for side in (1, -1):
        middle = side * 0.46 * radius
        size = 0.68 if kind == "sunglasses" else 0.60
        shapes.ball(
            (0.86 * radius, middle, level), (0.16 * radius, size * radius, 0.8 * size * radius), frame_paint, HEAD
        )
        shapes.ball(
            (0.97 * radius, middle, level), (0.12 * radius, 0.72 * size * radius, 0.55 * size * radius), lens, HEAD
        )
        temple: Vector = (0.7 * radius, side * 0.86 * radius, level)
        ear: Vector = (-0.1 * radius, side * 0.96 * radius, level)
        shapes.cone(temple, ear, (0.09 * radius, 0.09 * radius), frame_paint, HEAD)


def _add_bag(shapes: Shapes, person: Person, frame: Frame) -> None:
    height, paint, kind = frame.height, Paint(person.bag), person.labels["bag"]
    dark = Paint(_darker(person.bag, 0.7))
    depth = _FLAT * frame.chest_width * (1.14 if person.labels["upper_type"] == "coat" else 1.0)
    if kind == "backpack":
        back = -depth - 0.055 * height
        shapes.box((back, 0, 0.15 * height), (0.055 * height, 0.088 * height, 0.115 * height), paint, CHEST)
        shapes.box(
            (back - 0.06 * height, 0, 0.10 * height), (0.018 * height, 0.066 * height, 0.05 * height), dark, CHEST
        )
        for side in (1, -1):
            top: Vector = (0.3 * depth, side * 0.066 * height, frame.shoulder_height + 0.04 * height)
            bottom: Vector = (0.85 * depth, side * 0.074 * height, 0.05 * height)
            front: Vector = (1.02 * depth, side * 0.068 * height, 0.19 * height)
            shapes.cone(top, front, (0.017 * height, 0.017 * height), dark, CHEST)
            shapes.cone(front, bottom, (0.017 * height, 0.015 * height), dark, CHEST)
    elif kind == "handbag":
        hand = -frame.forearm - 0.03 * height
        shapes.box(
            (0, 0, hand - 0.095 * height), (0.100 * height, 0.040 * height, 0.070 * height), paint, _HANDBAG_BONE
        )
        for end in (0.05, -0.05):
            grip: Vector = (end * height, 0, hand - 0.03 * height)
            shapes.cone((0, 0, hand + 0.01 * height), grip, (0.009 * height, 0.009 * height), dark, _HANDBAG_BONE)
    elif kind == "cross_body":
        hip = frame.hips_width + 0.025 * height
        shapes.box((0.01 * height, hip, -0.02 * height), (0.09 * height, 0.042 * height, 0.072 * height), paint, PELVIS)
        for face in (1.06, -1.06):
            shoulder: Vector = (0.25 * face * depth, -0.075 * height, frame.shoulder_height + 0.045 * height)
            middle: Vector = (face * depth, -0.02 * height, 0.6 * frame.neck)
            low: Vector = (0.7 * face * depth, 0.9 * frame.waist_width, 0.0)
            shapes.cone(shoulder, middle, (0.020 * height, 0.020 * height), dark, CHEST)
            shapes.cone(middle, low, (0.020 * height, 0.020 * height), dark, CHEST)


def _add_stick(shapes: Shapes, frame: Frame) -> None:
    height, hand = frame.height, -frame.forearm - 0.04 * frame.height
    wood, bone = Paint(_STICK), skeleton.FOREARM_LEFT
    shapes.cone((0, 0, hand), (-0.06 * height, 0, hand - 0.30 * height), (0.012 * height, 0.010 * height), wood, bone)
    shapes.cone((-0.04 * height, 0, hand), (0.03 * height, 0, hand), (0.014 * height, 0.014 * height), wood, bone)


_HANDBAG_BONE = skeleton.FOREARM_RIGHT

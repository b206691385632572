"""Which classes of a source are people, and under which names its classes and attributes enter a district."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from districts.box_files import PEOPLE
from districts.importing.annotated import NO_ATTRIBUTES, Annotated, Box, TrackBox
from domain.attributes import AttributeSchema, Group
from domain.errors import InputError, shown

_YES, _NO = {"true", "yes", "1", "present"}, {"false", "no", "0", "absent"}
_MOST_LISTED = 30


@dataclass(frozen=True)
class Choice:
    """Classes that count as people, and new names for classes, attributes and their values."""

    classes: tuple[str, ...] = ()  # after renaming; empty: those that are called person, pedestrian or the like
    renamed: Mapping[str, str] = field(default_factory=dict)

    def new_name(self, name: str) -> str:
        """Name under which `name` enters the district."""
        return self.renamed.get(name, name)


def choose(annotated: Annotated, choice: Choice, schema: AttributeSchema) -> Annotated:
    """`annotated` with boxes of people only, their attributes in the words of `schema`, and notes on the rest.

    Raises:
        InputError: if no class of the source is chosen, or a chosen class or renamed word does not occur.
    """
    found = _classes(annotated)
    people = _people_among(found, choice)
    notes, unknown = list(annotated.notes), Counter[str]()
    _require_used(annotated, choice)
    if others := Counter({name: count for name, count in found.items() if choice.new_name(name) not in people}):
        notes.append(f"left out classes: {_counted(others)}")

    def worded(attributes: Mapping[str, str]) -> Mapping[str, str]:
        return _in_schema(attributes, choice, schema, unknown) if attributes else NO_ATTRIBUTES

    def box_of(box: Box) -> Box:
        return box._replace(label="person", attributes=worded(box.attributes))

    def track_box_of(box: TrackBox) -> TrackBox:
        return box._replace(label="person", attributes=worded(box.attributes))

    pictures = [
        replace(picture, boxes=tuple(box_of(box) for box in picture.boxes if choice.new_name(box.label) in people))
        for picture in annotated.pictures
    ]
    recordings = [
        replace(one, boxes=[track_box_of(box) for box in one.boxes if choice.new_name(box.label) in people])
        for one in annotated.recordings
    ]
    crops = [replace(crop, attributes=worded(crop.attributes)) for crop in annotated.crops]
    if unknown:
        notes.append(f"left out, for the schema {schema.name} does not have them: {_counted(unknown)}")
    return Annotated(pictures, recordings, crops, notes)


def _classes(annotated: Annotated) -> Counter[str]:
    found = Counter(box.label for picture in annotated.pictures for box in picture.boxes)
    for recording in annotated.recordings:
        found.update(box.label for box in recording.boxes)
    return found


def _people_among(found: Counter[str], choice: Choice) -> Collection[str]:
    renamed = Counter[str]()
    for name, count in found.items():
        renamed[choice.new_name(name)] += count
    if not found:
        return ()
    if choice.classes:
        if missing := [name for name in choice.classes if name not in renamed]:
            raise InputError(f"--classes must name classes of the source, {_counted(renamed)}; got {missing[0]!r}")
        return choice.classes
    people = [name for name in renamed if name.casefold() in PEOPLE]
    if not people:
        raise InputError(
            f"the classes that are people must be chosen: --classes NAME,…; the source has {_counted(renamed)}"
        )
    return people


def _require_used(annotated: Annotated, choice: Choice) -> None:
    """Raise `InputError` if a word of --rename occurs nowhere."""
    if not choice.renamed:
        return
    words = set(_classes(annotated))
    for attributes in _all_attributes(annotated):
        for name, value in attributes.items():
            words |= {name, value, f"{name}.{value}"}
    unused = [word for word in choice.renamed if word not in words]
    if unused:
        raise InputError(
            f"--rename must name a class, an attribute or a value of the source, got {unused[0]!r}; the source has "
            f"{shown(', '.join(sorted(words)[:_MOST_LISTED]))}"
        )


def _all_attributes(annotated: Annotated) -> Iterable[Mapping[str, str]]:
    for picture in annotated.pictures:
        yield from (box.attributes for box in picture.boxes if box.attributes)
    for recording in annotated.recordings:
        yield from (box.attributes for box in recording.boxes if box.attributes)
    yield from (crop.attributes for crop in annotated.crops if crop.attributes)


def _in_schema(
    attributes: Mapping[str, str], choice: Choice, schema: AttributeSchema, unknown: Counter[str]
) -> Mapping[str, str]:
    """Group -> label of `schema`; the other attributes are counted in `unknown`."""
    known = {}
    for name, value in attributes.items():
        group_name = choice.new_name(name)
        if group_name not in schema.group_names:
            unknown[name] += 1
            continue
        label = _label(schema.group(group_name), choice.renamed.get(f"{name}.{value}", choice.new_name(value)))
        if label is None:
            if value.strip():
                unknown[f"{name}={value}"] += 1
        else:
            known[group_name] = label
    return known


def _label(group: Group, value: str) -> str | None:
    """The label of `group` that `value` means: its name, its Korean name, or yes and no where one label is `absent`."""
    word = value.strip().casefold()
    for label in group.labels:
        if word in (label.name.casefold(), label.korean.casefold()):
            return label.name
    if len(group.labels) == 2 and any(label.absent for label in group.labels):
        absent, present = sorted(group.labels, key=lambda label: not label.absent)
        return present.name if word in _YES else absent.name if word in _NO else None
    return None


def _counted(words: Counter[str]) -> str:
    listed = ", ".join(f"{shown(word)[1:-1]} ({count})" for word, count in words.most_common(_MOST_LISTED))
    return listed + (", …" if len(words) > _MOST_LISTED else "")

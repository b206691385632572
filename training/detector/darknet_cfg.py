"""Darknet's network definition, `.cfg`: sections such as `[convolutional]`, each with `option=value` lines.

An unknown section or option is an error with its line: ignoring it would build a network that loads no weights or,
worse, loads them wrongly.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from domain.atomic import atomic_file
from domain.errors import InputError

_ALIASES = {"network": "net", "conv": "convolutional", "max": "maxpool"}
# Before the bar options that define the network or its loss; after it options of Darknet's own trainer or its display,
# which are ignored: training is ultralytics' here.
_OPTIONS = {
    "net": "batch subdivisions width height channels momentum decay learning_rate burn_in max_batches policy steps "
    "scales | angle saturation exposure hue mosaic mixup cutmix flip blur gaussian_noise power max_crop min_crop "
    "letter_box dynamic_minibatch optimized_memory workspace_size_limit_MB num_sigmas_reject_badlabels ema_alpha "
    "weights_reject_freq badlabels_rejection_percentage equidistant_point loss_scale max_chart_loss",
    "convolutional": "batch_normalize filters size stride pad padding groups activation | stopbackward",
    "route": "layers groups group_id | stopbackward",
    "shortcut": "from activation",
    "maxpool": "size stride padding",
    "upsample": "stride",
    "yolo": "mask anchors classes num scale_x_y new_coords ignore_thresh truth_thresh iou_thresh iou_loss "
    "iou_normalizer obj_normalizer cls_normalizer nms_kind beta_nms objectness_smooth label_smooth_eps focal_loss | "
    "jitter random resize max_delta max counters_per_class map show_details track_history_size",
}
# As atoi and atof: a number ends before a remark. Unlike them, "1O24", "3*6" and "2.5" of something whole are refused.
_NUMBER = re.compile(r"\s*(?P<value>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)(\s*\(.*|\s+[^\s\d+*/.,-].*|\s*)")
_REMARK = re.compile(r"[#;]|//")
_KNOWN = {section: {name for name in names.split() if name != "|"} for section, names in _OPTIONS.items()}


@dataclass(frozen=True)
class Option:
    """A value as written in the file."""

    value: str
    line: int


@dataclass(frozen=True)
class Section:
    """One section; in all but `[net]` it is one layer of the network."""

    name: str
    line: int  # of its header, from 1; for messages
    file: str
    options: dict[str, Option] = field(default_factory=dict)

    def text(self, name: str, default: str | None = None) -> str:
        """Value of the option `name`; raises `InputError` if it is not there and has no default."""
        option = self.options.get(name)
        if option is not None:
            return option.value
        if default is None:
            raise InputError(f"{self.place()}: needs the option {name}")
        return default

    def integer(self, name: str, default: int | None = None, minimum: int = 0) -> int:
        """The option `name` as a whole number that is at least `minimum`; raises `InputError` if it is not."""
        value = self._parsed(name, self.text(name, None if default is None else str(default)), int)
        if value < minimum:
            raise InputError(f"{self.place(name)}: {name} must be at least {minimum}, got {value}")
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        """The option `name` as a number; raises `InputError` if it is not one."""
        return float(self._parsed(name, self.text(name, None if default is None else str(default)), float))

    def integers(self, name: str) -> list[int]:
        """The option `name` as whole numbers with commas between; raises `InputError` if one is not."""
        return [int(self._parsed(name, part, int)) for part in self._parts(name)]

    def numbers(self, name: str) -> list[float]:
        """The option `name` as numbers with commas between; raises `InputError` if one is not."""
        return [float(self._parsed(name, part, float)) for part in self._parts(name)]

    def _parts(self, name: str) -> list[str]:
        return [part for part in self.text(name).split(",") if part.strip()]

    def place(self, option: str | None = None) -> str:
        """File and line of this section or of its option, for the start of a message."""
        line = self.options[option].line if option in self.options else self.line
        return f"{self.file}, line {line}, [{self.name}]"

    def changed(self, **options: str | int | float) -> Self:
        """This section with other values; options keep their line."""
        new = {name: Option(str(value), self.line) for name, value in options.items()}
        return replace(self, options={**self.options, **new})

    def _parsed(self, name: str, value: str, kind: type[int] | type[float]) -> float:
        number = _NUMBER.fullmatch(value)
        if number is None or (kind is int and not float(number["value"]).is_integer()):
            what = "a whole number" if kind is int else "a number"
            raise InputError(f"{self.place(name)}: {name} must be {what}, got {value!r}")
        return float(number["value"])


@dataclass(frozen=True)
class Definition:
    """A whole `.cfg`: its `[net]` and its layers in order; `layers[i]` is Darknet's layer number i."""

    name: str  # the file's name without its ending
    net: Section
    layers: tuple[Section, ...]

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.net.integer("height", minimum=1), self.net.integer("width", minimum=1)

    def with_input_size(self, height: int, width: int) -> Self:
        """The same network with another input size."""
        return replace(self, net=self.net.changed(height=height, width=width))

    def with_classes(self, num_classes: int) -> Self:
        """The same network with another number of classes, in each `[yolo]` and the filters of the layer before it."""
        layers = list(self.layers)
        for number, section in enumerate(layers):
            if section.name == "yolo" and number > 0:
                filters = len(section.integers("mask")) * (5 + num_classes)
                layers[number - 1] = layers[number - 1].changed(filters=filters)
                layers[number] = section.changed(classes=num_classes)
        return replace(self, layers=tuple(layers))

    def with_yolo_options(self, **options: str | int | float) -> Self:
        """The same network with these options in every `[yolo]`."""
        layers = (section.changed(**options) if section.name == "yolo" else section for section in self.layers)
        return replace(self, layers=tuple(layers))

    def with_layer_options(self, number: int, **options: str | int | float) -> Self:
        """The same network with these options in layer `number`."""
        layers = list(self.layers)
        layers[number] = layers[number].changed(**options)
        return replace(self, layers=tuple(layers))

    def to_text(self) -> str:
        """The definition as Darknet reads it, without comments."""
        sections = (self.net, *self.layers)
        return "\n".join(
            "\n".join(
                [f"[{section.name}]", *(f"{name}={option.value}" for name, option in section.options.items()), ""]
            )
            for section in sections
        )

    def write(self, file: Path) -> None:
        """Write `to_text` to `file`, whole or not at all."""
        with atomic_file(file) as aside:
            aside.write_text(self.to_text(), encoding="utf-8")


def read_cfg(file: Path) -> Definition:
    """The definition in `file`.

    Raises:
        InputError: if the file is missing, or not a definition whose every section and option is known; names the line.
    """
    if not file.is_file():
        raise InputError(f"{file} must be a Darknet network definition (.cfg); it is missing")
    content = file.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    return parse_cfg(content.decode(encoding, errors="replace"), file.stem, str(file))


def parse_cfg(text: str, name: str, file: str = "") -> Definition:
    """The definition in `text`; `file` is its name in messages. Raises `InputError` as `read_cfg` does."""
    file = file or f"{name}.cfg"
    sections: list[Section] = []
    for number, line in _content_lines(text):
        if line.startswith("["):
            sections.append(_open_section(line, number, file))
        elif not sections:
            raise InputError(f"{file}, line {number}: must begin with a section such as [net], got {line!r}")
        else:
            _add_option(sections[-1], line, number)
    if not sections or sections[0].name != "net":
        raise InputError(f"{file}: must begin with the section [net]")
    for section in sections[1:]:
        if section.name == "net":
            raise InputError(f"{section.place()}: only the first section may be [net]")
    if len(sections) == 1:
        raise InputError(f"{file}: must have layers after [net]")
    return Definition(name, sections[0], tuple(sections[1:]))


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their number, without remarks; empty lines are left out."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        content = _REMARK.split(line, maxsplit=1)[0].strip()
        if content:
            yield number, content


def _squeezed(text: str) -> str:
    """Text without white space, which Darknet drops everywhere."""
    return "".join(text.split())


def _open_section(line: str, number: int, file: str) -> Section:
    if not line.endswith("]"):
        raise InputError(f"{file}, line {number}: a section must look like [convolutional], got {line!r}")
    name = _squeezed(line[1:-1])
    name = _ALIASES.get(name, name)
    if name not in _KNOWN:
        raise InputError(f"{file}, line {number}: unknown layer {line}; known are {', '.join(sorted(_KNOWN))}")
    return Section(name, number, file)


def _add_option(section: Section, line: str, number: int) -> None:
    name, equals, value = line.partition("=")
    name, value = _squeezed(name), value.strip()
    if not equals:
        raise InputError(f"{section.file}, line {number}, [{section.name}]: must be option=value, got {line!r}")
    if name not in _KNOWN[section.name]:
        raise InputError(f"{section.file}, line {number}, [{section.name}]: unknown option {name}")
    if name in section.options:
        raise InputError(f"{section.file}, line {number}, [{section.name}]: {name} is given twice")
    section.options[name] = Option(value, number)

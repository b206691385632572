"""Reading Darknet's network definitions."""

from pathlib import Path

import pytest

from domain.errors import InputError
from training.detector.darknet_cfg import parse_cfg, read_cfg

SMALL = """
# a comment
[net]
width = 64
height=32

[conv]
filters=8
size=3
; another
activation=leaky
"""


def test_sections_options_and_lines_are_read() -> None:
    definition = parse_cfg(SMALL, "small")
    (layer,) = definition.layers
    assert definition.input_size == (32, 64)
    assert (layer.name, layer.integer("filters"), layer.line) == ("convolutional", 8, 7)
    assert layer.options["activation"].line == 11


def test_a_definition_survives_writing(tmp_path: Path) -> None:
    definition = parse_cfg(SMALL, "small")
    definition.write(tmp_path / "again.cfg")
    again = read_cfg(tmp_path / "again.cfg")
    assert again.to_text() == definition.to_text()


REMARKS = """[net] ; the input
width = 64 pixels
height=32.0\t
[ yolo ]  # one head
mask = 0, 1, 2 # of 3
anchors = 8,8,  16,16,  30.5,40, // fitted
classes=18 (1 class + 5) * 3
num=3; three
ignore_thresh = .7 사람
truth_thresh=1e-1
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_numbers_end_before_a_remark_in_every_encoding(encoding: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "remarks.cfg"
    file.write_bytes(REMARKS.replace("\n", end).encode(encoding))
    definition = read_cfg(file)
    definition.write(tmp_path / "again.cfg")
    for each in (definition, read_cfg(tmp_path / "again.cfg")):
        (head,) = each.layers
        assert (each.input_size, head.integers("mask"), head.integer("classes")) == ((32, 64), [0, 1, 2], 18)
        assert (head.numbers("anchors"), head.integer("num")) == ([8, 8, 16, 16, 30.5, 40], 3)
        assert (head.number("ignore_thresh"), head.number("truth_thresh")) == (0.7, 0.1)


@pytest.mark.parametrize("value", ["1O24", "3*(1+5)", "2.5", "1 8", "many", "", "8-9", "0x10", "nan", "1_0", "--1"])
def test_what_atoi_would_misread_is_refused(value: str) -> None:
    (layer,) = parse_cfg(f"[net]\n[conv]\nfilters={value}\n", "broken").layers
    with pytest.raises(InputError, match=r"line 3, \[convolutional\]: filters must be a whole number, got"):
        layer.integer("filters")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[net]\nwidth=1\n[sam]\n", r"broken.cfg, line 3: unknown layer \[sam\]", id="unknown layer"),
        pytest.param("[net]\n[conv]\nfilter=3\n", r"line 3, \[convolutional\]: unknown option filter", id="option"),
        pytest.param("[net]\nwidth=1\nwidth=2\n", r"line 3, \[net\]: width is given twice", id="twice"),
        pytest.param("[net]\n[conv]\nfilters\n", r"line 3, \[convolutional\]: must be option=value", id="no value"),
        pytest.param("width=3\n[net]\n", r"line 1: must begin with a section such as \[net\]", id="no section"),
        pytest.param("[conv]\nfilters=3\n", r"must begin with the section \[net\]", id="no net"),
        pytest.param("[net]\n[conv]\n[net]\n", r"line 3, \[net\]: only the first section may be", id="two nets"),
        pytest.param("[net]\nwidth=1\n", r"must have layers after \[net\]", id="no layers"),
        pytest.param("[net\n", r"line 1: a section must look like \[convolutional\]", id="open bracket"),
        pytest.param("", r"must begin with the section \[net\]", id="empty"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_cfg(text, "broken")


def test_a_value_of_the_wrong_kind_is_named_with_its_line() -> None:
    (layer,) = parse_cfg("[net]\n[conv]\nfilters=many\nstride=0\n", "broken").layers
    with pytest.raises(InputError, match=r"line 3, \[convolutional\]: filters must be a whole number, got 'many'"):
        layer.integer("filters")
    with pytest.raises(InputError, match=r"line 3, \[convolutional\]: filters must be a number, got 'many'"):
        layer.number("filters")
    with pytest.raises(InputError, match=r"line 4, .*stride must be at least 1, got 0"):
        layer.integer("stride", minimum=1)
    with pytest.raises(InputError, match=r"line 2, \[convolutional\]: needs the option size"):
        layer.integer("size")


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is missing"):
        read_cfg(tmp_path / "no.cfg")


def test_another_number_of_classes_changes_yolo_and_the_filters_before_it() -> None:
    text = "[net]\n[conv]\nfilters=255\n[yolo]\nmask=0,1,2\nanchors=1,2,3,4,5,6\nclasses=80\nnum=3\n"
    convolution, yolo = parse_cfg(text, "coco").with_classes(1).layers
    assert (convolution.integer("filters"), yolo.integer("classes")) == (18, 1)

from pathlib import Path

import pytest
from pydantic import PositiveFloat, PositiveInt

from domain.errors import InputError
from domain.settings import Settings, read_params


class ReidSettings(Settings):
    lr: PositiveFloat
    max_epochs: PositiveInt


@pytest.fixture
def params(tmp_path: Path) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text("seed: 1\nreid: {lr: 0.001, max_epochs: 5}\n", encoding="utf-8-sig")  # as Notepad saves it
    return file


def test_overrides_change_the_section(params: Path) -> None:
    settings = ReidSettings.from_params("reid", ["reid.max_epochs=1", "reid.lr=3.0e-4"], params)
    assert (settings.max_epochs, settings.lr) == (1, 3e-4)


def test_a_typo_in_an_override_names_the_key_and_its_likely_spelling(params: Path) -> None:
    with pytest.raises(InputError, match=r"unknown configuration key reid\.max_epoch; did you mean reid\.max_epochs\?"):
        ReidSettings.from_params("reid", ["reid.max_epoch=1"], params)


def test_a_key_that_no_settings_class_lists_stops_the_run(params: Path) -> None:
    params.write_text("reid: {lr: 0.001, max_epochs: 5, max_epoch: 3}\n")
    with pytest.raises(InputError, match=r"unknown configuration key reid\.max_epoch; did you mean reid\.max_epochs\?"):
        ReidSettings.from_params("reid", [], params)


def test_a_value_out_of_range_is_named_with_what_came(params: Path) -> None:
    with pytest.raises(InputError, match=r"reid\.max_epochs: Input should be greater than 0, got -1"):
        ReidSettings.from_params("reid", ["reid.max_epochs=-1"], params)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/x #1/y", "/x #1/y"),
        ("#1", "#1"),
        ("서울 # 2: 강남", "서울 # 2: 강남"),
        ("C: data", "C: data"),
        ("- a", "- a"),
        ("'/x #1'", "/x #1"),
        ('"a: b"', "a: b"),
        ("a#b", "a#b"),
        ("[1, 2]", [1, 2]),
        ("{a: 1}", {"a": 1}),
        ("null", None),
        ("0.1", 0.1),
    ],
)
def test_the_text_of_an_override_is_taken_whole(params: Path, given: str, taken: object) -> None:
    assert read_params([f"seed={given}"], params)["seed"] == taken


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["seed"], "an override must look like key=value, got 'seed'", id="no equals sign"),
        pytest.param(["seed=[1"], "the value of seed must be YAML", id="not YAML"),
        pytest.param(["seed=2026-13-45"], "the value of seed must be YAML, got '2026-13-45'", id="a date that is none"),
    ],
)
def test_an_override_that_is_none_is_refused(params: Path, argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_params(argv, params)


def test_a_missing_section_says_how_to_compose_it(params: Path) -> None:
    with pytest.raises(InputError, match="must have the section detector; compose it with `make params`"):
        ReidSettings.from_params("detector", [], params)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params.yaml must exist in the folder the stage runs in"):
        read_params([], tmp_path / "params.yaml")


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("- 1\n")
    with pytest.raises(InputError, match="must hold a mapping of sections, got list"):
        read_params([], file)


class Numbers(Settings):
    count: int
    names: tuple[str, ...] = ()


def test_arguments_are_read_as_yaml() -> None:
    assert Numbers.from_arguments(["count=3", 'names=["8.0", "9.0"]']) == Numbers(count=3, names=("8.0", "9.0"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["count"], "an argument must look like key=value, got 'count'; keys: count, names", id="no value"),
        pytest.param(["cuont=3"], r"unknown key cuont; did you mean count\?", id="typo"),
        pytest.param(["zzz=3"], "unknown key zzz; keys: count, names", id="unknown"),
        pytest.param(["count=1", "count=2"], "count must be given once, got it twice", id="twice"),
        pytest.param([], "count=… must be given; keys: count, names", id="missing"),
        pytest.param(["count=many"], "count: .* integer.*, got 'many'", id="wrong type"),
        pytest.param(["count=[1"], r"the value of count must be YAML, got '\[1'", id="no YAML"),
    ],
)
def test_wrong_arguments_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Numbers.from_arguments(argv)

from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.errors import ArtifactError
from domain.model_card import EngineFile, ModelCard, read_card, write_card
from domain.schemas import read_schema

CARD = ModelCard(
    task="attributes",
    architecture="osnet_x0_25",
    input_height_px=128,
    input_width_px=64,
    resize="stretch",
    output_names=("view", "gender"),
    attribute_schema=read_schema("suseong_no_colour"),
    district="demo",
    engines=(
        EngineFile(
            file="model.onnx",
            runtime="onnxruntime",
            precision="fp32",
            sha256="0" * 64,
            min_batch=1,
            opt_batch=8,
            max_batch=32,
        ),
    ),
)


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = write_card(CARD, tmp_path)
    assert read_card(file) == read_card(tmp_path) == CARD


@pytest.mark.parametrize("content", [None, "{", '{"task": "detector"}', '{"colour": 1}'])
def test_an_unusable_card_names_the_file_and_what_to_do(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "card.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"card\.json must be a model card; rerun the stage that wrote it"):
        read_card(tmp_path / "card.json")


def test_a_card_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CARD.district = "suseong"  # type: ignore[misc]

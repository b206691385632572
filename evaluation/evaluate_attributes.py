"""DVC stage `evaluate_attributes`: predictions of the attribute model and labels -> metrics, plots."""

from collections.abc import Sequence
from typing import Any

from districts.layout import Split, read_attribute_split
from domain.atomic import atomic_folder
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.model_card import read_card
from domain.paths import DATA, ENGINES, PLOTS, PREDICTIONS, configured_district
from domain.predictions import AttributePredictions
from domain.schemas import read_schema
from domain.stage import run_stage
from evaluation.attributes import AttributeScores, constant_answer, restrict_to, score_attributes
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.reporting.figures import plot_attribute_bars

_MODEL = "attributes"
_SPLITS: tuple[Split, Split] = ("test", "train")
_STUDY = "suseong_no_colour"  # the schema of the study's trained model


def main(argv: Sequence[str] = ()) -> None:
    """Score the exported attribute model on the test split.

    Raises:
        ArtifactError: if the model's card has no attribute schema.
    """
    district = configured_district(argv)
    engine, predicted = ENGINES.of(district) / _MODEL, PREDICTIONS.of(district) / _MODEL
    card = read_card(engine)
    schema = card.attribute_schema
    if schema is None:
        raise ArtifactError(f"{engine} must have a card with attribute_schema; rerun train_attributes")
    table, train = (read_attribute_split(DATA.of(district), split, schema) for split in _SPLITS)
    predictions = AttributePredictions.read(predicted / "test.npz")
    require_same_images(predictions.images.tolist(), table.images, predicted)
    scores = score_attributes(predictions.probabilities, table.labels, schema)
    metrics = scores.as_metrics()
    constant = constant_answer(train.labels, schema, len(table.images))
    metrics["constant"] = _without_groups(score_attributes(constant, table.labels, schema))
    study = study_groups(schema)
    if study:
        restricted = restrict_to(predictions.probabilities, table.labels, schema, study)
        metrics["no_colour"] = _without_groups(score_attributes(*restricted))
    with atomic_folder(PLOTS.of(district) / _MODEL) as plots:
        titles = {group.name: group.english for group in schema.groups}
        plot_attribute_bars(scores.groups, titles, plots / "groups.png")
    keep_results(district, _MODEL, card, metrics)


def study_groups(schema: AttributeSchema) -> tuple[str, ...]:
    """Names of the study's groups if `schema` has all of them, else none."""
    study = read_schema(_STUDY).groups
    return tuple(group.name for group in study) if set(study) <= set(schema.groups) else ()


def _without_groups(scores: AttributeScores) -> dict[str, Any]:
    return {name: value for name, value in scores.as_metrics().items() if name != "groups"}


if __name__ == "__main__":
    run_stage(main)

"""DVC stage `evaluate_attributes`: predictions/attributes and labels -> metrics/attributes.json, plots/attributes."""

from collections.abc import Sequence

from districts.layout import read_attribute_split
from domain.atomic import atomic_folder
from domain.attributes import AttributeSchema, read_schema
from domain.errors import ArtifactError
from domain.model_card import read_card
from domain.paths import ENGINES, PLOTS, PREDICTIONS
from domain.predictions import AttributePredictions
from domain.stage import run_stage
from evaluation.attributes import restrict_to, score_attributes
from evaluation.figures import plot_attribute_bars
from evaluation.results import keep_results, require_same_images
from evaluation.settings import district_folder

_MODEL = "attributes"
_STUDY = "suseong_no_colour"  # the schema of the study's trained model


def main(argv: Sequence[str] = ()) -> None:
    """Score the exported attribute model on the test split.

    Raises:
        ArtifactError: if its card has no attribute schema.
    """
    card = read_card(ENGINES / _MODEL)
    schema = card.attribute_schema
    if schema is None:
        raise ArtifactError(f"{ENGINES / _MODEL} must have a card with attribute_schema; rerun train_attributes")
    table = read_attribute_split(district_folder(argv), "test", schema)
    predictions = AttributePredictions.read(PREDICTIONS / _MODEL / "test.npz")
    require_same_images(predictions.images.tolist(), table.images, _MODEL)
    scores = score_attributes(predictions.probabilities, table.labels, schema)
    metrics = scores.as_metrics()
    study = study_groups(schema)
    if study:
        restricted = score_attributes(*restrict_to(predictions.probabilities, table.labels, schema, study)).as_metrics()
        metrics["no_colour"] = {name: value for name, value in restricted.items() if name != "groups"}
    with atomic_folder(PLOTS / _MODEL) as plots:
        titles = {group.name: group.english for group in schema.groups}
        plot_attribute_bars(scores.groups, titles, plots / "groups.png")
    keep_results(_MODEL, card, metrics)


def study_groups(schema: AttributeSchema) -> tuple[str, ...]:
    """Names of the study's groups if `schema` has all of them, else none."""
    study = read_schema(_STUDY).groups
    return tuple(group.name for group in study) if set(study) <= set(schema.groups) else ()


if __name__ == "__main__":
    run_stage(main)

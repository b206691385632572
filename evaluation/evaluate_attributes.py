"""DVC stage `evaluate_attributes`: predictions of the attribute model and labels -> metrics, plots."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from districts.layout import Split, read_attribute_split
from domain.atomic import atomic_folder
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.model_card import read_card
from domain.paths import DATA, ENGINES, PLOTS, PREDICTIONS, configured_district
from domain.predictions import AttributePredictions
from domain.schemas import read_schema
from domain.stage import run_stage
from evaluation.attributes import Labels, Probabilities, constant_answer, restrict_to, score_attributes
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.intervals.bootstrap import resample
from evaluation.intervals.of_attributes import attribute_sample
from evaluation.reporting.figures import plot_attribute_bars
from evaluation.settings import EvaluationSettings

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
    repeats = EvaluationSettings.from_params("evaluation", argv).bootstrap_repeats
    answers = predictions.probabilities, table.labels, schema
    metrics = scores.as_metrics() | overall(*answers, table.identities, repeats)
    constant = constant_answer(train.labels, schema, len(table.images))
    metrics["constant"] = overall(constant, table.labels, schema, table.identities, repeats)
    study = study_groups(schema)
    if study:
        metrics["no_colour"] = overall(*restrict_to(*answers, study), table.identities, repeats)
    with atomic_folder(PLOTS.of(district) / _MODEL) as plots:
        titles = {group.name: group.english for group in schema.groups}
        plot_attribute_bars(scores.groups, titles, plots / "groups.png")
    keep_results(district, _MODEL, card, metrics)


def study_groups(schema: AttributeSchema) -> tuple[str, ...]:
    """Names of the study's groups if `schema` has all of them, else none."""
    study = read_schema(_STUDY).groups
    return tuple(group.name for group in study) if set(study) <= set(schema.groups) else ()


def overall(
    probabilities: Probabilities,
    labels: Labels,
    schema: AttributeSchema,
    people: Int64[np.ndarray, " image"],
    repeats: int,
) -> dict[str, float]:
    """The scores over all groups with their intervals."""
    scores = score_attributes(probabilities, labels, schema)
    resampled = resample(attribute_sample(probabilities, labels, schema, people), repeats).flat()
    of_all = {name: value for name, value in resampled.items() if "/" not in name}
    return of_all | {"calibration_error": scores.calibration_error}


if __name__ == "__main__":
    run_stage(main)

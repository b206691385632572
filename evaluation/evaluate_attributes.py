"""DVC stage `evaluate_attributes`: predictions of the attribute model and labels -> metrics, plots."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from districts.layout import AttributeTable, Split, read_attribute_split
from domain.atomic import atomic_folder
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.model_card import read_card
from domain.paths import DATA, PLOTS, PREDICTIONS, configured_district
from domain.predictions import AttributePredictions
from domain.schemas import read_schema
from domain.stage import run_stage
from evaluation.attributes import (
    AttributeScores,
    Labels,
    Probabilities,
    constant_answer,
    group_parts,
    restrict_to,
    score_attributes,
)
from evaluation.details import write_details
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.intervals.bootstrap import Resampled, Sample, resample
from evaluation.intervals.of_attributes import attribute_sample
from evaluation.past import digest_of, keep_run
from evaluation.reporting.figures import plot_attribute_bars
from evaluation.settings import EvaluationSettings
from evaluation.slices import Slicing, by_camera, by_label, by_light_and_height, score_slices
from evaluation.thresholds import answers_above, most_probable_answers

SLICED = ("instance_f1", "label_mean_accuracy")
_MODEL = "attributes"
_TIME = "time"  # the group that says day, sunset or night
_SPLITS: tuple[Split, Split] = ("test", "train")
_STUDY = "suseong_no_colour"  # the schema of the study's trained model


def main(argv: Sequence[str] = ()) -> None:
    """Score the exported attribute model on the test split.

    Raises:
        ArtifactError: if the model's card has no attribute schema.
    """
    district = configured_district(argv)
    predicted = PREDICTIONS.of(district) / _MODEL
    card = read_card(predicted)
    schema = card.attribute_schema
    if schema is None:
        raise ArtifactError(f"{predicted} must have a card with attribute_schema; rerun train_attributes")
    table, train = (read_attribute_split(DATA.of(district), split, schema) for split in _SPLITS)
    predictions = AttributePredictions.read(predicted / "test.npz")
    require_same_images(predictions.images.tolist(), table.images, predicted)
    repeats = EvaluationSettings.from_params("evaluation", argv).bootstrap_repeats
    answers = Answers(predictions.probabilities, table.labels, schema, table.identities)
    resampled = resample(answers.sample(), repeats)
    metrics = answers.metrics(resampled)
    metrics["num_people"] = resampled.num_units
    constant = replace(answers, probabilities=constant_answer(train.labels, schema, len(table.images)))
    metrics["constant"] = constant.metrics(resample(constant.sample(), repeats))
    study = study_groups(schema)
    if study:
        of_study = answers.only(study)
        metrics["no_colour"] = of_study.metrics(resample(of_study.sample(), repeats))
    details = answers.details(resampled) | {
        "run": keep_run(district, _MODEL, card, digest_of(table.images, table.labels, table.identities), resampled),
        "slices": score_slices(crop_slicings(DATA.of(district), table, schema), answers.sample, SLICED, repeats),
    }
    with atomic_folder(PLOTS.of(district) / _MODEL) as plots:
        titles = {group.name: group.english for group in schema.groups}
        plot_attribute_bars(answers.scores.groups, titles, plots / "groups.png")
        write_bars(details["groups"], plots / "groups.csv")
        write_details(details, plots)
    keep_results(district, _MODEL, card, metrics)


@dataclass(frozen=True)
class Answers:
    """What the model answered for the crops of the test split, and what is true."""

    probabilities: Probabilities
    labels: Labels
    schema: AttributeSchema
    people: Int64[np.ndarray, " image"]

    @cached_property
    def scores(self) -> AttributeScores:
        """The scores over all crops."""
        return score_attributes(self.probabilities, self.labels, self.schema)

    def only(self, groups: Sequence[str]) -> "Answers":
        """The answers of some groups."""
        return Answers(*restrict_to(self.probabilities, self.labels, self.schema, groups), self.people)

    def sample(self, chosen: Bool[np.ndarray, " image"] | None = None) -> Sample:
        """The sample of all or of chosen crops."""
        rows = np.ones(len(self.labels), bool) if chosen is None else chosen
        return attribute_sample(self.probabilities[rows], self.labels[rows], self.schema, self.people[rows])

    def metrics(self, resampled: Resampled) -> dict[str, Any]:
        """The scores over all groups, flat, with their intervals."""
        of_all = {name: value for name, value in resampled.flat().items() if "/" not in name}
        counts = ("num_labels", "num_labels_skipped", "num_images", "calibration_error")
        return of_all | {name: getattr(self.scores, name) for name in counts}

    def details(self, resampled: Resampled) -> dict[str, Any]:
        """Figures of each group and label, what is taken for what, and what a least probability would give."""
        flat = resampled.flat()
        groups = {
            name: {"num_images": scores.num_images}
            | _renamed(flat, {kind: f"{kind}/{name}" for kind in ("accuracy", "f1")})
            for name, scores in self.scores.groups.items()
        }
        labels = {
            f"{group.name}: {label.name}": {"num_images": int((self.labels[:, i] == value).sum())}
            | _renamed(flat, {kind: f"{kind}/{group.name}/{label.name}" for kind in ("missed", "invented")})
            for i, group in enumerate(self.schema.groups)
            for value, label in enumerate(group.labels)
            if not label.absent
        }
        answers = most_probable_answers(group_parts(self.probabilities, self.schema), self.labels)
        return {
            "unit": resampled.unit,
            "num_units": resampled.num_units,
            "groups": groups,
            "labels": {name: each for name, each in labels.items() if each["num_images"]},
            "confusions": confusions(self.scores, self.schema),
            "thresholds": answers_above(*answers),
        }


def crop_slicings(folder: Path, table: AttributeTable, schema: AttributeSchema) -> list[Slicing]:
    """The crops of a split of the district in `folder` by camera, light, height and, where it is labelled, time."""
    files = [folder / "attributes" / "images" / name for name in table.images]
    slicings = [by_camera(table.cameras, "As the table of the split says."), *by_light_and_height(files, heights=True)]
    return slicings + ([slicing_of(_TIME, table, schema)] if _TIME in schema.group_names else [])


def slicing_of(group: str, table: AttributeTable, schema: AttributeSchema) -> Slicing:
    """The crops of a split by their label of a group."""
    return by_label(group, table.labels[:, schema.group_names.index(group)], schema.group(group).label_names)


def confusions(scores: AttributeScores, schema: AttributeSchema) -> list[dict[str, Any]]:
    """Which label of a group is taken for which other, the most frequent confusions first."""
    found = []
    for name, each in scores.groups.items():
        labels = schema.group(name).label_names
        for true, answered in np.argwhere(each.confusion > 0).tolist():
            if true != answered:
                num, of = int(each.confusion[true, answered]), int(each.confusion[true].sum())
                pair = {"group": name, "true": labels[true], "answered": labels[answered]}
                found.append(pair | {"num": num, "of": of})
    return sorted(found, key=lambda row: -row["num"])


def write_bars(groups: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Write accuracy and F1 of each group as CSV for `dvc plots`."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("group", "accuracy", "f1"))
        writer.writerows((name, *(each.get(key, "") for key in ("accuracy", "f1"))) for name, each in groups.items())


def _renamed(flat: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """The figures and bounds of `names`, new name to name in `flat`."""
    pairs = [(f"{new}{end}", f"{old}{end}") for new, old in names.items() for end in ("", "_low", "_high")]
    return {new: flat[old] for new, old in pairs if old in flat}


def study_groups(schema: AttributeSchema) -> tuple[str, ...]:
    """Names of the study's groups if `schema` has all of them, else none."""
    study = read_schema(_STUDY).groups
    return tuple(group.name for group in study) if set(study) <= set(schema.groups) else ()


if __name__ == "__main__":
    run_stage(main)

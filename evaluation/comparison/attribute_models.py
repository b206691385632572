"""Two attribute models on the crops of the test split."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from districts.layout import AttributeTable, read_attribute_split
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.predictions import AttributePredictions
from evaluation.attributes import Labels, Probabilities, group_parts, most_probable, restrict_to
from evaluation.comparison.changes import changes, part_changes
from evaluation.comparison.compared import Compared, Test
from evaluation.comparison.sides import Side
from evaluation.evaluate_attributes import SLICED, crop_slicings, slicing_of
from evaluation.experiments.results import require_same_images
from evaluation.intervals.bootstrap import Sample, ratios
from evaluation.intervals.of_attributes import UNIT, attribute_sample
from evaluation.past import digest_of
from evaluation.reporting.crop_figures import RankedCrop, plot_crops
from evaluation.reporting.parts import Picture

_SHOWN = 20


def compare_attribute_models(challenger: Side, champion: Side, test: Test) -> Compared:
    """The changes of all figures of attributes, over the groups that both models answer alike.

    Raises:
        ArtifactError: if a model has no schema, both share no group, or predictions are of other pictures.
    """
    sides = challenger, champion
    schema, notes = _shared_schema(*sides)
    table = read_attribute_split(test.data, "test", schema)
    first, second = (_probabilities(side, table, schema) for side in sides)
    people = table.identities

    def samples(chosen: Bool[np.ndarray, " image"]) -> tuple[Sample, Sample]:
        of = table.labels[chosen], schema, people[chosen]
        return attribute_sample(first[chosen], *of), attribute_sample(second[chosen], *of)

    all_crops, repeats = np.ones(len(people), bool), test.settings.bootstrap_repeats
    told = table.labels, schema, people
    brier = changes(_brier_sample(first, *told), _brier_sample(second, *told), repeats)
    told_apart = [slicing_of(group, table, schema) for group in test.groups if group in schema.group_names]
    return Compared(
        challenger,
        champion,
        digest_of(table.images, table.labels, table.identities),
        UNIT,
        len(np.unique(people)),
        changes(*samples(all_crops), repeats) | brier,
        part_changes(crop_slicings(test.data, table, schema), samples, SLICED, repeats),
        part_changes(told_apart, samples, SLICED, repeats),
        _pictures(first, second, table, schema, test),
        notes,
    )


def _shared_schema(challenger: Side, champion: Side) -> tuple[AttributeSchema, tuple[str, ...]]:
    ours, theirs = challenger.card.attribute_schema, champion.card.attribute_schema
    if ours is None or theirs is None:
        raise ArtifactError("both models must have a card with attribute_schema; rerun train_attributes")
    shared = tuple(group for group in ours.groups if group in theirs.groups)
    if not shared:
        raise ArtifactError(f"the models must share a group of attributes, {ours.name} and {theirs.name} have none")
    all_names = dict.fromkeys((*ours.group_names, *theirs.group_names))
    others = [name for name in all_names if name not in [group.name for group in shared]]
    note = f"Not compared, for not both models answer them with the same labels: {', '.join(others)}."
    return AttributeSchema(name=ours.name, groups=shared), (note,) if others else ()


def _probabilities(side: Side, table: AttributeTable, shared: AttributeSchema) -> Probabilities:
    predictions, schema = AttributePredictions.read(side.predictions / "test.npz"), side.card.attribute_schema
    require_same_images(predictions.images.tolist(), table.images, side.predictions)
    assert schema is not None
    unknown = np.full((len(table.images), len(schema.groups)), -1, np.int64)
    return restrict_to(predictions.probabilities, unknown, schema, shared.group_names)[0]


def _brier_sample(
    probabilities: Probabilities, labels: Labels, schema: AttributeSchema, people: Int64[np.ndarray, " image"]
) -> Sample:
    """Mean squared difference between probabilities and truth, over the known groups of all crops: `brier`."""
    identities, person = np.unique(people, return_inverse=True)
    squares, known = np.zeros(len(labels)), (labels >= 0).sum(axis=1)
    for i, part in enumerate(group_parts(probabilities, schema)):
        rows = np.flatnonzero(labels[:, i] >= 0)
        squares[rows] += ((part[rows] - np.eye(part.shape[1])[labels[rows, i]]) ** 2).sum(axis=1)
    above, below = (np.bincount(person, values, minlength=len(identities)) for values in (squares, known))
    return Sample(UNIT, len(identities), len(identities), ratios({"brier": above}, {"brier": below}))


def _pictures(
    first: Probabilities, second: Probabilities, table: AttributeTable, schema: AttributeSchema, test: Test
) -> tuple[Picture, ...]:
    """The crops of which the models answer the most groups differently, one of each person."""
    known = table.labels >= 0
    is_right = [(most_probable(each, table.labels, schema) == table.labels) & known for each in (first, second)]
    gain = is_right[0].sum(axis=1) - is_right[1].sum(axis=1)
    pictures = []
    for name, by, caption in (
        ("better", gain, "Crops of which the challenger answers more groups correctly, and how many more"),
        ("worse", -gain, "Crops of which the challenger answers fewer groups correctly, and how many fewer"),
    ):
        order = np.argsort(-by, kind="stable")
        order = order[by[order] > 0]
        chosen = order[np.sort(np.unique(table.identities[order], return_index=True)[1])][:_SHOWN]
        if len(chosen):
            crops = [
                RankedCrop(
                    test.data / "attributes" / "images" / table.images[i], name == "better", f"{gain[i]:+d} groups"
                )
                for i in chosen.tolist()
            ]
            file = test.plots / f"{name}.jpg"
            plot_crops(crops, file)
            pictures.append(Picture(file, caption + _most_changed(is_right, schema, name == "better")))
    return tuple(pictures)


def _most_changed(is_right: Sequence[Bool[np.ndarray, "image group"]], schema: AttributeSchema, better: bool) -> str:
    """The groups in which this happens most."""
    ours, theirs = is_right if better else is_right[::-1]
    counts = (ours & ~theirs).sum(axis=0)
    most = [place for place in np.argsort(-counts, kind="stable")[:3].tolist() if counts[place]]
    return f"; most of all {', '.join(f'{schema.groups[place].english} ({counts[place]})' for place in most)}"

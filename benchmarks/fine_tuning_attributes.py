"""What fine-tuning attributes on a district's labelled crops gives, from weights and from random ones, as JSON.

    python -m benchmarks.fine_tuning_attributes data/pa100k --weights osnet_x0_25_msmt17.pth [attributes.minutes=10 …]

Both trainings are those of `experiment=finetune_cpu` on the crops of `train`, validated on `val`; they and the constant
answer, each group's most frequent label in `train`, are scored on the crops of `test`. With `--on val` on those of
`val` instead, to choose settings. Intervals are of draws of people.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from conf.compose import compose
from districts.layout import AttributeTable, read_attribute_split
from domain.attributes import AttributeSchema
from domain.cores import machine
from domain.settings import PARAMS
from evaluation.attributes import constant_answer
from evaluation.comparison.changes import changes
from evaluation.intervals.bootstrap import Sample, resample
from evaluation.intervals.of_attributes import attribute_sample
from training.attributes.network import AttributeNetwork, group_probabilities
from training.attributes.train import AttributeSettings, choose_schema, train_attributes
from training.crops.augmentation import Normalise
from training.crops.data import CropDataset

_REPEATS, _FIGURES = 1000, ("instance_f1", "label_mean_accuracy")
_BATCH = 128
_RECIPE = (
    "experiment=finetune_cpu",
    "detector.weights=null",
    "reid.backbones.osnet.weights=null",
    "~reid.backbones.resnet50",
)


def main() -> None:
    """Print one JSON document; what the trainings print goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("district", type=Path, help="folder with attributes/ in it")
    parser.add_argument("--weights", type=Path, required=True, help="file to start from")
    parser.add_argument("--on", choices=("test", "val"), default="test")
    parser.add_argument("settings", nargs="*", help="of the stage, such as attributes.lr=0.001")
    options = parser.parse_intermixed_args()
    district, weights = options.district.resolve(), options.weights.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        compose([*_RECIPE, f"attributes.weights={weights}", *options.settings], PARAMS)
        settings = AttributeSettings.from_params("attributes", []).on_this_machine()
        results = measure(district, settings, options.on)
    json.dump({"metadata": {"machine": machine(), "settings": sys.argv[1:]}, "results": results}, sys.stdout, indent=2)
    print()


def measure(district: Path, settings: AttributeSettings, on: str) -> dict[str, Any]:
    """Figures of the constant answer and of both trainings, with intervals; and by how much the weights raise them."""
    schema = choose_schema(settings, district)
    train = read_attribute_split(district, "train", schema)
    scored = read_attribute_split(district, "val" if on == "val" else "test", schema)
    crops = CropDataset(
        [district / "attributes" / "images" / name for name in scored.images],
        scored.labels,
        *settings.input_size,
        cache_in_memory_mib=0,
    )
    samples = {"constant": sample_of(constant_answer(train.labels, schema, len(scored.images)), scored, schema)}
    minutes: dict[str, float] = {}
    for name, start in (("from_random", None), ("from_weights", settings.weights)):
        began = perf_counter()
        chosen = settings.model_copy(update={"weights": start})
        network, _ = train_attributes(chosen, district, schema, 0, Path(name), lambda *_: None)
        minutes[name] = (perf_counter() - began) / 60
        samples[name] = sample_of(probabilities(network, crops), scored, schema)
    rise = changes(samples["from_weights"], samples["from_random"], _REPEATS)
    return {
        "crops": {"train": len(train.images), "scored": len(scored.images)},
        "minutes": minutes,
        **{name: estimates(sample) for name, sample in samples.items()},
        "weights_above_random": {name: rise[name].plain() for name in _FIGURES},
    }


@torch.inference_mode()
def probabilities(network: AttributeNetwork, crops: CropDataset) -> np.ndarray:
    """Probabilities of all labels, `float32 [crop, label]`; the network is in eval mode."""
    normalise = Normalise()
    parts = (range(first, min(first + _BATCH, len(crops))) for first in range(0, len(crops), _BATCH))
    return np.concatenate([group_probabilities(network(normalise(crops[part].images))).numpy() for part in parts])


def sample_of(answered: np.ndarray, scored: AttributeTable, schema: AttributeSchema) -> Sample:
    """The scores of the answers to the crops of `scored`."""
    return attribute_sample(answered, scored.labels, schema, scored.identities)


def estimates(sample: Sample) -> dict[str, list[float | None]]:
    """Each figure with the bounds of its interval."""
    found = resample(sample, _REPEATS).estimates()
    return {name: [found[name].value, found[name].low, found[name].high] for name in _FIGURES}


if __name__ == "__main__":
    main()

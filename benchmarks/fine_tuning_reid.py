"""What fine-tuning re-ID on a district's people gives: by this project, and by torchreid's own engine, as JSON.

    python -m benchmarks.fine_tuning_reid data/market --weights osnet_x0_25_msmt17.pth --minutes 60 [reid.lr=0.001 …]

The same network, start weights, pictures, size and minutes. Both train on `reid/bounding_box_train`; ours validates on
`bounding_box_val`. They are scored on `query` and `bounding_box_test` alike; with `--on val` on the validation people
instead, to choose settings: none is ever chosen on test people. With `--held-out 4` these are more, every fourth, so
that smaller differences can be told. Intervals are of draws of people, paired.

torchreid's side is its `ImageTripletEngine` or, with `--theirs softmax`, `ImageSoftmaxEngine`, with its data manager,
samplers, augmentation, optimisers and schedule, for as many epochs as fit. The learning rate, the engine and what else
can be said on the command line are to be chosen by as many trials as ours had: benchmarks/README.md has them.
"""

import argparse
import contextlib
import copy
import json
import sys
import tempfile
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torchreid.reid import data, engine, models, optim
from torchreid.reid.utils import load_pretrained_weights

from conf.compose import compose
from districts.layout import ReidPart, ReidTable, read_reid_folder
from domain.cores import available_cores, machine
from domain.embeddings import cosine_distances
from domain.settings import PARAMS
from evaluation.comparison.changes import changes
from evaluation.evaluate_reid import FALSE_ALARM_RATES, rerank
from evaluation.intervals.bootstrap import Sample
from evaluation.intervals.of_retrieval import retrieval_sample
from evaluation.open_set import nearest_distances
from evaluation.retrieval import JUNK, evaluate_retrieval
from evaluation.settings import EvaluationSettings
from training.crops.augmentation import CHANNEL_MEAN, CHANNEL_STD, Normalise
from training.crops.data import CropDataset
from training.reid.network import build_reid_network, embed, load_pretrained
from training.reid.task import choose_queries
from training.reid.train import ReidSettings, train_reid

_REPEATS, _FIGURES = 1000, ("map", "rank1")
_BATCH = 128
_WARM_UP, _TIMED = 3, 9  # steps by which torchreid's pace is measured


class Crops:
    """The people that a network is scored on: test people, or those of validation."""

    def __init__(self, district: Path, on: str, settings: ReidSettings) -> None:
        self._settings = settings
        if on == "val":
            table, folder = read_reid_folder(district, "bounding_box_val"), district / "reid" / "bounding_box_val"
            is_query = choose_queries(table.identities, table.cameras)
            self.query, self.gallery = table.only(is_query), table.only(~is_query & (table.identities != JUNK))
            self.folders = folder, folder
        else:
            self.query, self.gallery = (read_reid_folder(district, part) for part in ("query", "bounding_box_test"))
            self.gallery = self.gallery.only(self.gallery.identities != JUNK)
            self.folders = district / "reid" / "query", district / "reid" / "bounding_box_test"

    def samples(self, network: nn.Module) -> dict[str, Sample]:
        """How `network`, in eval mode, ranks them: by looks, and re-ranked."""
        tables = self.query, self.gallery
        query, gallery = (
            self._embedded(network, folder, table) for folder, table in zip(self.folders, tables, strict=True)
        )
        labels = (
            self.query.identities,
            self.gallery.identities,
            self.query.cameras,
            self.gallery.cameras,
        )
        reranked = rerank(query, gallery, EvaluationSettings.from_params("evaluation"))
        return {
            name: retrieval_sample(
                evaluate_retrieval(distances, *labels),
                nearest_distances(distances, *labels),
                self.query.identities,
                FALSE_ALARM_RATES,
            )
            for name, distances in {"plain": cosine_distances(query, gallery), "reranked": reranked}.items()
        }

    @torch.inference_mode()
    def _embedded(self, network: nn.Module, folder: Path, table: ReidTable) -> np.ndarray:
        files = [folder / name for name in table.images]
        crops = CropDataset(files, np.zeros(len(files)), *self._settings.input_size, cache_in_memory_mib=0)
        normalise = Normalise()
        ranges = (range(first, min(first + _BATCH, len(files))) for first in range(0, len(files), _BATCH))
        return np.concatenate([embed(network, normalise(crops[part].images)).numpy() for part in ranges])


class Pictures(data.ImageDataset):
    """The crops to train on, as torchreid's data manager takes them; it wants test pictures, and gets the first two."""

    def __init__(self, district: Path, **kwargs: Any) -> None:
        table = read_reid_folder(district, "bounding_box_train")
        known = np.flatnonzero(table.identities > 0)
        _, people = np.unique(table.identities[known], return_inverse=True)
        folder = district / "reid" / "bounding_box_train"
        train = [
            (str(folder / table.images[index]), int(person), int(table.cameras[index]))
            for index, person in zip(known, people, strict=True)
        ]
        super().__init__(train, train[:1], [(train[1][0], 0, 99)], **kwargs)


def train_theirs(
    district: Path, settings: ReidSettings, weights: Path | None, minutes: float, options: argparse.Namespace
) -> tuple[nn.Module, int]:
    """torchreid's network in eval mode after `minutes`, and its number of epochs."""
    data.register_image_dataset("pictures", partial(Pictures, district))
    triplet = options.theirs == "triplet"
    manager = data.ImageDataManager(
        sources="pictures",
        height=settings.input_height_px,
        width=settings.input_width_px,
        transforms=options.transforms.split(","),
        norm_mean=list(CHANNEL_MEAN),
        norm_std=list(CHANNEL_STD),
        use_gpu=torch.cuda.is_available(),
        batch_size_train=settings.identities_per_batch * settings.images_per_identity,
        batch_size_test=_BATCH,
        workers=available_cores(),
        num_instances=settings.images_per_identity,
        train_sampler="RandomIdentitySampler" if triplet else "RandomSampler",
    )
    network = models.build_model(settings.chosen.architecture, manager.num_train_pids, options.theirs, pretrained=False)
    if weights is not None:
        load_pretrained_weights(network, str(weights))
    begun = copy.deepcopy(network.state_dict())

    def trainer(epochs: int) -> Any:
        optimizer = optim.build_optimizer(network, options.their_optimizer, options.their_lr)
        schedule = optim.build_lr_scheduler(optimizer, "cosine", max_epoch=max(1, epochs))
        kind = engine.ImageTripletEngine if triplet else engine.ImageSoftmaxEngine
        own = kind(manager, network, optimizer, scheduler=schedule, use_gpu=torch.cuda.is_available())
        own.max_epoch = epochs
        return own

    timed = trainer(1)
    timed.set_model_mode("train")
    began = 0.0
    for step, batch in enumerate(islice(chain.from_iterable(repeat(manager.train_loader)), _WARM_UP + _TIMED)):
        began = perf_counter() if step == _WARM_UP else began
        timed.forward_backward(batch)
    epoch_s = (perf_counter() - began) / _TIMED * len(manager.train_loader)
    network.load_state_dict(begun)
    epochs = max(1, int(60 * minutes / epoch_s))
    print(f"torchreid: {epochs} epochs of about {epoch_s:.0f} s", flush=True)
    ours = trainer(epochs)
    for ours.epoch in range(epochs):
        ours.train(print_freq=20, fixbase_epoch=options.their_fixed_epochs, open_layers=["classifier"])
    return network.eval(), epochs


def main() -> None:
    """Print one JSON document; what the trainings print goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("district", type=Path, help="folder with reid/ in it")
    parser.add_argument("--weights", type=Path, help="file to start from; default: random weights")
    parser.add_argument("--architecture", default="osnet_x0_25", help="torchreid's name")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--every", type=int, default=1, help="train on every n-th person only")
    parser.add_argument("--held-out", type=int, help="validate on every n-th person of both parts, train on the others")
    parser.add_argument("--on", choices=("test", "val"), default="test")
    parser.add_argument("--only", choices=("ours", "theirs"), help="one side, to choose its settings")
    parser.add_argument("--theirs", choices=("triplet", "softmax"), default="triplet")
    parser.add_argument("--their-lr", type=float, default=0.0003)
    parser.add_argument("--their-optimizer", default="amsgrad")
    parser.add_argument("--their-fixed-epochs", type=int, default=0, help="in which its classifier alone is trained")
    parser.add_argument("--transforms", default="random_flip,random_crop,random_erase", help="torchreid's names")
    parser.add_argument("settings", nargs="*", help="of the stage, such as reid.lr=0.001")
    options = parser.parse_intermixed_args()
    district = options.district.resolve()
    weights = options.weights.resolve() if options.weights else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        backbone = {"architecture": options.architecture, "weights": weights or "null"}
        given = [f"reid.backbones.osnet.{key}={value}" for key, value in backbone.items()]
        given += ["detector.weights=null", "attributes.weights=null", "~reid.backbones.resnet50"]
        compose(["experiment=finetune_cpu", f"reid.minutes={options.minutes}", *given, *options.settings], PARAMS)
        settings = ReidSettings.from_params("reid", []).on_this_machine()
        part = with_people(district, options.every, options.held_out, Path("part").resolve())
        identities = read_reid_folder(part, "bounding_box_train").identities
        results = measure(part, settings, weights, options)
    metadata = {"machine": machine(), "people": len(np.unique(identities)), "settings": sys.argv[1:]}
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


def with_people(district: Path, every: int, held_out: int | None, part: Path) -> Path:
    """A district like that in `district`, in the folder `part`, with other people to train and to validate on.

    Of those of both parts together every n-th of `held_out` are validated on, and the others trained on; without
    `held_out` the parts stay. Of those to train on every n-th of `every` are kept. Where both change nothing, it is
    `district` itself.
    """
    if every == 1 and not held_out:
        return district
    parts: dict[str, ReidPart] = {"train": "bounding_box_train", "val": "bounding_box_val"}
    for own in [*district.iterdir(), *(district / "reid").iterdir()]:
        if own.name not in {"reid", *parts.values()}:
            target = part / own.relative_to(district)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(own)
    tables = {name: read_reid_folder(district, folder) for name, folder in parts.items()}
    people = {name: np.unique(table.identities[table.identities > 0]) for name, table in tables.items()}
    if held_out:
        both = np.union1d(people["train"], people["val"])
        people["val"] = both[1::held_out]
        people["train"] = np.setdiff1d(both, people["val"])
    people["train"] = people["train"][::every]
    for name, folder in parts.items():
        (part / "reid" / folder).mkdir(parents=True, exist_ok=True)
        for before, table in tables.items():
            for image in np.flatnonzero(np.isin(table.identities, people[name])):
                own = district / "reid" / parts[before] / table.images[image]
                (part / "reid" / folder / table.images[image]).symlink_to(own)
    return part


def measure(
    district: Path, settings: ReidSettings, weights: Path | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Figures of the weights as they are, of each side, and by how much ours are above theirs."""
    crops, results, samples = Crops(district, options.on, settings), {}, {}
    if weights is not None:
        untrained = build_reid_network(settings.chosen.architecture, 1)
        load_pretrained(untrained, weights)
        results["as_it_is"] = figures(crops.samples(untrained.eval()))
    if options.only != "theirs":
        began, epochs = perf_counter(), []
        mine, _ = train_reid(settings, district / "reid", 0, Path("checkpoints"), lambda _, epoch: epochs.append(epoch))
        minutes = (perf_counter() - began) / 60
        samples["ours"] = crops.samples(mine)
        results["ours"] = {"minutes": minutes, "epochs": max(epochs), **figures(samples["ours"])}
    if options.only != "ours":
        began = perf_counter()
        network, num_epochs = train_theirs(district, settings, weights, options.minutes, options)
        minutes = (perf_counter() - began) / 60
        samples["theirs"] = crops.samples(network)
        results["theirs"] = {"minutes": minutes, "epochs": num_epochs, **figures(samples["theirs"])}
    if len(samples) == 2:
        results["ours_above_theirs"] = {
            f"{name}/{figure}": [each.change.value, each.change.low, each.change.high]
            for name in samples["ours"]
            for figure, each in changes(samples["ours"][name], samples["theirs"][name], _REPEATS).items()
            if figure in _FIGURES
        }
    return results


def figures(samples: dict[str, Sample]) -> dict[str, Any]:
    """mAP and Rank-1 of each ranking."""
    return {
        f"{name}/{figure}": value
        for name, sample in samples.items()
        for figure, value in sample.as_it_is().items()
        if figure in _FIGURES
    }


if __name__ == "__main__":
    main()

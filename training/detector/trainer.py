"""Training by ultralytics' trainer: network and loss are ours; mosaic, EMA, mixed precision, plots, validation its own.

Its side effects are off: it writes nothing to the user's home, downloads nothing and sends nothing.
"""

import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

from training.progress import shows_bars

os.environ["YOLO_CONFIG_DIR"] = str(Path(".ultralytics").resolve())  # ultralytics reads these at its import
os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"
if not shows_bars():
    os.environ["YOLO_VERBOSE"] = "false"

import matplotlib
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from ultralytics.data.augment import Compose, RandomPerspective
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG, LOGGER, RANK, SETTINGS, USER_CONFIG_DIR, IterableSimpleNamespace

from domain.atomic import atomic_file
from training.allocator import keep_freed_memory
from training.detector.darknet import load_weights
from training.detector.darknet_cfg import parse_cfg
from training.detector.losses import YoloLoss
from training.detector.network import DarknetNetwork, decode_heads
from training.detector.preparation import read_rows

if not shows_bars():
    LOGGER.setLevel(logging.WARNING)  # it is above that now
_INTEGRATIONS = ("sync", "clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
_BURN_IN_POWER = 4
_VALIDATIONS = 20  # per run, so that validation does not take most of a short epoch


class TrainableDetector(nn.Module):
    """A network with the attributes and methods that ultralytics' trainer and validator use.

    Args:
        network: the network to train.
        names: of the classes, by index.
    """

    def __init__(self, network: DarknetNetwork, names: Mapping[int, str]) -> None:
        super().__init__()
        # Channels last takes a fifth less time for the full YOLOv4 on a CPU, and suits tensor cores.
        self.network = network.to(memory_format=torch.channels_last)
        self.names = dict(names)
        self.nc = len(names)
        self.stride = torch.tensor([float(head.stride) for head in network.yolo_heads])
        self.yaml = {"name": network.definition.name, "definition": network.definition.to_text()}
        self.task = "detect"
        self.args: Any = None  # the trainer's settings; the trainer sets them
        self.criterion: YoloLoss | None = None

    def forward(self, batch: Tensor | dict[str, Any], augment: bool = False) -> Any:
        """The loss of a labelled batch, or the network's outputs for pictures.

        Pictures are float `[batch, 3, height, width]`, RGB, 0..1. Outputs are the heads in train mode; in eval mode
        predictions `[batch, 4 + class, anchor]` (cxcywh in pixels, then scores) and the heads.
        """
        if isinstance(batch, dict):
            return self.loss(batch)
        raw = self.network.heads(batch)
        if self.training:
            return raw
        boxes, scores = decode_heads([tensor.float() for tensor in raw], self.network.yolo_heads)
        low, high = boxes[..., :2], boxes[..., 2:]
        return torch.cat([(low + high) / 2, high - low, scores], 2).transpose(1, 2), raw

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise, and its parts, detached.

        Darknet's step is the mean over its batch. Ultralytics sums over the batches that it accumulates to the nominal
        batch, so each batch is weighted by its fraction of the nominal batch.
        """
        if preds is None:
            preds = self.forward(batch["img"])
        raw = preds[1] if isinstance(preds, tuple) else preds
        self.criterion = self.criterion or YoloLoss(self.network.yolo_heads)
        labels = [batch["batch_idx"].view(-1, 1), batch["cls"].view(-1, 1), batch["bboxes"]]
        with torch.autocast(raw[0].device.type, enabled=False):
            parts = self.criterion(raw, torch.cat([label.to(raw[0].device) for label in labels], 1))
        size = raw[0].shape[0]
        share = size / max(self.args.nbs, size)
        named = {"box": parts.box, "objectness": parts.objectness, "class": parts.classes}
        return parts.total * share, {name: part.detach() for name, part in named.items()}

    @property
    def model(self) -> nn.ModuleList:
        """The layers; ultralytics reads the last one when it resumes."""
        return self.network.layers

    def set_head_attr(self, **_: Any) -> None:
        """Do nothing: ultralytics limits the detections of its heads here, we do so in post-processing."""

    def load(self, weights: nn.Module) -> None:
        """Copy the weights of another module of this class."""
        self.load_state_dict(weights.state_dict())


class CheckedDataset(YOLODataset):
    """Ultralytics' data set of the pictures and boxes that `link_data` wrote: none is checked, mended or left out."""

    def get_img_files(self, img_path: Any) -> list[str]:
        """The pictures in the folder `images/<split>`."""
        return [str(row["im_file"]) for row in self._rows(img_path)]

    def get_labels(self) -> list[dict[str, Any]]:
        """The boxes of each picture."""
        return self._rows(self.img_path)

    def cache_images(self) -> None:
        """Decode the pictures into memory; ultralytics shows a bar whatever its settings are."""
        with nullcontext() if shows_bars() else redirect_stdout(StringIO()):
            super().cache_images()

    def _rows(self, img_path: Any) -> list[dict[str, Any]]:
        return read_rows(Path(img_path).parents[1], Path(img_path).name)


class RectangularDataset(CheckedDataset):
    """Ultralytics' training set with pictures, also of mosaics, in the network's height and width.

    Args:
        output_size: width and height in pixels.
        options: of the base class.
    """

    def __init__(self, output_size: tuple[int, int], **options: Any) -> None:
        self.output_size = output_size  # set before the base class builds the transforms
        super().__init__(**options)

    def build_transforms(self, hyp: IterableSimpleNamespace) -> Compose:
        """Ultralytics' augmentation, cut to `output_size` instead of a square."""
        transforms = super().build_transforms(hyp)
        for transform in _flatten(transforms):
            if isinstance(transform, RandomPerspective):
                transform.size = self.output_size
        return transforms


class DetectorTrainer(DetectionTrainer):
    """Ultralytics' trainer over our network.

    The setting `model` is a `network.cfg`, which also defines the input size and the loss, and has `network.weights` to
    start from beside it; or the `last.pt` of a run to resume. `data` is a folder that `link_data` wrote. Ultralytics'
    worker processes call the constructor with these names.

    Args:
        cfg: ultralytics' settings.
        overrides: settings that replace those of `cfg`; also `steps_at`, fractions of the epochs.
        _callbacks: ultralytics' callbacks by event.
    """

    validator: Any
    ema: Any
    optimizer: Any
    scheduler: Any
    lf: Any
    metrics: Any

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: Any = None, _callbacks: Any = None) -> None:
        _stay_offline()
        keep_freed_memory()
        threads = torch.get_num_threads()
        own = dict(overrides or {})
        self.steps_at: Sequence[float] = own.pop("steps_at", ())  # the one key that ultralytics does not know
        super().__init__(cfg, own, _callbacks)
        torch.set_num_threads(threads)  # ultralytics takes one core less than there are, whatever OMP_NUM_THREADS says

    def get_dataset(self) -> dict[str, Any]:
        """The data set in the folder `data`; ultralytics would search for it and download."""
        folder = Path(self.args.data)
        splits = {split: str(folder / "images" / split) for split in ("train", "val")}
        return {"path": folder, "names": {0: "person"}, "nc": 1, "channels": 3, **splits}

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> YOLODataset:
        """Ultralytics' data set; training pictures have the size of the network's input, which may not be square."""
        options = {
            "img_path": img_path,
            "imgsz": self.args.imgsz,
            "batch_size": batch,
            "augment": mode == "train",
            "hyp": self.args,
            "cache": self.args.cache or None,
            "prefix": f"{mode}: ",
            "data": self.data,
        }
        stride = int(_bare(self.model).stride.max())
        if mode != "train":
            return CheckedDataset(**options, rect=True, pad=0.5, stride=max(stride, 32))
        height, width = _bare(self.model).network.definition.input_size
        return RectangularDataset((width, height), **options, stride=stride)

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> TrainableDetector:
        """The network that a `network.cfg` or the definition in a checkpoint defines, with its weights."""
        if isinstance(cfg, dict):
            network = DarknetNetwork(parse_cfg(cfg["definition"], cfg["name"]))
        else:
            file = Path(str(cfg))
            network = DarknetNetwork(parse_cfg(file.read_text(), file.stem, str(file)))
            load_weights(network, file.with_suffix(".weights"))
        model = TrainableDetector(network, self.data["names"])
        if weights is not None:
            model.load(weights)
        return model

    def validate(self) -> tuple[Any, Any]:
        """Validate about twenty times in a run, and after the last epoch."""
        every = max(1, self.epochs // _VALIDATIONS)
        if (self.epoch + 1) % every and self.epoch + 1 < self.epochs:
            return self.metrics, None
        return super().validate()

    def train(self) -> None:
        """Train; processes of several GPUs are given `steps_at` among the arguments that ultralytics hands to them."""
        if self.ddp:
            self.args.steps_at = self.steps_at
        super().train()

    def _setup_scheduler(self) -> None:
        """Follow a cosine, or Darknet's steps: a tenth of the previous rate from each fraction in `steps_at` on."""
        if self.args.cos_lr:
            super()._setup_scheduler()
            return
        self.lf = lambda epoch: 0.1 ** sum(epoch >= fraction * self.epochs for fraction in self.steps_at)
        self.scheduler = LambdaLR(self.optimizer, lr_lambda=self.lf)

    def optimizer_step(self) -> None:
        """Step; in the warm-up the rate rises with the fourth power, as Darknet's, instead of ultralytics' line."""
        for group in self.optimizer.param_groups:
            full = group["initial_lr"] * self.lf(self.epoch)
            group["lr"] *= min(1.0, group["lr"] / full) ** (_BURN_IN_POWER - 1)
        super().optimizer_step()

    def check_resume(self, overrides: Any) -> None:
        """Go on with the settings of now; ultralytics would take most of them, and all paths, from the checkpoint."""
        self.resume = bool(self.args.resume)
        if self.resume:
            self.args.model = self.args.resume

    def resume_training(self, ckpt: Any) -> None:
        """Resume after the checkpoint's epoch, and remove rows of later epochs that a killed run wrote.

        Ultralytics' own refuses a checkpoint within the first epoch.
        """
        if not self.resume:
            return
        self._load_checkpoint_state(ckpt)
        self.start_epoch = ckpt["epoch"] + 1
        if self.csv.is_file():
            title, *rows = self.csv.read_text().splitlines(keepends=True)
            with atomic_file(self.csv) as aside:
                aside.write_text("".join([title, *rows[: self.start_epoch]]))

    def save_model(self) -> bool:
        """Write ultralytics' checkpoints whole or not at all: a kill during the writing leaves the previous ones."""
        with _written_aside(self, "last"), _written_aside(self, "best"):
            return bool(super().save_model())

    def save_within_epoch(self) -> None:
        """Write `last.pt` of an epoch that is not over; a resumed run begins it anew, from the weights of now."""
        self.epoch -= 1
        self.fitness = math.nan  # type: ignore[assignment]  # equals none, so the best epoch's checkpoint stays
        self.save_model()

    def final_eval(self) -> None:
        """Load the best epoch's weights into the averaged model, validate it, and draw the plots."""
        best = torch.load(self.best if self.best.exists() else self.last, map_location="cpu", weights_only=False)
        self.ema.ema.load_state_dict(best["ema"].float().state_dict())
        self.validator.args.plots = self.args.plots
        self.stopper.possible_stop = True  # otherwise the validator plots only after the last planned epoch
        metrics = self.validator(self)
        if RANK in {-1, 0}:
            self.metrics = {name: value for name, value in metrics.items() if name != "fitness"}

    def is_finished(self) -> bool:
        """True if `last.pt` is of the last epoch, so nothing remains to be trained."""
        checkpoint = torch.load(self.last, map_location="cpu", weights_only=False)
        return int(checkpoint["epoch"]) + 1 >= self.epochs

    def best_network(self) -> DarknetNetwork:
        """The network of the best epoch, on the CPU, in eval mode; to be called after `train`."""
        file = self.best if self.best.exists() else self.last
        model = torch.load(file, map_location="cpu", weights_only=False)["ema"].float()
        return deepcopy(model.network).eval()


def _stay_offline() -> None:
    SETTINGS.update({name: False for name in _INTEGRATIONS if name in SETTINGS})
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):  # otherwise downloaded
        if not (USER_CONFIG_DIR / name).exists():
            shutil.copyfile(font, USER_CONFIG_DIR / name)


@contextmanager
def _written_aside(trainer: DetectorTrainer, name: str) -> Iterator[None]:
    target: Path = getattr(trainer, name)
    aside = target.with_name(f".{target.name}.partial")
    setattr(trainer, name, aside)
    try:
        yield
        if aside.exists():
            aside.replace(target)
    finally:
        setattr(trainer, name, target)
        aside.unlink(missing_ok=True)


def _bare(model: Any) -> TrainableDetector:
    """The detector without its distributed or compiled wrapper."""
    while not isinstance(model, TrainableDetector):
        model = model.module if hasattr(model, "module") else model._orig_mod
    return model


def _flatten(transforms: Any) -> Iterator[Any]:
    for transform in transforms.transforms if isinstance(transforms, Compose) else [transforms]:
        if isinstance(transform, Compose):
            yield from _flatten(transform)
        else:
            yield transform
            inner = getattr(transform, "pre_transform", None)
            if inner is not None:
                yield from _flatten(inner)

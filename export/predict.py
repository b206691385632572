"""DVC stage `predict`: an engine over a district's pictures -> predictions/<district>/<model>/: *.npz, card.json."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from districts.layout import ReidPart, Split, list_pictures, read_attribute_split, read_reid_folder
from domain.atomic import atomic_folder
from domain.detections import postprocess
from domain.errors import ArtifactError
from domain.model_card import require_of_district, write_card
from domain.paths import DATA, ENGINES, PREDICTIONS, configured_district
from domain.predictions import AttributePredictions, DetectorPredictions, ReidPredictions
from domain.stage import run_stage
from export.engines import load
from export.engines.engine import Engine
from export.pictures import resized_batches, stacked
from export.settings import ExportSettings

_SPLITS: tuple[Split, ...] = ("val", "test")
_REID_FILES: dict[str, ReidPart] = {
    "query": "query", "gallery": "bounding_box_test", "validation": "bounding_box_val"
}  # fmt: skip


def main(argv: Sequence[str] = ()) -> None:
    """Run one engine over all pictures that the evaluation scores."""
    settings = ExportSettings.from_params("export", argv)
    district = configured_district(argv)
    engine = load(ENGINES.of(district) / settings.model, threads=settings.threads)
    require_of_district(district, {settings.model: engine.card})
    write_predictions(engine, DATA.of(district), settings, PREDICTIONS.of(district) / settings.model)


def write_predictions(engine: Engine, data: Path, settings: ExportSettings, target: Path) -> None:
    """Replace `target` by the predictions of an engine on the district in the folder `data`, and its card."""
    with atomic_folder(target) as out:
        write_card(engine.card, out)
        if engine.card.task == "reid":
            for name, part in _REID_FILES.items():
                if part != "bounding_box_val" or (data / "reid" / part).is_dir():
                    predict_embeddings(engine, data, part, settings).write(out / f"{name}.npz")
            return
        for split in _SPLITS:
            predictions = (
                predict_boxes(engine, data, split, settings)
                if engine.card.task == "detector"
                else predict_attributes(engine, data, split, settings)
            )
            predictions.write(out / f"{split}.npz")


def predict_boxes(engine: Engine, data: Path, split: Split, settings: ExportSettings) -> DetectorPredictions:
    """People in the frames of a split above the low threshold, after non-maximum suppression.

    If the detector has several classes, only the first, person, counts.
    """
    if (overlap := engine.card.iou_threshold) is None:
        raise ArtifactError("the detector's card must have iou_threshold; rerun train_detector")
    files = list_pictures(data / "detection" / "images" / split)
    found = []
    for pictures in resized_batches(files, engine.card, settings.predict_batch, f"detector, {split}"):
        outputs = engine(stacked(pictures))
        found += [
            postprocess(boxes, scores[:, :1], picture, settings.predict_score_threshold, overlap, nms=engine.card.nms)
            for boxes, scores, picture in zip(outputs["boxes"], outputs["scores"], pictures, strict=True)
        ]
    return DetectorPredictions(
        images=np.array([file.name for file in files]),
        image_index=np.repeat(np.arange(len(found)), [len(detections) for detections in found]),
        boxes_xyxy=np.concatenate([detections.boxes_xyxy for detections in found]),
        scores=np.concatenate([detections.scores for detections in found]),
    )


def predict_attributes(engine: Engine, data: Path, split: Split, settings: ExportSettings) -> AttributePredictions:
    """Probabilities of every label for the people of a split."""
    schema = engine.card.attribute_schema
    if schema is None:
        raise ArtifactError("the attribute model's card must have attribute_schema; rerun train_attributes")
    images = read_attribute_split(data, split, schema).images
    files = [data / "attributes" / "images" / name for name in images]
    outputs = _run(engine, files, settings, f"attributes, {split}")
    return AttributePredictions(
        images=np.array(images),
        groups=np.array(schema.group_names),
        probabilities=np.concatenate([outputs[name] for name in schema.group_names], axis=1),
    )


def predict_embeddings(engine: Engine, data: Path, part: ReidPart, settings: ExportSettings) -> ReidPredictions:
    """Embeddings of the crops in a folder of `reid/`."""
    images = read_reid_folder(data, part).images
    outputs = _run(engine, [data / "reid" / part / name for name in images], settings, f"{settings.model}, {part}")
    return ReidPredictions(images=np.array(images), embeddings=outputs["embeddings"])


def _run(engine: Engine, files: Sequence[Path], settings: ExportSettings, title: str) -> dict[str, np.ndarray]:
    batches = resized_batches(files, engine.card, settings.predict_batch, title)
    outputs = [engine(stacked(pictures)) for pictures in batches]
    return {name: np.concatenate([output[name] for output in outputs]) for name in engine.card.output_names}


if __name__ == "__main__":
    run_stage(main)

"""100 photos against a gallery of 3,000: time of each step from JPEG files to re-ranked lists, as JSON.

    python -m benchmarks.photo_search
    python -m benchmarks.photo_search --engine engines/demo/reid-osnet --pictures crops/

The field study reports 20 minutes for this on three A100. Defaults: OSNet x1.0 at 256 × 128 with random weights, and
synthetic pictures with the sizes of people in street cameras, JPEG of quality 90. Pictures are read, decoded, resized
and embedded in batches, as in stage `predict`; then distances are computed and re-ranked with k-reciprocal neighbours,
and each query's list is sorted.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from domain.cores import available_cores
from domain.embeddings import unit_length
from domain.images import write_image
from domain.model_card import write_card
from evaluation.reranking import k_reciprocal_distances
from export.engines import load
from export.engines.engine import Engine
from export.pictures import resized_batches, stacked
from export.settings import Precision, Profile

_BATCH = 32


def made_pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files of blurred noise, 64 to 200 pixels high."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        height = int(rng.integers(64, 201))
        coarse = rng.integers(0, 256, (12, 5, 3), dtype=np.uint8)
        files.append(folder / f"{number:05d}.jpg")
        write_image(files[-1], cv2.resize(coarse, (height * 2 // 5, height), interpolation=cv2.INTER_CUBIC))
    return files


def made_engine(folder: Path, precision: Precision, calibration: Sequence[Path]) -> Path:
    """OSNet x1.0 with random weights as an engine that runs in `precision`."""
    from benchmarks.engines import wrapped
    from export.onnx_graph import export_onnx

    network = wrapped("osnet_x1_0")
    precisions: tuple[Precision, ...] = ("fp32",) if precision == "fp32" else (precision, "fp32")
    images = stacked(next(resized_batches(calibration, network.card, len(calibration), "calibration")))
    profile = Profile(min_batch=1, opt_batch=_BATCH, max_batch=_BATCH)
    entries = export_onnx(network, folder, profile, precisions=precisions, calibration_images=images)
    write_card(network.card.model_copy(update={"engines": entries}), folder)
    return folder


def embed(files: Sequence[Path], engine: Engine, spent_s: dict[str, float]) -> np.ndarray:
    """Embeddings of `files`; adds to `spent_s` the time in the engine, and the time of waiting for pictures."""
    parts, last = [], perf_counter()
    for batch in resized_batches(files, engine.card, _BATCH, "pictures"):
        images = stacked(batch)
        ready = perf_counter()
        parts.append(engine(images)["embeddings"])
        spent_s["waiting_for_pictures"] += ready - last
        last = perf_counter()
        spent_s["engine"] += last - ready
    return np.concatenate(parts)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=Path, help="a re-ID engine's folder in place of OSNet x1.0")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of OSNet x1.0")
    parser.add_argument("--pictures", type=Path, help="a folder of JPEG files, 3,100 or more, in place of made ones")
    parser.add_argument("--query", type=int, default=100)
    parser.add_argument("--gallery", type=int, default=3000)
    options = parser.parse_args()
    count = options.query + options.gallery
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = sorted(options.pictures.glob("*.jpg")) if options.pictures else made_pictures(folder, count)
        if len(files) < count:
            parser.error(f"--pictures must hold {count} .jpg files, {options.pictures} holds {len(files)}")
        engine = load(options.engine or made_engine(folder / "engine", options.precision, files[:64]))
        some = unit_length(np.random.default_rng(0).standard_normal((60, 8), dtype=np.float32))
        k_reciprocal_distances(some[:10], some[10:])  # compiled before the clock starts
        spent_s = {"waiting_for_pictures": 0.0, "engine": 0.0}
        start = perf_counter()
        query = embed(files[: options.query], engine, spent_s)
        gallery = embed(files[options.query : count], engine, spent_s)
        embedded = perf_counter()
        lists = np.argsort(k_reciprocal_distances(query, gallery), axis=1, kind="stable")
        end = perf_counter()
    spent_s["distances_and_reranking"] = end - embedded
    results = {
        "total_s": end - start,
        "spent_s": spent_s,
        "pictures_a_second": count / (embedded - start),
        "lists": list(lists.shape),
    }
    metadata = {
        "machine": platform.machine(),
        "cores": available_cores(),
        "architecture": engine.card.architecture,
        "precision": engine.file.precision,
        "query": options.query,
        "gallery": options.gallery,
    }
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

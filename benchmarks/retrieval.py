"""Re-ranking and retrieval scores compared with torchreid: time, memory, growth and differences, as JSON.

    python -m benchmarks.retrieval                                  # a reduced size, with torchreid
    python -m benchmarks.retrieval --query 3441 --gallery 16441     # the study's; torchreid needs 10 GB and minutes
    python -m benchmarks.retrieval --query 3441 --gallery 16441 50000 100000 --plot docs/reranking.svg

Method: seeded embeddings around one centre for each person, so that neighbours resemble those of real galleries. Each
implementation runs in a process of its own, for its own peak of memory; ours is compiled before the clock starts.
Torchreid's time excludes its three distance matrices, ours includes them. Torchreid runs on galleries of at most
--torchreid-up-to images; its memory grows with the square of their number.
"""

import argparse
import json
import platform
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from domain.cores import available_cores
from domain.embeddings import cosine_distances, unit_length

_TILE = 1024
_CROPS_PER_PERSON = 12
_PLOTTED: tuple[tuple[str, str, Callable[[Any], float]], ...] = (
    ("Time of re-ranking", "seconds", lambda figures: figures["reranking_s"]["p50"]),
    ("Peak memory of the process", "GB", lambda figures: figures["peak_memory_gb"]),
)
_SPREAD = 3.0  # spread of a person's crops, relative to the spread of people; keeps mAP away from 0 and 1


def made_gallery(query: int, gallery: int, feature: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Embeddings, identities and cameras: of the queries and of the gallery for each."""
    rng = np.random.default_rng(seed)
    people = max(1, gallery // _CROPS_PER_PERSON)
    identities = rng.integers(1, people + 1, query), rng.integers(1, people + 1, gallery)
    centres = rng.standard_normal((people + 1, feature), dtype=np.float32)
    embeddings = [
        unit_length(centres[each] + _SPREAD * rng.standard_normal((len(each), feature), dtype=np.float32))
        for each in identities
    ]
    return *embeddings, *identities, rng.integers(1, 7, query), rng.integers(1, 7, gallery)


def run_ours(arrays: tuple[np.ndarray, ...], repeats: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Re-ranked distances, and times and mean average precisions."""
    from evaluation.reranking import k_reciprocal_distances
    from evaluation.retrieval import evaluate_retrieval

    query, gallery, *labels = arrays
    few = [each[:50] for each in arrays]
    evaluate_retrieval(k_reciprocal_distances(few[0], few[0]), few[2], few[2], few[4], few[4] + 1)  # compiles both
    times_s = []
    for _ in range(repeats):
        start = perf_counter()
        reranked = k_reciprocal_distances(query, gallery)
        times_s.append(perf_counter() - start)
    plain = cosine_distances(query, gallery)
    score_times_s = [timed(evaluate_retrieval, plain, *labels) for _ in range(repeats)]
    return reranked, {
        "reranking_s": spread(times_s),
        "products_s": timed(tile_products, np.concatenate([query, gallery])),
        "scoring_s": spread(score_times_s),
        "map": evaluate_retrieval(plain, *labels).mean_average_precision,
        "map_reranked": evaluate_retrieval(reranked, *labels).mean_average_precision,
    }


def run_torchreid(arrays: tuple[np.ndarray, ...], repeats: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The same as `run_ours`, by torchreid 0.2.5 and its Python ranking."""
    from torchreid.reid.metrics.rank import evaluate_rank
    from torchreid.reid.utils.rerank import re_ranking

    query, gallery, *labels = arrays
    matrices = 1 - query @ gallery.T, 1 - query @ query.T, 1 - gallery @ gallery.T
    start = perf_counter()
    reranked = re_ranking(*matrices)
    reranking_s = perf_counter() - start
    start = perf_counter()
    _, precision = evaluate_rank(matrices[0], *labels, use_cython=False)
    scoring_s = perf_counter() - start
    _, precision_reranked = evaluate_rank(reranked, *labels, use_cython=False)
    return reranked, {
        "reranking_s": spread([reranking_s]),
        "scoring_s": spread([scoring_s]),
        "map": float(precision),
        "map_reranked": float(precision_reranked),
    }


def tile_products(embeddings: np.ndarray) -> None:
    """The matrix products of a re-ranking, its lower bound in time: each pair of items once, in tiles."""
    for top in range(0, len(embeddings), _TILE):
        for left in range(top, len(embeddings), _TILE):
            _ = embeddings[top : top + _TILE] @ embeddings[left : left + _TILE].T


def timed(function: Callable[..., Any], *arguments: Any) -> float:
    """Wall clock of one call in seconds."""
    start = perf_counter()
    function(*arguments)
    return perf_counter() - start


def spread(times_s: list[float]) -> dict[str, float]:
    """Median and 95th percentile of the repeats."""
    return {"p50": float(np.median(times_s)), "p95": float(np.quantile(times_s, 0.95)), "repeats": len(times_s)}


def measure(run: Callable[..., Any], size: tuple[int, int, int], repeats: int, file: Path) -> dict[str, Any]:
    """Figures of `run` in a process of its own, with its peak of memory; its distances go to `file`."""
    with get_context("spawn").Pool(1) as pool:
        figures: dict[str, Any] = pool.apply(_in_own_process, (run, size, repeats, file))
    return figures


def _in_own_process(run: Callable[..., Any], size: tuple[int, int, int], repeats: int, file: Path) -> dict[str, Any]:
    reranked, figures = run(made_gallery(*size), repeats)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    np.save(file, reranked)
    return figures | {"peak_memory_gb": peak_gb}


def compare(ours: dict[str, Any], theirs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Speed-up and differences of the results."""
    difference = np.abs(np.load(folder / "ours.npy") - np.load(folder / "torchreid.npy"))
    return {
        "times_faster_reranking": theirs["reranking_s"]["p50"] / ours["reranking_s"]["p50"],
        "times_faster_scoring": theirs["scoring_s"]["p50"] / ours["scoring_s"]["p50"],
        "largest_difference": float(difference.max()),
        "share_above_1e-5": float((difference > 1e-5).mean()),
        "map_difference": abs(ours["map"] - theirs["map"]),
        "map_reranked_difference": abs(ours["map_reranked"] - theirs["map_reranked"]),
    }


def plot(figures: Sequence[Mapping[str, Any]], sizes: Sequence[int], file: Path) -> None:
    """Seconds and memory of re-ranking by the size of the gallery, ours as lines, torchreid's as points."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 3.6), layout="constrained")
    for place, (title, unit, value) in enumerate(_PLOTTED):
        axes = drawn.add_subplot(1, 2, 1 + place)
        axes.loglog(sizes, [value(each["ours"]) for each in figures], "o-", color="#2b6cb0", label="dongseon")
        theirs = [
            (size, value(each["torchreid"])) for size, each in zip(sizes, figures, strict=True) if "torchreid" in each
        ]
        if theirs:
            axes.loglog(*zip(*theirs, strict=True), "s", color="#c53030", label="torchreid")
        axes.set(title=title, xlabel="gallery images", ylabel=unit)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    drawn.savefig(file)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--query", type=int, default=400)
    parser.add_argument("--gallery", type=int, nargs="+", default=[2000], help="one or more sizes")
    parser.add_argument("--feature", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours; torchreid runs once")
    parser.add_argument("--torchreid-up-to", type=int, default=20_000, help="largest gallery for torchreid")
    parser.add_argument("--plot", type=Path, help="file for the plot of growth, .svg or .png")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for gallery in options.gallery:
            size = options.query, gallery, options.feature
            each = {"ours": measure(run_ours, size, options.repeats, folder / "ours.npy")}
            if gallery <= options.torchreid_up_to:
                each["torchreid"] = measure(run_torchreid, size, 1, folder / "torchreid.npy")
                each["comparison"] = compare(each["ours"], each["torchreid"], folder)
            results.append({"gallery": gallery} | each)
    machine = {
        "machine": platform.machine(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "query": options.query,
        "feature": options.feature,
    }
    if options.plot:
        plot(results, options.gallery, options.plot)
    json.dump({"metadata": machine, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

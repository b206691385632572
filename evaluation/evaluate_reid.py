"""DVC stage `evaluate_reid`: embeddings of queries and gallery -> metrics, plots of one backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from districts.layout import ReidTable, read_district, read_reid_folder
from domain.atomic import atomic_folder
from domain.embeddings import cosine_distances
from domain.model_card import read_card
from domain.paths import DATA, PLOTS, PREDICTIONS, TRANSITS, configured_district
from domain.predictions import ReidPredictions
from domain.settings import name_in, read_params
from domain.stage import run_stage
from evaluation.details import write_curve, write_details
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.intervals.bootstrap import Resampled, Sample, resample
from evaluation.intervals.of_retrieval import retrieval_sample
from evaluation.mistakes import worst_queries
from evaluation.neighbours.on_gpu import choose_search
from evaluation.open_set import Nearest, nearest_distances
from evaluation.past import digest_of, keep_run, merged
from evaluation.ranking_with_time import TimedRanking, rank_with_time
from evaluation.reporting.crop_figures import RankedCrop, RankedRow, plot_ranked_crops
from evaluation.reporting.figures import plot_camera_pairs, plot_cmc, plot_distances, plot_reliability
from evaluation.reranking import k_reciprocal_distances
from evaluation.retrieval import JUNK, RetrievalScores, camera_pair_precision, evaluate_retrieval
from evaluation.settings import EvaluationSettings
from evaluation.slices import Slicing, by_camera, by_light_and_height, score_slices
from evaluation.thresholds import distance_thresholds
from evaluation.transit.files import read_transits

FALSE_ALARM_RATES = (0.01, 0.1)
SLICED = ("map", "rank1")
_TITLES = {
    "plain": "plain",
    "reranked": "re-ranked",
    "with_time": "with times",
    "reranked_with_time": "re-ranked, with times",
}
_SHOWN = 10  # gallery crops in a row of the plot
_HISTOGRAM_PAIRS = 200_000


@dataclass(frozen=True)
class Ranking:
    """Query and gallery of the district, junk left out, and the distances between them; smaller is nearer."""

    folder: Path
    query: ReidTable
    gallery: ReidTable
    plain: Float32[np.ndarray, "query gallery"]  # 1 - cosine
    reranked: Float32[np.ndarray, "query gallery"]
    reranking_s: float

    @property
    def labels(
        self,
    ) -> tuple[
        Int[np.ndarray, " query"], Int[np.ndarray, " gallery"], Int[np.ndarray, " query"], Int[np.ndarray, " gallery"]
    ]:
        """Identities of query and gallery, then their cameras."""
        return self.query.identities, self.gallery.identities, self.query.cameras, self.gallery.cameras


def main(argv: Sequence[str] = ()) -> None:
    """Score one backbone's embeddings: plain and re-ranked, by looks alone and with the times of crops."""
    settings = EvaluationSettings.from_params("evaluation", argv)
    params = read_params(argv)
    model, seed = f"reid-{name_in(params, 'reid', 'backbone')}", params["seed"]
    district = configured_district(argv)
    folder, predictions = DATA.of(district), PREDICTIONS.of(district) / model
    card = read_card(predictions)
    tables = read_reid_folder(folder, "query"), read_reid_folder(folder, "bounding_box_test")
    of_query, of_gallery = (
        read_embeddings(predictions / f"{part}.npz", table)
        for part, table in zip(("query", "gallery"), tables, strict=True)
    )
    ranking = rank(folder, *tables, of_query, of_gallery, settings)
    timed = with_time(ranking, TRANSITS.of(district), predictions, settings)
    rankings = {"plain": ranking.plain, "reranked": ranking.reranked}
    if isinstance(timed, TimedRanking):
        rankings |= {"with_time": timed.plain, "reranked_with_time": timed.reranked}
    scores = {name: evaluate_retrieval(distances, *ranking.labels) for name, distances in rankings.items()}
    nearest = {name: nearest_distances(distances, *ranking.labels) for name, distances in rankings.items()}
    resampled = resample_rankings(ranking.query, scores, nearest, settings.bootstrap_repeats)
    digest = digest_of([*ranking.query.images, *ranking.gallery.images], *ranking.labels)
    pairs = pair_distances(ranking, seed)
    first = resampled["plain"]
    details = {
        "run": keep_run(district, model, card, digest, merged(list(resampled.values()), list(resampled))),
        "unit": first.unit,
        "num_units": first.num_units,
        "slices": slices(ranking, scores["plain"], nearest["plain"], settings.bootstrap_repeats),
        "thresholds": distance_thresholds(*pairs, card.match_distance),
    }
    with atomic_folder(PLOTS.of(district) / model) as plots:
        draw(ranking, rankings, scores, settings, seed, plots)
        plot_distances(*pairs, card.match_distance, plots / "distances.png")
        if isinstance(timed, TimedRanking):
            plot_reliability(timed.reliability, plots / "reliability.png")
        write_details(details, plots)
    metrics: dict[str, Any] = {
        name: each.flat() | {"num_valid_queries": scores[name].num_valid_queries} for name, each in resampled.items()
    }
    if card.share_of_epochs < 1:
        metrics["share_of_epochs"] = card.share_of_epochs
    counts = {"num_people": first.num_units, **sizes_of(ranking, num_stored=len(tables[1].images))}
    metrics |= counts | {"reranking_s": ranking.reranking_s, "time": time_summary(timed)}
    keep_results(district, model, card, metrics)


def resample_rankings(
    query: ReidTable, scores: Mapping[str, RetrievalScores], nearest: Mapping[str, Nearest], repeats: int
) -> dict[str, Resampled]:
    """The figures of each ranking, and of all draws of its people."""
    samples = {
        name: retrieval_sample(each, nearest[name], query.identities, FALSE_ALARM_RATES)
        for name, each in scores.items()
    }
    return {name: resample(sample, repeats) for name, sample in samples.items()}


def sizes_of(ranking: Ranking, num_stored: int) -> dict[str, int]:
    """Numbers of crops: queries, gallery, and junk, which is in the stored gallery but not in a ranking."""
    num_gallery = len(ranking.gallery.images)
    return {"num_query": len(ranking.query.images), "num_gallery": num_gallery, "num_junk": num_stored - num_gallery}


def slices(ranking: Ranking, scores: RetrievalScores, nearest: Nearest, repeats: int) -> list[dict[str, Any]]:
    """Figures without re-ranking of the queries of each camera, of dark and bright ones, and of some height."""
    query, folder = ranking.query, ranking.folder

    def sample_of(chosen: Bool[np.ndarray, " query"]) -> Sample:
        return retrieval_sample(scores, nearest, query.identities, FALSE_ALARM_RATES, chosen)

    return score_slices(query_slicings(folder, query), sample_of, SLICED, repeats)


def query_slicings(folder: Path, query: ReidTable) -> list[Slicing]:
    """The queries of the district in `folder` by camera, light and height."""
    numbers = sorted({*query.cameras.tolist()})
    names = dict(zip(numbers, camera_names(folder, numbers), strict=True))
    files = [folder / "reid" / "query" / name for name in query.images]
    note = "Of the query, from its file name; it is searched in the whole gallery of the other cameras."
    by_number = by_camera([names[number] for number in query.cameras.tolist()], note)
    return [by_number, *by_light_and_height(files, heights=True)]


def rank(
    folder: Path,
    query: ReidTable,
    gallery: ReidTable,
    query_embeddings: Float[np.ndarray, "query feature"],
    gallery_embeddings: Float[np.ndarray, "gallery feature"],
    settings: EvaluationSettings,
) -> Ranking:
    """Both rankings by looks. Junk takes no part: in re-ranking it would count as a neighbour of real crops."""
    is_ranked = gallery.identities != JUNK
    embeddings = query_embeddings, gallery_embeddings[is_ranked]
    rerank(query_embeddings[:1], gallery_embeddings[:1], settings)  # compiled here, so that the time is without it
    start = perf_counter()
    reranked = rerank(*embeddings, settings)
    reranking_s = perf_counter() - start
    return Ranking(folder, query, gallery.only(is_ranked), cosine_distances(*embeddings), reranked, reranking_s)


def rerank(
    query: Float[np.ndarray, "query feature"],
    gallery: Float[np.ndarray, "gallery feature"],
    settings: EvaluationSettings,
) -> Float32[np.ndarray, "query gallery"]:
    """Re-ranked distances of embeddings."""
    find_nearest = choose_search(settings.reranking_device)
    return k_reciprocal_distances(
        query, gallery, k1=settings.k1, k2=settings.k2, lambda_value=settings.lambda_value, find_nearest=find_nearest
    )


def with_time(
    ranking: Ranking, transits_folder: Path, predictions: Path, settings: EvaluationSettings
) -> TimedRanking | str:
    """Both rankings with the times of crops, or why there are none."""

    def looks(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return cosine_distances(query, gallery), rerank(query, gallery, settings)

    transits, card = read_transits(transits_folder)
    if transits is None:
        return card.left_out
    validation = None
    if (ranking.folder / "reid" / "bounding_box_val").is_dir():
        table = read_reid_folder(ranking.folder, "bounding_box_val")
        validation = table, read_embeddings(predictions / "validation.npz", table)
    return rank_with_time(transits, validation, ranking.query, ranking.gallery, ranking.plain, ranking.reranked, looks)


def time_summary(timed: TimedRanking | str) -> dict[str, Any]:
    """What was learnt of times, and how far the probabilities by looks and times hold; or why nothing was."""
    if isinstance(timed, str):
        print(f"not ranked with times: {timed}")
        return {"left_out": timed}
    return {
        "distance_of_a_nat": timed.fusion.softness * timed.fusion.trust,
        "background": timed.transits.background,
        "num_walks": float(timed.transits.num_walks.sum()),
        "calibration_error": timed.reliability.calibration_error,
        "brier": timed.reliability.brier,
        "misleading_cameras": ", ".join(f"c{number}" for number in timed.misleading),
    }


def draw(
    ranking: Ranking,
    rankings: Mapping[str, Float32[np.ndarray, "query gallery"]],
    scores: Mapping[str, RetrievalScores],
    settings: EvaluationSettings,
    seed: int,
    plots: Path,
) -> None:
    """Write all plots of one backbone into the folder `plots`."""
    cmc = {_TITLES[name]: each.cmc for name, each in scores.items()}
    plot_cmc(cmc, settings.max_rank, plots / "cmc.png")
    curves = {name: each.cmc[: settings.max_rank] for name, each in scores.items()}
    write_curve({"k": np.arange(1, len(curves["plain"]) + 1), **curves}, plots / "cmc.csv")
    drawn = np.random.default_rng(seed).permutation(len(ranking.query.images))[: settings.num_ranked_pictures]
    for name, distances in rankings.items():
        rows = ranked_rows(distances, ranking, np.sort(drawn))
        plot_ranked_crops(rows, plots / f"ranked_{name}.jpg")
    worst = worst_queries(scores["reranked"], ranking.query.identities, settings.num_ranked_pictures)
    if len(worst):
        rows = ranked_rows(ranking.reranked, ranking, worst, scores["reranked"].first_ranks)
        plot_ranked_crops(rows, plots / "mistakes.jpg")
    numbers = sorted(set(ranking.query.cameras.tolist()) | set(ranking.gallery.cameras.tolist()))
    precisions = camera_pair_precision(ranking.plain, *ranking.labels, numbers)
    plot_camera_pairs(precisions, camera_names(ranking.folder, numbers), plots / "camera_pairs.png")


def read_embeddings(file: Path, table: ReidTable) -> Float[np.ndarray, "image feature"]:
    """Embeddings of the pictures of `table`; `ArtifactError` if `file` holds those of other pictures."""
    predictions = ReidPredictions.read(file)
    require_same_images(predictions.images.tolist(), table.images, file.parent)
    return predictions.embeddings


def ranked_rows(
    distances: Float[np.ndarray, "query gallery"],
    ranking: Ranking,
    queries: Int[np.ndarray, " shown"],
    first_ranks: Int[np.ndarray, " query"] | None = None,
) -> list[RankedRow]:
    """The rows of `queries`, each with its first gallery crops by the rules of the Market-1501 protocol.

    `first_ranks` of all queries, the ranks of their first matches, are written beside their cameras.
    """
    query, gallery, folder = ranking.query, ranking.gallery, ranking.folder
    rows = []
    for i in queries.tolist():
        same = gallery.identities == query.identities[i]
        counted = ~(same & (gallery.cameras == query.cameras[i]))
        nearest = [place for place in np.argsort(distances[i], kind="stable") if counted[place]][:_SHOWN]
        answers = tuple(
            RankedCrop(
                folder / "reid" / "bounding_box_test" / gallery.images[place],
                bool(same[place]),
                f"c{gallery.cameras[place]} {distances[i, place]:.2f}",
            )
            for place in nearest
        )
        found = "query" if first_ranks is None else f"#{first_ranks[i]}"
        rows.append(RankedRow(folder / "reid" / "query" / query.images[i], answers, f"{found} c{query.cameras[i]}"))
    return rows


def pair_distances(
    ranking: Ranking, seed: int
) -> tuple[Float32[np.ndarray, " same"], Float32[np.ndarray, " different"]]:
    """Plain distances of same-person and of different-person pairs across cameras; a random sample of many pairs."""
    query, gallery = ranking.query, ranking.gallery
    other_camera = query.cameras[:, None] != gallery.cameras[None]
    same = (query.identities[:, None] == gallery.identities[None]) & (query.identities > 0)[:, None]
    rng = np.random.default_rng(seed)
    samples = []
    for chosen in (same & other_camera, ~same & other_camera):
        values = ranking.plain[chosen]
        if len(values) > _HISTOGRAM_PAIRS:
            values = rng.choice(values, _HISTOGRAM_PAIRS, replace=False)
        samples.append(values)
    return samples[0], samples[1]


def camera_names(folder: Path, numbers: Sequence[int]) -> list[str]:
    """Ids of cameras, numbered from 1 in re-ID file names; the number itself if the district has fewer cameras."""
    ids = [camera.id for camera in read_district(folder).cameras]
    return [ids[number - 1] if number <= len(ids) else str(number) for number in numbers]


if __name__ == "__main__":
    run_stage(main)

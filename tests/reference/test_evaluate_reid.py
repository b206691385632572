"""Both rankings of `evaluate_reid` against torchreid's on a gallery without junk."""

from pathlib import Path

import numpy as np
import pytest
from torchreid.reid.metrics.rank import evaluate_rank
from torchreid.reid.utils.rerank import re_ranking

from districts.layout import ReidTable, read_reid_folder
from domain.embeddings import unit_length
from evaluation.evaluate_reid import rank
from evaluation.retrieval import evaluate_retrieval
from evaluation.settings import EvaluationSettings
from export.engines import load
from export.import_weights import main as import_weights
from export.predict import predict_embeddings
from export.settings import ExportSettings


def table(identities: np.ndarray, rng: np.random.Generator) -> ReidTable:
    images = [f"{i}.jpg" for i in range(len(identities))]
    return ReidTable(images, identities, rng.integers(1, 7, len(identities)), np.full(len(identities), np.nan))


def require_equal_to_torchreid(
    query: ReidTable, gallery: ReidTable, of_query: np.ndarray, of_gallery: np.ndarray
) -> None:
    ranking = rank(Path("district"), query, gallery, of_query, of_gallery, EvaluationSettings.from_params("evaluation"))
    real = gallery.identities != -1
    of_gallery = of_gallery[real]
    plain = 1 - of_query @ of_gallery.T
    reranked = re_ranking(
        plain, 1 - of_query @ of_query.T, 1 - of_gallery @ of_gallery.T, k1=20, k2=6, lambda_value=0.3
    )
    people = query.identities, gallery.identities[real], query.cameras, gallery.cameras[real]
    for ours, theirs in ((ranking.plain, plain), (ranking.reranked, reranked)):
        scores = evaluate_retrieval(ours, *ranking.labels)
        cmc, mean_average_precision = evaluate_rank(theirs, *people, max_rank=20, use_cython=False)
        assert scores.mean_average_precision == pytest.approx(mean_average_precision, abs=1e-4)
        np.testing.assert_allclose([scores.rank(k) for k in range(1, 21)], cmc[:20], atol=1e-4)


def test_junk_takes_no_part_in_either_ranking() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(42, 32))  # two of them are junk and distractors
    query, gallery = table(rng.integers(1, 41, 60), rng), table(rng.integers(-1, 41, 600), rng)
    embeddings = [
        unit_length(centres[each.identities + 1] + 1.4 * rng.normal(size=(len(each.images), 32)))
        for each in (query, gallery)
    ]
    require_equal_to_torchreid(query, gallery, *embeddings)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_real_people_are_ranked_as_by_torchreid(real_data: Path, tmp_path: Path) -> None:
    weights = real_data / "weights" / "osnet_x0_25_msmt17.pth"
    import_weights(["task=reid", "backbone=osnet_x0_25", f"weights={weights}", f"out={tmp_path / 'engine'}"])
    engine, settings = load(tmp_path / "engine"), ExportSettings.from_params("export")
    (tmp_path / "reid").symlink_to(real_data / "market1501")
    query, gallery = read_reid_folder(tmp_path, "query"), read_reid_folder(tmp_path, "bounding_box_test")
    assert (gallery.identities == -1).any()
    embeddings = [
        predict_embeddings(engine, tmp_path, part, settings).embeddings for part in ("query", "bounding_box_test")
    ]
    require_equal_to_torchreid(query, gallery, *embeddings)

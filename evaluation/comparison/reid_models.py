"""Two re-ID models on the queries and the gallery of the district."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from districts.layout import ReidTable, read_attribute_split, read_district, read_reid_folder
from domain.embeddings import cosine_distances, unit_length
from domain.match_calibration import Calibration
from domain.schemas import schema_in
from evaluation.comparison.changes import Change, changes, part_changes
from evaluation.comparison.compared import Compared, Test
from evaluation.comparison.sides import Side
from evaluation.evaluate_reid import (
    FALSE_ALARM_RATES,
    SLICED,
    Ranking,
    query_slicings,
    rank,
    ranked_rows,
    read_embeddings,
    with_time,
)
from evaluation.intervals.bootstrap import Figures, Sample, Weights, ratios
from evaluation.intervals.of_retrieval import UNIT, retrieval_sample
from evaluation.open_set import Nearest, nearest_distances
from evaluation.past import digest_of
from evaluation.ranking_with_time import TimedRanking
from evaluation.reporting.crop_figures import plot_ranked_crops
from evaluation.reporting.parts import Picture
from evaluation.retrieval import RetrievalScores, evaluate_retrieval
from evaluation.slices import Slicing, by_label

_SHOWN = 6  # queries in each picture, each with the ranking of both models
_LEAST_CHANGE = 0.05  # of the average precision of a query that is shown


def compare_reid_models(challenger: Side, champion: Side, test: Test) -> Compared:
    """The changes of all figures of each ranking: plain, re-ranked and, where crops have times, with them.

    Raises:
        ArtifactError: if predictions are of other pictures than those of the district.
    """
    tables = read_reid_folder(test.data, "query"), read_reid_folder(test.data, "bounding_box_test")
    ours, theirs = (_Ranked.of(side, tables, test) for side in (challenger, champion))
    query, repeats = ours.ranking.query, test.settings.bootstrap_repeats
    figures: dict[str, Change] = {}
    for name in ours.scores:
        if name in theirs.scores:
            changed = changes(ours.sample(name), theirs.sample(name), repeats)
            figures |= {f"{name}/{figure}": each for figure, each in changed.items()}

    def samples(chosen: Bool[np.ndarray, " query"]) -> tuple[Sample, Sample]:
        return ours.sample("plain", chosen), theirs.sample("plain", chosen)

    calibrated, notes = _probabilities(ours, theirs, repeats)
    told_apart, unknown = _by_people(query, test)
    return Compared(
        challenger,
        champion,
        digest_of([*query.images, *ours.ranking.gallery.images], *ours.ranking.labels),
        UNIT,
        ours.sample("plain").num_units,
        figures | calibrated,
        part_changes(query_slicings(test.data, query), samples, SLICED, repeats),
        part_changes(told_apart, samples, SLICED, repeats),
        _pictures(ours, theirs, test),
        tuple(filter(None, (notes, unknown))),
    )


@dataclass(frozen=True)
class _Ranked:
    """The rankings of one model."""

    ranking: Ranking
    scores: dict[str, tuple[RetrievalScores, Nearest]]  # of each ranking
    embeddings: tuple[Float[np.ndarray, "query feature"], Float[np.ndarray, "gallery feature"]]
    calibration: Calibration | None

    @classmethod
    def of(cls, side: Side, tables: tuple[ReidTable, ReidTable], test: Test) -> "_Ranked":
        query, gallery = (
            read_embeddings(side.predictions / f"{part}.npz", table)
            for part, table in zip(("query", "gallery"), tables, strict=True)
        )
        ranking = rank(test.data, *tables, query, gallery, test.settings)
        distances = {"plain": ranking.plain, "reranked": ranking.reranked}
        if side.transits.is_dir():
            timed = with_time(ranking, side.transits, side.predictions, test.settings)
            if isinstance(timed, TimedRanking):
                distances |= {"with_time": timed.plain, "reranked_with_time": timed.reranked}
        scores = {
            name: (evaluate_retrieval(each, *ranking.labels), nearest_distances(each, *ranking.labels))
            for name, each in distances.items()
        }
        return cls(ranking, scores, (query, gallery[tables[1].identities >= 0]), side.calibration)

    def sample(self, name: str, chosen: Bool[np.ndarray, " query"] | None = None) -> Sample:
        """The sample of a ranking, of all or of chosen queries."""
        return retrieval_sample(*self.scores[name], self.ranking.query.identities, FALSE_ALARM_RATES, chosen)

    def brier_sample(self, calibration: Calibration) -> Sample:
        """Brier score of the match probability of a query and a visit to another camera, at the calibration's prior.

        A visit is the mean embedding of all crops of one person in one camera, as `export.match_calibration` takes it.
        """
        query, gallery = self.ranking.query, self.ranking.gallery
        known = gallery.identities > 0
        keys = np.stack([gallery.identities[known], gallery.cameras[known]], axis=1)
        visits, of_crop = np.unique(keys, axis=0, return_inverse=True)
        sums = np.zeros((len(visits), self.embeddings[1].shape[1]), np.float32)
        np.add.at(sums, of_crop.ravel(), self.embeddings[1][known])
        probabilities = calibration.probabilities(cosine_distances(self.embeddings[0], unit_length(sums)))
        apart = query.cameras[:, None] != visits[None, :, 1]
        same = (query.identities[:, None] == visits[None, :, 0]) & apart
        people, person = np.unique(query.identities, return_inverse=True)
        sums_of = {"same": (1 - probabilities) ** 2 * same, "different": probabilities**2 * (apart & ~same)}
        counts_of = {"same": same, "different": apart & ~same}
        above, below = (
            {name: np.bincount(person, each.sum(axis=1), minlength=len(people)) for name, each in of.items()}
            for of in (sums_of, counts_of)
        )
        means = ratios(above, {name: each.astype(np.float64) for name, each in below.items()})

        def figures(weights: Weights) -> Figures:
            of = means(weights)
            return {"match/brier": calibration.prior * of["same"] + (1 - calibration.prior) * of["different"]}

        return Sample(UNIT, len(people), len(people), figures)


def _probabilities(ours: _Ranked, theirs: _Ranked, repeats: int) -> tuple[dict[str, Change], str]:
    """The change of the Brier score of match probabilities, or why it is not compared."""
    if ours.calibration is None or theirs.calibration is None:
        return {}, "Match probabilities are not compared, for not both engines are here with a calibration."
    if ours.calibration.prior != theirs.calibration.prior:
        return {}, "Match probabilities are not compared, for they hold at different priors (export.match_prior)."
    samples = ours.brier_sample(ours.calibration), theirs.brier_sample(theirs.calibration)
    return changes(*samples, repeats), ""


def _by_people(query: ReidTable, test: Test) -> tuple[list[Slicing], str]:
    """The queries by what the attribute set says of their people, or why that is not known."""
    if not (test.data / "attributes" / "test.csv").is_file():
        return [], "No group of people is compared, for the district has no attributes that tell gender or age."
    schema = schema_in(test.data, read_district(test.data).attribute_schema)
    table = read_attribute_split(test.data, "test", schema)
    slicings = []
    for name in (group for group in test.groups if group in schema.group_names):
        column = table.labels[:, schema.group_names.index(name)]
        known = dict(zip(table.identities[column >= 0].tolist(), column[column >= 0].tolist(), strict=True))
        labels = np.array([known.get(identity, -1) for identity in query.identities.tolist()], np.int64)
        slicings.append(by_label(name, labels, schema.group(name).label_names))
    return slicings, ""


def _pictures(ours: _Ranked, theirs: _Ranked, test: Test) -> tuple[Picture, ...]:
    """The queries whose average precision changes most, one of each person, ranked by the champion and by ours."""
    sides = theirs, ours
    scores = [side.scores["plain"][0] for side in sides]
    gain = np.nan_to_num(scores[1].average_precisions - scores[0].average_precisions)
    identities, pictures = ours.ranking.query.identities, []
    for name, by in (("better", gain), ("worse", -gain)):
        order = np.argsort(-by, kind="stable")
        order = order[by[order] > _LEAST_CHANGE]
        chosen = order[np.sort(np.unique(identities[order], return_index=True)[1])][:_SHOWN]
        if len(chosen):
            both = [
                ranked_rows(side.ranking.plain, side.ranking, chosen, each.first_ranks)
                for side, each in zip(sides, scores, strict=True)
            ]
            file = test.plots / f"{name}.jpg"
            plot_ranked_crops([row for pair in zip(*both, strict=True) for row in pair], file)
            caption = (
                f"Queries that the challenger ranks {name}: of each query the champion's ranking, then the challenger's"
            )
            pictures.append(Picture(file, caption))
    return tuple(pictures)

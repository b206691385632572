"""The comparison as sections of a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.comparison.changes import Change, PartChange
from evaluation.comparison.compared import Compared
from evaluation.comparison.gate import Decision, GroupLoss
from evaluation.past import Run
from evaluation.reporting import rows
from evaluation.reporting.comparisons import signed
from evaluation.reporting.parts import Section, Table
from evaluation.reporting.rows import NOTHING, Row, percent

_MIB = 2**20
_SHOWN: Mapping[str, tuple[Row, ...]] = {
    "detector": rows.DETECTION,
    "attributes": (*rows.ATTRIBUTES[:-1], Row("brier", "Brier score, 0 is best")),
    "reid": (
        *(
            Row(f"{ranking}/{row.key}", f"{row.title}{title}")
            for ranking, title in rows.RANKINGS.items()
            for row in rows.REID
        ),
        Row("match/brier", "Brier score of match probabilities, 0 is best"),
    ),
}


def comparison_section(name: str, compared: Compared, decision: Decision, loss: GroupLoss | None) -> Section:
    """Decision, figures and pictures of one model."""
    shown = _SHOWN[compared.challenger.card.task]
    figures = [(row.title, *_cells(compared.figures[row.key])) for row in shown if row.key in compared.figures]
    tables = [
        Table(("", "challenger", "champion"), _facts(compared), "The models:"),
        Table(
            ("", "challenger", "champion", "change"), figures, f"All test data, {compared.num_units} {compared.unit}:"
        ),
        *(_groups_of_attributes(compared.figures)),
        *_part_tables(compared.parts),
        *_part_tables(compared.people),
    ]
    text = [f"**{decision.verdict.capitalize()}.** {decision.reason}", _said_of_people(loss), *compared.notes]
    return Section(name, "", True, " ".join(filter(None, text)), tuple(tables), compared.pictures)


def replay_section(challenger: Run | None, champion: Run | None) -> Section:
    """Search and routes on the recordings, by both deployments."""
    title = "On recorded video"
    if challenger is None or champion is None:
        which = " and ".join(name for name, run in (("challenger", challenger), ("champion", champion)) if run is None)
        said = (
            f"Not compared: no evaluation of the recordings is kept for the deployment of the {which}; run dvc repro."
        )
        return Section(title, "", True, said)
    table = []
    for row in (*rows.TRACKING_RUNS, *rows.TRACKING_PROBLEMS[1:5]):
        change = challenger.change_from(champion, row.key)
        if change is not None:
            values = (run.resampled.values[row.key] for run in (challenger, champion))
            table.append((row.title, *map(row.write, values), signed(change, row.write)))
    if not table:
        return Section(title, "", True, "Not compared: both deployments were evaluated on other recordings.")
    return Section(title, "", True, "", (Table(("", "challenger", "champion", "change"), table),))


def _facts(compared: Compared) -> list[tuple[str, ...]]:
    sides: Sequence[Mapping[str, Any]] = [side.facts() for side in (compared.challenger, compared.champion)]
    titles = {"version": "version", "trained_on": "trained on", "commit": "commit", "mlflow_run": "MLflow run"}
    facts: list[tuple[str, ...]] = [
        (title, *(str(side[key])[:32] or NOTHING for side in sides)) for key, title in titles.items()
    ]
    files = dict.fromkeys(file for side in sides for file in side["engines"])
    facts += [(file, *(_engine(side["engines"].get(file)) for side in sides)) for file in files]
    return [*facts, ("measured on", *(side["machine"] or NOTHING for side in sides))]


def _engine(engine: Mapping[str, Any] | None) -> str:
    if engine is None:
        return NOTHING
    speed = engine["ms_per_picture"]
    return f"{engine['bytes'] / _MIB:.1f} MiB, {f'{speed:.2f} ms a picture' if speed else 'speed not measured'}"


def _groups_of_attributes(figures: Mapping[str, Change]) -> tuple[Table, ...]:
    """Accuracy and F1 of each group of attributes."""
    names = [name.removeprefix("accuracy/") for name in figures if name.startswith("accuracy/")]
    cells = [
        (name, *(text for kind in ("accuracy", "f1") for text in _cells(figures.get(f"{kind}/{name}"))))
        for name in names
    ]
    columns = ("group", *(f"{kind}{end}" for kind in ("accuracy", "F1") for end in _SIDES))
    return (Table(columns, cells, "Each group of attributes:"),) if cells else ()


_SIDES = (" of the challenger", " of the champion", ", change")


def _part_tables(parts: Sequence[PartChange]) -> Iterable[Table]:
    for by in dict.fromkeys(part.by for part in parts):
        of = [part for part in parts if part.by == by]
        figures = list(dict.fromkeys(name for part in of for name in part.figures))
        cells = [
            (
                part.part,
                f"{part.num_items:,}",
                *(text for name in figures for text in _cells(part.figures.get(name))),
            )
            for part in of
        ]
        columns = (by, "pictures", *(f"{name}{end}" for name in figures for end in _SIDES))
        yield Table(columns, cells, f"By {by}:")


def _cells(change: Change | None) -> tuple[str, str, str]:
    if change is None:
        return NOTHING, NOTHING, NOTHING
    return percent(change.challenger), percent(change.champion), signed(change.change, percent)


def _said_of_people(loss: GroupLoss | None) -> str:
    if loss is None:
        return ""
    word = (
        "The largest loss of any kind of people"
        if loss.change.change.value < 0
        else "No kind of people loses; the least gain"
    )
    return f"{word}: {loss.by} {loss.part}, {loss.figure} {signed(loss.change.change, percent)}."

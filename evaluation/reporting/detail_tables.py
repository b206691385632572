"""Tables of what an evaluation left in its details: slices, thresholds, confusions, earlier runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.reporting.comparisons import Comparison, change_text, figure_of, run_title
from evaluation.reporting.parts import Table
from evaluation.reporting.rows import Row, decimal, percent

_MOST_CONFUSIONS = 15


def slice_tables(details: Mapping[str, Any], shown: Sequence[Row]) -> tuple[Table, ...]:
    """A table for each slicing, with the figures `shown`; a slicing without parts is its note alone."""
    tables = []
    for slicing in details.get("slices", ()):
        items = slicing.get("items", "pictures")
        parts = slicing["parts"]
        known = [row for row in shown if any(row.key in part for part in parts.values())]
        rows = [(name, f"{part['num_items']:,}", *(row.of(part) for row in known)) for name, part in parts.items()]
        columns = (slicing["by"], items, *(row.title for row in known))
        tables.append(Table(columns if rows else (), rows, f"By {slicing['by']}:", slicing["note"]))
    return tuple(tables)


def earlier_runs_tables(comparison: Comparison, shown: Sequence[Row], note: str = "") -> tuple[Table, ...]:
    """The last and the best earlier run beside ours, with paired differences; no table without earlier runs."""
    last, best = comparison.last, comparison.best
    runs = [("last", last)] if last is not None else []
    if best is not None and best is not last:
        runs.append(("best", best))
    if not runs:
        return ()
    columns = ["", *(f"{name} run" for name, _ in runs), "this run", *(f"change from the {name}" for name, _ in runs)]
    rows = [
        (
            row.title,
            *(figure_of(run, row.key, row.write) for _, run in runs),
            figure_of(comparison.ours, row.key, row.write),
            *(change_text(comparison, run, row.key, row.write) for _, run in runs),
        )
        for row in shown
        if any(run is not None and row.key in run.resampled.values for run in (comparison.ours, last, best))
    ]
    titles = [f"{name} run: {run_title(run)}." for name, run in runs if run is not None]
    if last is not None and best is last:
        titles.append("It is also the best earlier one.")
    if best is None:
        titles.append("No earlier run was scored on the same test data.")
    paired = "Changes are paired over the same test data; * marks one whose 95 % interval holds no 0."
    return (
        Table(tuple(columns), rows, "Beside earlier runs on this district:", " ".join([*titles, paired, note]).strip()),
    )


def score_table(details: Mapping[str, Any]) -> tuple[Table, ...]:
    """What other score thresholds of the detector would give."""
    rows = details.get("thresholds", ())
    cells = [
        (
            each["name"],
            decimal(each["threshold"], 2),
            percent(each["recall"]),
            percent(each.get("precision")),
            percent(each["f1"]),
            decimal(each["wrong_per_picture"], 2),
        )
        for each in rows
    ]
    columns = ("score threshold", "score", "recall", "precision", "F1", "wrong boxes a picture")
    return (Table(columns, cells, "What other score thresholds would give:", _score_advice(rows)),) if rows else ()


def _score_advice(rows: Sequence[Mapping[str, Any]]) -> str:
    named = {each["name"]: each for each in rows}
    used, best = named.get("in use"), named["best F1"]
    hint = "Thresholds of this table are read off the test pictures: take them as a hint, and fix one on others."
    if used is None:
        return f"The detector's card names no score threshold. {hint}"
    gain = 100 * (best["f1"] - used["f1"])
    if gain < 0.5:
        return f"The threshold in use, {used['threshold']:.2f}, is within half a point of the best F1. {hint}"
    return (
        f"The threshold in use, {used['threshold']:.2f}, finds {100 * used['recall']:.1f} % of the people; at "
        f"{best['threshold']:.2f} it would be {100 * best['recall']:.1f} %, with {best['wrong_per_picture']:.2f} wrong "
        f"boxes a picture instead of {used['wrong_per_picture']:.2f}, and {gain:+.1f} points of F1. {hint}"
    )


def answers_table(details: Mapping[str, Any], title: str, note: str, given: str, right: str) -> tuple[Table, ...]:
    """What a least probability of answers would give."""
    rows = [
        (
            f"{100 * each['threshold']:.0f} %",
            f"{each['num_given']:,}",
            *map(percent, (each["given"], each["right"], each["kept"])),
        )
        for each in details.get("thresholds", ())
    ]
    columns = ("least probability", given, "share given", right, "correct ones kept")
    return (Table(columns, rows, title, note),) if rows else ()


def distance_table(details: Mapping[str, Any], name: str) -> tuple[Table, ...]:
    """What other match distances of a re-ID model would let pass."""
    rows = [
        (each["name"], decimal(each["threshold"], 3), percent(each["same"]), f"{100 * each['different']:.2f}")
        for each in details.get("thresholds", ())
    ]
    columns = ("match distance", "1 - cosine", "pairs of one person nearer", "pairs of two people nearer")
    note = "Of pairs across cameras, without re-ranking. Tracking takes the distance in use to tell people apart."
    return (Table(columns, rows, f"{name}, what other match distances would give:", note),) if rows else ()


def confusion_tables(details: Mapping[str, Any]) -> tuple[Table, ...]:
    """Which labels are taken for which, and how often each is missed and invented."""
    confused = [
        (
            each["group"],
            each["true"],
            each["answered"],
            f"{each['num']:,} of {each['of']:,}",
            percent(each["num"] / each["of"]),
        )
        for each in details.get("confusions", ())[:_MOST_CONFUSIONS]
    ]
    labels = [
        (name, f"{each['num_images']:,}", *(row.of(each) for row in (Row("missed", ""), Row("invented", ""))))
        for name, each in details.get("labels", {}).items()
    ]
    tables = []
    if confused:
        columns = ("group", "true", "taken for", "crops", "percent of the true ones")
        tables.append(Table(columns, confused, "The most frequent confusions:"))
    if labels:
        note = (
            "Missed: share of the crops with this label that are given another (false negatives). Invented: share of "
            "the crops without it that are given it (false positives)."
        )
        tables.append(Table(("label", "crops with it", "missed", "invented"), labels, "Each label:", note))
    return tuple(tables)

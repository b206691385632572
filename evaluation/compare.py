"""Compares new models with those in use: `python -m evaluation.compare CHALLENGER [CHAMPION] [key=value …]`.

Each is an alias of the registry (challenger, champion, previous), the predictions of a model on the test data, such as
predictions/demo/reid-osnet, or a folder with those of several models; CHAMPION is the registry's champion by default.
The page and its figures go to comparisons/<district>/<name of CHALLENGER>/, and a registered challenger keeps both.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.model_card import Task, version_of_deployment
from domain.paths import COMPARISONS, DATA, configured_district
from domain.registered import CHANGE
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.comparison.attribute_models import compare_attribute_models
from evaluation.comparison.compared import Compared, Test
from evaluation.comparison.detectors import compare_detectors
from evaluation.comparison.gate import Decision, Gate, decide, in_words, largest_group_loss, slowdowns
from evaluation.comparison.page import comparison_section, replay_section
from evaluation.comparison.reid_models import compare_reid_models
from evaluation.comparison.sides import ALIASES, PREDICTIONS_PART, Alias, Side, opponent, sides_in
from evaluation.experiments.provenance import Provenance
from evaluation.past import Run, read_runs
from evaluation.reporting.document import district_facts, write_report
from evaluation.settings import EvaluationSettings
from evaluation.transit.files import read_transits

NAME = "compare"  # of the page and the figures
_BY_TASK = {"detector": compare_detectors, "attributes": compare_attribute_models, "reid": compare_reid_models}


def main(argv: Sequence[str] = ()) -> None:
    """Compare, write the page, and print the decision on each model.

    Raises:
        InputError: if a folder holds no predictions, or no challenger has a champion.
        ArtifactError: if predictions are of other pictures than those of the district.
    """
    given = _arguments(argv)
    params, district = read_params(given.overrides), configured_district(given.overrides)
    gate = Gate.from_params("compare", given.overrides)
    settings = EvaluationSettings.from_params("evaluation", given.overrides)
    target = COMPARISONS.of(district) / Path(given.challenger).name
    with ExitStack() as opened, atomic_folder(target) as out:
        challengers, champions = (_sides(opened, folder, district) for folder in (given.challenger, given.champion))
        plots = Path(opened.enter_context(TemporaryDirectory()))
        results = {}
        for name, challenger in challengers.items():
            if (champion := opponent(challenger, champions)) is None:
                print(f"{name}: no champion, not compared")
                continue
            (plots / name).mkdir()
            test = Test(district, DATA.of(district), gate.groups, settings, plots / name)
            compared = _BY_TASK[challenger.card.task](challenger, champion, test)
            results[name] = compared, decide(compared, gate)
            print(f"{name}: {results[name][1].verdict}. {results[name][1].reason}")
        if not results:
            wanted, got = (", ".join(sides) or "nothing" for sides in (challengers, champions))
            raise InputError(f"{given.champion} must hold a champion for {wanted}, got {got}")
        runs = _replays(district, challengers, champions)
        losses = {name: largest_group_loss(each.people, gate.min_group_units) for name, (each, _) in results.items()}
        sections = [comparison_section(name, *result, losses[name]) for name, result in results.items()]
        facts = district_facts(params, DATA.of(district)) | {"title": f"challenger and champion on {district}"}
        write_report([*sections, replay_section(*runs)], facts, out, NAME)
        figures = _plain(district, results, runs, gate)
        (out / f"{NAME}.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if given.challenger in ALIASES:
            _keep(district, given.challenger, results, out)
    print(target / f"{NAME}.html")


def _sides(opened: ExitStack, given: str, district: str) -> dict[str, Side]:
    """The models that an argument names, by name."""
    if given not in ALIASES:
        return sides_in(Path(given), district)
    from evaluation.experiments.connection import connect  # here, as the import of MLflow takes seconds
    from evaluation.experiments.registry import aliased, answering

    with answering():
        connect()
        found = aliased(district, given)
        if not found:
            raise InputError(
                f"{district} must have a registered {given}, it has none; python -m evaluation.register, then "
                "evaluation.promote, which needs no comparison for the first"
            )
        folders = [opened.enter_context(version.files()) for version in found.values()]
    sides: dict[str, Side] = {}
    for folder in folders:
        if (folder / PREDICTIONS_PART).is_dir():
            sides |= sides_in(folder, district)
        else:
            print(f"{folder.name}: the {given} has no predictions on test data, not compared")
    return sides


def _keep(district: str, alias: Alias, results: Mapping[str, tuple[Compared, Decision]], out: Path) -> None:
    """Let each registered challenger say what came out."""
    from evaluation.experiments.registry import add_files, add_tags, aliased, answering

    with answering():
        for task, version in aliased(district, alias).items():
            for compared, decision in results.values():
                if compared.challenger.card.task == task:
                    main = {f"{CHANGE}{name}": in_words(name, each) for name, each in compared.figures.items()}
                    said = {"verdict": decision.verdict, "verdict_reason": decision.reason}
                    said |= {"compared_with": compared.champion.card.version}
                    add_tags(version, said | {name: main[name] for name in list(main)[:3]})
            add_files(version, out, NAME)


def _replays(
    district: str, challengers: Mapping[str, Side], champions: Mapping[str, Side]
) -> tuple[Run | None, Run | None]:
    """The last evaluation of the recordings by each deployment; the challenger's keeps what it does not replace."""
    in_use = {side.card.task: side for side in champions.values()}
    replaced = in_use | {side.card.task: side for side in challengers.values()}
    runs = {run.origin["model_version"]: run for run in read_runs(district, "tracking")}
    challenger, champion = (runs.get(_deployment(each)) for each in (replaced, in_use))
    return challenger, champion


def _deployment(sides: Mapping[Task, Side]) -> str:
    """The version of these models together, by task, with the transit times of the re-ID model."""
    folder = sides["reid"].transits if "reid" in sides else None
    transits = read_transits(folder)[1].version if folder is not None and folder.is_dir() else ""
    return version_of_deployment((side.card for side in sides.values()), transits)


def _plain(
    district: str,
    results: Mapping[str, tuple[Compared, Decision]],
    runs: tuple[Run | None, Run | None],
    gate: Gate,
) -> dict[str, Any]:
    """All figures as plain values."""
    provenance, (challenger, champion) = Provenance.of(DATA.of(district)), runs
    replayed = {}
    if challenger is not None and champion is not None:
        changed = {name: challenger.change_from(champion, name) for name in challenger.resampled.values}
        replayed = {name: vars(each) for name, each in changed.items() if each is not None and each.value == each.value}
    return {
        "district": district,
        "data_hash": provenance.data_hash,
        "commit": provenance.git_revision,
        "models": {name: _plain_model(*result, gate) for name, result in results.items()},
        "recordings": replayed,
    }


def _plain_model(compared: Compared, decision: Decision, gate: Gate) -> dict[str, Any]:
    loss = largest_group_loss(compared.people, gate.min_group_units)
    return {
        "task": compared.challenger.card.task,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "challenger": compared.challenger.facts(),
        "champion": compared.champion.facts(),
        "test": compared.test,
        "unit": compared.unit,
        "num_units": compared.num_units,
        "figures": {name: each.plain() for name, each in compared.figures.items()},
        "parts": [each.plain() for each in compared.parts],
        "people": [each.plain() for each in compared.people],
        "largest_group_loss": None
        if loss is None
        else {"by": loss.by, "part": loss.part, "figure": loss.figure} | loss.change.plain(),
        "times_as_slow": slowdowns(compared),
        "notes": compared.notes,
    }


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evaluation.compare", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("challenger", help="challenger, or predictions of a new model, or a folder of several")
    parser.add_argument("champion", nargs="?", default="champion", help="the same of the models in use")
    parser.add_argument("overrides", nargs="*", help="settings, such as compare.visible=0.1")
    given = parser.parse_args(argv)
    if "=" in given.champion:
        given.champion, given.overrides = "champion", [given.champion, *given.overrides]
    return given


if __name__ == "__main__":
    run_stage(main)

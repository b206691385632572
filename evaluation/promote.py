"""Decides which registered models are in use: promotes challengers, or returns to the previous champions.

    python -m evaluation.promote --by NAME --reason TEXT [--task reid] [--override TEXT] [key=value …]
    python -m evaluation.promote rollback --by NAME --reason TEXT [--task reid] [key=value …]

A challenger is promoted if the gate of `evaluation.compare` said so, or if --override says why nevertheless: that stays
visible at the version. The first champion of a task needs no comparison. The champions' engines are then written to
champions/<district>, from which `serving.package --from` makes the Bento.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from domain.errors import InputError
from domain.model_card import Task
from domain.paths import CHAMPIONS, configured_district
from domain.stage import run_stage
from evaluation.experiments.champions import write_champions
from evaluation.experiments.connection import connect
from evaluation.experiments.registry import TASKS, Registered, add_tags, aliased, answering, drop_alias, move_alias


def main(argv: Sequence[str] = ()) -> None:
    """Move the aliases, and write the engines that are now in use.

    Raises:
        InputError: if person or reason is missing, there is nothing to promote or to return to, or the gate refuses.
        AwayError: if the registry does not answer.
    """
    given = _arguments(argv)
    for name in ("by", "reason"):
        if not getattr(given, name).strip():
            raise InputError(f"--{name} must say {'who decides' if name == 'by' else 'why'}, got nothing")
    district = configured_district(given.overrides)
    with answering():
        connect()
        move = _roll_back if given.action == "rollback" else _promote
        for line in move(district, given):
            print(line)
        write_champions(district, aliased(district, "champion"), aliased(district, "previous"))
    print(f"{CHAMPIONS.of(district)}: python -m serving.package --from {CHAMPIONS.of(district)}")


def _promote(district: str, given: argparse.Namespace) -> list[str]:
    champions = aliased(district, "champion")
    challengers = _of_task(aliased(district, "challenger"), given.task)
    if not challengers:
        raise InputError(f"{district} must have a registered challenger, it has none; python -m evaluation.register")
    refused = {}
    for task, version in challengers.items():
        if (why := _refusal(version, champions.get(task))) is not None:
            refused[version.title] = why
    if refused and not given.override:
        said = "; ".join(f"{title}: {why}" for title, why in refused.items())
        raise InputError(f"{said.rstrip('.')}. Choose others by --task, or say why nevertheless by --override")
    lines = []
    for task, version in challengers.items():
        champion = champions.get(task)
        tags = {"promoted_by": given.by, "promoted_because": given.reason, "promoted_at": _now()}
        if version.title in refused:
            tags |= {"gate": f"refused: {refused[version.title]}", "override": given.override}
        else:
            tags |= {"gate": "passed" if champion else "first champion"}
        if champion is not None and champion.number != version.number:
            move_alias(champion, "previous")
        add_tags(version, tags)
        move_alias(version, "champion")
        drop_alias(version.model, "challenger")
        lines.append(f"{version.title} ({version.tags['model_version']}) is the champion")
    return lines


def _roll_back(district: str, given: argparse.Namespace) -> list[str]:
    champions = aliased(district, "champion")
    previous = _of_task(aliased(district, "previous"), given.task)
    if not previous:
        raise InputError(f"{district} must have a previous champion, it has none; there is nothing to return to")
    lines = []
    for task, version in previous.items():
        left = champions[task]
        add_tags(left, {"rolled_back_by": given.by, "rolled_back_because": given.reason, "rolled_back_at": _now()})
        move_alias(version, "champion")
        move_alias(left, "previous")
        lines.append(f"{version.title} ({version.tags['model_version']}) is the champion again, not {left.title}")
    return lines


def _refusal(version: Registered, champion: Registered | None) -> str | None:
    """Why the gate does not let a challenger pass; None if it does, or has nothing to say of the first champion."""
    if champion is None or champion.number == version.number:
        return None
    verdict, compared = version.tags.get("verdict"), version.tags.get("compared_with")
    if verdict is None:
        return "it was not compared, python -m evaluation.compare challenger"
    if compared != champion.tags["model_version"]:
        return f"it was compared with {compared}, the champion is {champion.tags['model_version']}; compare it again"
    return None if verdict == "promote" else f"the gate says {verdict}: {version.tags['verdict_reason']}"


def _of_task(found: Mapping[Task, Registered], task: str | None) -> dict[Task, Registered]:
    return {each: version for each, version in found.items() if task in (None, each)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evaluation.promote", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("given", nargs="*", help="rollback, and settings such as district.name=gate")
    parser.add_argument("--by", required=True, help="name of the person who decides")
    parser.add_argument("--reason", required=True, help="why")
    parser.add_argument("--task", choices=TASKS, help="only the model for this task")
    parser.add_argument("--override", default="", help="why a challenger is promoted that the gate refuses")
    given = parser.parse_intermixed_args(argv)
    given.action = "rollback" if "rollback" in given.given else "promote"
    given.overrides = [each for each in given.given if each not in ("rollback", "promote")]
    return given


if __name__ == "__main__":
    run_stage(main)

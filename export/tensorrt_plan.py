"""`python -m export.tensorrt_plan folder=engines/demo/detector` rebuilds the plan on the machine that will run it."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from domain.settings import Settings
from domain.stage import run_stage
from export.engines.plan_building import PLAN, Builder, PlanPrecision, rebuild_plan


class RebuildArguments(Settings):
    """Arguments of the command; see `rebuild_plan`."""

    folder: Path
    builder: Builder | None = None
    precision: PlanPrecision | None = None
    compute_capabilities: tuple[str, ...] | None = Field(default=None, min_length=1)


def main(argv: Sequence[str] = ()) -> None:
    """Rebuild the plan of an engine folder from its ONNX and enter it in the card."""
    arguments = RebuildArguments.from_arguments(argv)
    card = rebuild_plan(
        arguments.folder,
        builder=arguments.builder,
        precision=arguments.precision,
        capabilities=arguments.compute_capabilities,
    )
    entry = next(entry for entry in card.engines if entry.file == PLAN)
    built_for = ", ".join(entry.compute_capabilities)
    print(f"{arguments.folder / PLAN}: {entry.runtime} {entry.runtime_version}, {entry.precision}, for {built_for}")


if __name__ == "__main__":
    run_stage(main)

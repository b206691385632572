"""The results at a glance, on the terminal: `python -m evaluation.show_results`."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.paths import METRICS, REPORTS, configured_district
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.experiments.results import read_all_metrics
from evaluation.reporting.sections import glance


def main(argv: Sequence[str] = ()) -> None:
    """Print the main metrics, and where to look next."""
    district = configured_district(argv)
    print_results(
        district, read_all_metrics(METRICS.of(district)), synthetic=read_params(argv)["district"]["importer"] == "demo"
    )


def print_results(district: str, metrics: Mapping[str, Mapping[str, Any]], *, synthetic: bool) -> None:
    """Print the study's figures beside ours, `metrics` of `district`, then where to look next."""
    print(terminal_table(glance(metrics)))
    if synthetic:
        print(
            "The district is synthetic: these figures show that the pipeline works, not its accuracy on real streets."
        )
    print(f"\nReport:      {REPORTS.of(district) / 'report.html'}")
    print("Experiments: make mlflow, then http://127.0.0.1:5000")
    print("Service:     make serve, then http://127.0.0.1:3000; sign in with the token that it prints")


def terminal_table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Aligned columns: name, the study's figure, ours, in percent.

    Example:
        >>> print(terminal_table([("AP50", "90.1", "88.0")]))
        percent   study    ours
        AP50       90.1    88.0
    """
    width = max(len(name) for name, _, _ in [*rows, ("percent", "", "")])
    lines = [f"{'percent':{width}} {'study':>7} {'ours':>7}"]
    lines += [f"{name:{width}} {study:>7} {ours:>7}" for name, study, ours in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    run_stage(main)

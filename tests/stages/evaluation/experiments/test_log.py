"""The experiment log of a new folder."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.project import ROOT

BEGIN = """
import sys
from pathlib import Path
import mlflow
from evaluation.experiments.connection import MlflowSettings, connect
print("here", flush=True)
sys.stdin.readline()
connect(MlflowSettings())
mlflow.create_experiment(sys.argv[1])
"""


def test_trainings_that_begin_together_make_one_log(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(number)],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]  # fmt: skip
    for each in begun:
        assert each.stdout is not None
        assert each.stdout.readline() == "here\n"
    for each in begun:
        assert each.stdin is not None
        each.stdin.write("\n")
    for each in begun:
        _, complaints = each.communicate(timeout=300)
        assert each.returncode == 0, complaints

"""Origin of a model or a result: the commit of the code, what the working tree has beside it, and the data's hash."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from domain.settings import PARAMS

UNKNOWN_REVISION = "unknown"
# DVC rewrites both for each experiment; the run keeps the settings and the data's hash, so they are no change of code.
_NOT_CODE = (f":(exclude){PARAMS}", ":(exclude)dvc.lock")


@dataclass(frozen=True)
class Provenance:
    """Origin of a model, for its card and its run."""

    git_revision: str  # ends with "-dirty" if tracked code was changed; "unknown" without git
    data_hash: str  # DVC's hash of the district's folder; empty outside a pipeline
    changes: str = ""  # of tracked code since the commit, as a patch
    settings: str = ""  # text of params.yaml
    dvc_experiment: str = ""

    @classmethod
    def of(cls, dataset_folder: Path) -> "Provenance":
        """The state of the working tree, and the hash of `dataset_folder` in `dvc.lock`."""
        revision, changes = _git_state()
        settings = PARAMS.read_text(encoding="utf-8") if PARAMS.is_file() else ""
        return cls(revision, _dvc_hash(dataset_folder), changes, settings, os.environ.get("DVC_EXP_NAME", ""))

    @property
    def config(self) -> str:
        """Name of the experiment's configuration, such as `demo`."""
        params = yaml.safe_load(self.settings) or {}
        return str(params.get("experiment_name", ""))

    def digest(self, district: str) -> str:
        """An id of the pipeline that these make: the stages of one `dvc repro` have the same."""
        parts = (district, self.git_revision, self.data_hash, self.changes, self.settings, self.dvc_experiment)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _git_state() -> tuple[str, str]:
    try:
        commit, changes = _git("rev-parse", "HEAD"), _git("diff", "HEAD", "--", ".", *_NOT_CODE)
    except OSError as error:
        print(f"note: the model's card names no git revision: git cannot be run ({error.strerror})")
    except subprocess.CalledProcessError as error:
        said = next(iter(error.stderr.splitlines()), "git failed")
        print(f"note: the model's card names no git revision: {said}")
    else:
        return commit.strip() + ("-dirty" if changes else ""), changes
    return UNKNOWN_REVISION, ""


def _git(*arguments: str) -> str:
    ended = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace", check=True)
    return ended.stdout


def _dvc_hash(folder: Path) -> str:
    """The hash in `dvc.lock` of `folder` or of the output that contains it."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text()).get("stages", {}) if lock.is_file() else {}
    outs = {out["path"]: out.get("md5", "") for stage in stages.values() for out in stage.get("outs", ())}
    return next((outs[str(path)] for path in (folder, *folder.parents) if str(path) in outs), "")

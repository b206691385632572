"""A retrained model gets from training to the city and back by the commands of the manual, copied as they stand."""

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.model_card import read_card
from domain.paths import PREVIOUS
from serving.database import tables
from serving.database.store import open_store
from tests.end_to_end.conftest import environment, succeed, wait_until
from tests.helpers.project import ROOT

MANUAL = (ROOT / "docs/from-retraining-to-live.md").read_text(encoding="utf-8")
# The training of the pipeline, which the fixture has run; and an address of CI.
NOT_HERE = ("dvc repro", "python -c")
BENTO = Path("bento/demo/src")


class Manual:
    """The commands of the manual in a project; `rest` are those that nobody has followed yet."""

    def __init__(self, project: Path) -> None:
        blocks = re.findall(r"```\n(.*?)```", MANUAL, re.DOTALL)
        lines = [
            line.partition(" # ")[0].strip() for block in blocks for line in block.replace("\\\n", "").splitlines()
        ]
        self.rest = [line for line in lines if line]
        self._project = project

    def follow(self, begin: str, folder: Path = Path(), **instead: str) -> str:
        """Run the first command that begins so and was not followed yet, with these words in place of its own."""
        command = self.taken(begin)
        for word, other in instead.items():
            command = command.replace(
                {"version": "osnet_x0_25-3f9a0c5d1e22", "sighting": "suseong 2000041"}[word], other
            )
        words = shlex.split(command.replace("--by …", "--by Kim").replace("--reason …", "--reason better"))
        return succeed(self._project / folder, *words)

    def taken(self, begin: str) -> str:
        """The first command that begins so and was not followed yet."""
        command = next(line for line in self.rest if line.startswith(begin))
        self.rest.remove(command)
        return command


@pytest.fixture
def project(smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished pipeline, and a store of the city beside it."""
    folder = tmp_path / "dongseon"
    shutil.copytree(smoke, folder, symlinks=True, ignore=shutil.ignore_patterns("store", ".dvc", "bento"))
    monkeypatch.setenv("DONGSEON_STORE", str(tmp_path / "city"))
    return folder


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_a_retrained_model_goes_live_and_back(project: Path) -> None:
    manual = Manual(project)
    manual.follow("python -m evaluation.register")
    manual.follow("python -m evaluation.promote --by")  # the first
    succeed(project, "python", "-m", "serving.package", "--from", "champions/demo")
    first = read_card(project / BENTO / "engines/demo/reid-osnet").version
    for arguments in (
        ["serving.ingest", str(project / "data/demo"), "--district", "demo"],
        ["serving.worker", "--until-empty"],
    ):
        succeed(project / BENTO, "python", "-m", *arguments)

    for command in ("training.reid.train reid.max_epochs=2", "export.export", "export.predict"):
        which = "reid.backbone=osnet" if command.startswith("training") else "export.model=reid-osnet"
        succeed(project, "python", "-m", *command.split(), which)
    succeed(project, "python", "-m", "evaluation.register", "reid-osnet")
    manual.follow("python -m evaluation.compare challenger")
    manual.follow("python -m export.predict_again champions/demo/reid-osnet")
    manual.follow("python -m evaluation.compare challenger champion/reid-osnet")
    # So few people are not enough for the gate, which refuses what the first of these says.
    with pytest.raises(AssertionError, match="the gate says not enough data"):
        manual.follow("python -m evaluation.promote --by … --reason … --task reid")
    said = manual.follow("python -m evaluation.promote --by … --reason … --override")
    assert "demo-reid version 2" in said
    manual.follow("python -m serving.package --from champions/demo")
    newest = read_card(project / BENTO / "engines/demo/reid-osnet").version
    assert newest != first == read_card(project / BENTO / "engines/demo" / PREVIOUS / "reid-osnet").version

    counted = f"sightings have an embedding by {newest}"
    assert counted in follow_until_told(manual.taken("python -m serving.reembed --follow"), project / BENTO, counted)
    said = manual.follow("python -m serving.reembed --rate 20", BENTO)
    number = int(re.findall(rf"of (\d+) {counted}", said)[-1])
    assert number > 5
    assert f"{number} of {number} {counted}" in manual.follow("python -m serving.reembed", BENTO)
    told = manual.follow("python -m serving.rollout", BENTO)
    assert f"{newest}: {number} of {number} sightings have an embedding" in told
    assert f"{first}: {number} of {number} sightings have an embedding" in told
    assert f"in use: {first}, since " in manual.follow("python -m serving.rollout use", BENTO, version=first)
    with open_store(project.parent / "city") as store, store.begin() as connection:
        sighting = connection.execute(sa.select(sa.func.min(tables.tracklets.c.id))).scalar_one()
    trail = manual.follow("python -m serving.trail", BENTO, sighting=f"demo {sighting}")
    assert "registered as demo-reid 1\n" in trail
    assert "registered as demo-reid 2\n" in trail
    said = manual.follow("python -m evaluation.promote rollback")
    assert "demo-reid version 1" in said
    assert read_card(project / "champions/demo/reid-osnet").version == first
    assert [line for line in manual.rest if not line.startswith(NOT_HERE)] == []


def follow_until_told(command: str, folder: Path, line: str) -> str:
    """What a command says that goes on until its user ends it, here once it has said this."""
    log = folder / "follow.log"
    with (
        log.open("w") as output,
        subprocess.Popen(shlex.split(command), cwd=folder, env=environment(), stdout=output, stderr=output) as process,
    ):
        wait_until(lambda: line in log.read_text(), 120, log.read_text)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0, log.read_text()
    return log.read_text()

import os
import subprocess
import sys

import pytest

from domain.privacy import TELEMETRY_OFF

ASK_THE_PACKAGE = {
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled as is_off; assert is_off()",
    "bentoml": "from bentoml._internal.utils.analytics.usage_stats import do_not_track as is_off; assert is_off()",
    "dvc": "from dvc.analytics import is_enabled; assert not is_enabled()",
    "ultralytics": "from ultralytics.utils.events import Events; assert not Events().enabled",
}


@pytest.mark.parametrize("package", ASK_THE_PACKAGE)
def test_the_package_itself_says_that_telemetry_is_off(package: str, tmp_path: object) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in TELEMETRY_OFF}
    environment["YOLO_CONFIG_DIR"] = str(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", f"import domain; {ASK_THE_PACKAGE[package]}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_what_a_person_set_on_purpose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from domain.privacy import switch_telemetry_off

    monkeypatch.setenv("DO_NOT_TRACK", "false")
    switch_telemetry_off()
    assert os.environ["DO_NOT_TRACK"] == "false"

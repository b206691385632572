import json
import shutil
import subprocess

import pytest

from tests.helpers.project import ROOT

ZONES = ROOT / "serving" / "web" / "page" / "zones.js"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node runs the page's script outside of a browser; it is not installed")
    return found


def test_a_window_over_an_hour_that_clocks_show_twice_or_never_leaves_nothing_out(node: str) -> None:
    asked = [
        ("Asia/Seoul", "2026-05-01T09:00", "2026-05-01T00:00:00", "2026-05-01T00:00:00"),
        ("Asia/Seoul", "2026-05-01T09:00:30", "2026-05-01T00:00:30", "2026-05-01T00:00:30"),
        ("Europe/Berlin", "2025-10-26T01:30", "2025-10-25T23:30:00", "2025-10-25T23:30:00"),
        ("Europe/Berlin", "2025-10-26T02:30", "2025-10-26T00:30:00", "2025-10-26T01:30:00"),
        ("Europe/Berlin", "2025-10-26T03:30", "2025-10-26T02:30:00", "2025-10-26T02:30:00"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T00:30:00", "2026-03-29T01:30:00"),
        ("America/New_York", "2025-11-02T01:00", "2025-11-02T05:00:00", "2025-11-02T06:00:00"),
    ]
    calls = ", ".join(
        f"[momentIn({json.dumps(zone)}, {json.dumps(local)}), momentIn({json.dumps(zone)}, {json.dumps(local)}, true)]"
        for zone, local, *_ in asked
    )
    script = f"import {{ momentIn }} from {json.dumps(ZONES.as_uri())}; console.log(JSON.stringify([{calls}]));"
    run = subprocess.run(
        [node, "--input-type=module", "--eval", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(run.stdout) == [[f"{begin}.000Z", f"{end}.000Z"] for *_, begin, end in asked]

"""What is freed while training stays with the process."""

import subprocess
import sys

import pytest

_STEPS = """
import resource, sys
import torch
from training.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 2**20).mul(2).sum()  # 256 MB, twice
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
step()
print(min(step() for _ in range(3)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted, and kept, on Linux")
def test_a_later_step_takes_no_new_pages_from_the_system() -> None:
    taken = {}
    for how in ("kept", "handed back"):
        ran = subprocess.run([sys.executable, "-c", _STEPS, how], check=True, capture_output=True, text=True)
        taken[how] = int(ran.stdout)
    assert taken["kept"] < 100 < taken["handed back"], taken

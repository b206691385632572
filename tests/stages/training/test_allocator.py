"""What is freed while training stays with the process."""

import subprocess
import sys

import pytest

_STEPS = 30
_TRAINING = f"""
import resource, sys
import torch
from training.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({_STEPS}):
    torch.ones(16, 2**20).mul(2).sum()  # 64 MB, twice
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted, and kept, on Linux")
def test_only_the_first_steps_take_new_pages_from_the_system() -> None:
    """How many those are depends on where the heap's small blocks lie: seen 1.5 to 4 of 30."""
    pages_of_a_step = 2 * 64 * 2**20 // 4096
    taken = {}
    for how in ("kept", "handed back"):
        ran = subprocess.run([sys.executable, "-c", _TRAINING, how], check=True, capture_output=True, text=True)
        taken[how] = int(ran.stdout) / pages_of_a_step
    assert taken["handed back"] > 0.9 * _STEPS, taken
    assert taken["kept"] < 0.4 * _STEPS, taken

"""`auto` takes bfloat16 where the device computes it, and another choice stays."""

from pathlib import Path
from typing import Any

import pytest
import torch

from training.crops.precision import with_precision_chosen
from training.settings import HardwareSettings


def hardware(**changed: Any) -> HardwareSettings:
    plain = {"accelerator": "cpu", "devices": 1, "num_workers": 0, "precision": "auto", "accumulate_batches": 1}
    return HardwareSettings.model_validate(plain | {"cache_in_memory_mib": 0} | changed)


@pytest.mark.parametrize(
    ("able", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": False}, "32"),
        ({"architecture": "aarch64"}, "32"),  # names other capabilities
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    able: dict[str, Any], precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert with_precision_chosen(hardware()).precision == precision
    assert f"precision: {precision}" in capsys.readouterr().out


def test_this_processor_says_what_it_has() -> None:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    expected = "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16"} else "32"
    assert with_precision_chosen(hardware()).precision == expected


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
def test_what_is_chosen_stays(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert with_precision_chosen(hardware(precision=precision)).precision == precision
    assert capsys.readouterr().out == ""

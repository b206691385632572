"""Chooses the precision of a training's arithmetic that its device computes fastest without loss of range."""

from typing import Literal

import torch

from training.settings import HardwareSettings


def with_precision_chosen(hardware: HardwareSettings) -> HardwareSettings:
    """`hardware` with `auto` replaced by what is fastest here, which is said; others stay as they are.

    bfloat16 has the range of float32 and keeps its weights there, so nothing overflows; a device that only imitates it
    is slower with it.
    """
    if hardware.precision != "auto":
        return hardware
    chosen: Literal["32", "bf16-mixed"] = "bf16-mixed" if _has_bfloat16(hardware.accelerator) else "32"
    print(f"precision: {chosen}, for this device has {'' if chosen == 'bf16-mixed' else 'no '}bfloat16", flush=True)
    return hardware.model_copy(update={"precision": chosen})


def _has_bfloat16(accelerator: str) -> bool:
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16"))

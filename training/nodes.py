"""A training on several machines: torchrun starts the processes, of which the first one is the stage.

The others only train along. All machines need the same project folder: the data, and the checkpoints from which a
training goes on.
"""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from torch import distributed
from torch.distributed.rendezvous import rendezvous

from domain.errors import InputError
from training.settings import HardwareSettings

_SAID = "dongseon: what the first process says"
_PATIENCE = timedelta(hours=1)  # the first process reads all data before the others go on


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def trains_along() -> bool:
    """Whether this process trains along with the first one, which logs the run and writes the model."""
    return is_launched() and int(os.environ["RANK"]) > 0


def num_nodes(hardware: HardwareSettings) -> int:
    """Number of machines; 1 without torchrun.

    Raises:
        InputError: if torchrun starts another number of processes on each than `hardware.devices`.
    """
    if not is_launched():
        return 1
    on_each = int(os.environ["LOCAL_WORLD_SIZE"])
    if hardware.devices != on_each:
        raise InputError(
            f"hardware.devices must be --nproc-per-node of torchrun, got {hardware.devices} and {on_each}; set both "
            "to the devices of a machine"
        )
    return int(os.environ["WORLD_SIZE"]) // on_each


def require_one_node() -> None:
    """Raise `InputError` if torchrun started this process: the training finds the devices of one machine itself."""
    if is_launched():
        raise InputError(
            "this training must be started without torchrun, on one machine, whose devices it starts itself"
        )


def first_says(value: Callable[[], Any]) -> Any:
    """The `value` of the first process, as JSON has it, for which the others wait; this one's without torchrun."""
    if not is_launched():
        return value()
    store, rank, _ = next(rendezvous("env://"))
    if rank == 0:
        store.set(_SAID, json.dumps(value()))
    store.wait([_SAID], _PATIENCE)
    return json.loads(store.get(_SAID))


def part() -> None:
    """End the connections between the processes; without torchrun there are none."""
    if is_launched() and distributed.is_initialized():
        distributed.destroy_process_group()

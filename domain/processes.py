"""What holds for every process of the framework."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int) -> None:
    """Let the kernel kill this process as soon as its parent, the process `parent`, ends, however it ends.

    To be called in the child, also between fork and exec: exec keeps the setting. If `parent` has ended already, this
    process ends here. Only Linux can do this; elsewhere nothing happens.

    Raises:
        OSError: if the kernel refuses.
    """
    if _libc is None:
        return
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) must succeed on Linux")
    if os.getppid() != parent:
        os._exit(1)

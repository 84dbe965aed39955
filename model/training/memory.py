"""Freed memory that stays with the process: on a CPU a step's activations are freed and wanted again a moment later."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of mallopt(3)."""


def keep_freed_memory() -> None:
    """Tell the C library to hand no memory back to the system. Every page of it would have to be zeroed anew, each step.

    Finetuning EfficientNet-Lite0 at 128 pixels on one core takes a fifth longer otherwise. Only glibc knows of it; elsewhere
    nothing happens. What the process needs at its peak stays the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_MMAP_MAX, 0)

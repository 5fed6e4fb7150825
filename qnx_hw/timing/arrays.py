"""The arrays that tags come in, and how loops over them are compiled."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
"""Sorted times in picoseconds, flat; equal times may repeat."""
Channels = npt.NDArray[np.uint8]

# numba has no types for its decorator. Kernels release the GIL and are kept on disk between runs.
kernel: Callable[..., Any] = partial(
    numba.njit, nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True
)
# Only kernels call it: there is no way in from Python, which would take as long to compile as it.
inner: Callable[..., Any] = partial(kernel, no_cpython_wrapper=True)


class UnsortedTimes(ValueError):
    """Times that must be in order are not."""


def as_times(times_ps: npt.ArrayLike, whose: str = "times") -> Times:
    """Check that `times_ps` are whole picoseconds in order; return them as a compact array.

    Arrays that cannot be written to are copied, because kernels are compiled for the others only.
    Raise `UnsortedTimes` at the first step back, `ValueError` for a wrong shape or type.
    """
    times = np.asarray(times_ps)
    if times.ndim != 1 or (times.dtype != np.int64 and times.size):
        raise ValueError(f"{whose} must be flat int64 picoseconds, not {times.dtype} {times.shape}")
    times = np.require(times, dtype=np.int64, requirements=("C", "W", "A"))
    if _steps_back(times):
        where = int(np.argmax(times[1:] < times[:-1])) + 1
        raise UnsortedTimes(f"{whose} step back at entry {where}, to {times[where]} ps")
    return times


def as_channels(channels: npt.ArrayLike, like: Times, whose: str = "channels") -> Channels:
    """Check that there is one uint8 channel per time; return them as a compact array."""
    values = np.asarray(channels)
    if values.shape != like.shape or (values.dtype != np.uint8 and values.size):
        raise ValueError(
            f"{whose} must be uint8, one per time {like.shape}, not {values.dtype} {values.shape}"
        )
    return np.require(values, dtype=np.uint8, requirements=("C", "W", "A"))


def is_first_time() -> bool:
    """Compile the smallest loop, or load it, and say whether this machine had to compile it."""
    as_times(np.zeros(2, np.int64))
    return bool(_steps_back.stats.cache_misses)


def kernel_folder() -> Path:
    """Return where this machine keeps the compiled loops of this package."""
    return Path(_steps_back.stats.cache_path)


@kernel(_nrt=False)
def _steps_back(times: Times) -> int:
    # Without an early end the compiler turns this into vector instructions.
    steps = 0
    for i in range(1, times.size):
        steps += times[i] < times[i - 1]
    return steps

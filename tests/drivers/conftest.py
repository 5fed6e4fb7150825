"""Emulated instruments, reached as real ones are: by a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sim_devices.emulators.emulator import Emulator
from sim_devices.emulators.faults import Faults
from sim_devices.emulators.server import serving

Serve = Callable[..., list[str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an emulator until the test ends and return the URLs where it is reached."""
    with ExitStack() as stack:

        def start(emulator: Emulator, *listen: str, faults: Faults | None = None) -> list[str]:
            places = stack.enter_context(serving(emulator, *listen, faults=faults))
            return [
                f"tcp://{place.address}" if ":" in place.address else f"serial://{place.address}"
                for place in places
            ]

        yield start

"""How parts of a node say that something happened."""

from collections.abc import Callable

from qnx_hw.api.schema import Level

Teller = Callable[[Level, str, str], object]
"""Adds an event: level, source, sentence. Belongs to the event loop's thread."""

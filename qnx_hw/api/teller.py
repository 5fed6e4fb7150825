"""How parts of a node say that something happened."""

from typing import Protocol

from qnx_hw.api.schema import Level


class Teller(Protocol):
    """Adds an event; belongs to the event loop's thread.

    What is in trouble has a word of its own in `about`: the warning or alarm of a source about it
    is over once the same source says something better about the same.
    """

    def __call__(self, level: Level, source: str, message: str, about: str = "", /) -> object:
        """Take a sentence of a source, and what it is about where that can end."""

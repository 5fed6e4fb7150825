"""A wire: bytes to and from one device, without waiting and without meaning."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class Wire(Protocol):
    """Bytes in both directions. Used by one thread at a time; never waits after `open`.

    All methods raise `NotConnected` where the other side is gone.
    """

    @abstractmethod
    def open(self, *, timeout_s: float) -> None:
        """Reach the device, or raise `NotConnected` within `timeout_s`."""

    @abstractmethod
    def fileno(self) -> int:
        """Return a descriptor that is readable while bytes, or the end, wait."""

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes that wait, or nothing."""

    @abstractmethod
    def write(self, payload: bytes) -> int:
        """Take as much of `payload` as fits now and return how many bytes that was."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device; may be called twice."""

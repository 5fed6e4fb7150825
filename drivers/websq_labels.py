"""What a WebSQ unit says: labels with values, errors, and lines of counts.

Source: the maker's own driver. A label comes as `{"label": L, "value": V}` or with an object that
holds the value; a label that contains "Error" reports one unless its text is empty.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from qnx_hw.errors import (
    Cancelled,
    InstrumentError,
    InstrumentRefused,
    InstrumentTimeout,
    NotConnected,
)
from qnx_hw.transports.request import ends_s

CANCEL_CHECK_S = 0.02
LOSS_CHECK_S = 0.2

Json = object
# What a label for errors holds while there is none.
_NOTHING: tuple[Json, ...] = (None, "", False, [])


@dataclass(frozen=True, slots=True)
class Counts:
    """One line of the counts port, when it came, and how many came before."""

    number: int
    counts: tuple[int, ...]


class Labels:
    """What the unit last said of each label; filled by I/O threads, waited for by callers."""

    def __init__(self, name: str) -> None:
        self.changed = threading.Condition()
        self._name = name
        self._values: dict[str, Json] = {}
        self._versions: dict[str, int] = {}
        self._raised: dict[str, int] = {}
        self._errors: list[str] = []
        self.counts = Counts(0, ())
        self.is_lost: Callable[[], InstrumentError | None] = lambda: None

    def take_message(self, message: bytes) -> None:
        """Note a control message; what is no label is left alone."""
        try:
            content: Json = json.loads(message)
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict) or not isinstance(content.get("label"), str):
            return
        label, value = content["label"], content.get("value")
        if isinstance(value, dict) and "value" in value:
            value = value["value"]
        with self.changed:
            if "Error" in label and value not in _NOTHING:
                self._errors.append(f"{label}: {value}")
            self._values[label] = value
            self._versions[label] = self._versions.get(label, 0) + 1
            if value is True:
                self._raised[label] = self._raised.get(label, 0) + 1
            self.changed.notify_all()

    def take_counts(self, line: bytes) -> None:
        """Note a line `time,c1,...,cn`; any other line is left alone."""
        try:
            numbers = [float(word) for word in line.split(b",")[1:]]
        except ValueError:
            return
        if not numbers or not all(number >= 0 and number.is_integer() for number in numbers):
            return
        with self.changed:
            counts = tuple(map(int, numbers))
            self.counts = Counts(self.counts.number + 1, counts)
            self.changed.notify_all()

    def get(self, label: str) -> Json:
        """Return the newest value of a label, or None."""
        with self.changed:
            return self._values.get(label)

    def version(self, label: str) -> int:
        """Return how often a label was said."""
        with self.changed:
            return self._versions.get(label, 0)

    def raised(self, label: str) -> int:
        """Return how often a label was said to be true."""
        with self.changed:
            return self._raised.get(label, 0)

    def forget_errors(self) -> None:
        """Forget errors that were said before."""
        with self.changed:
            self._errors.clear()

    def wait(
        self,
        is_met: Callable[[], bool],
        what: str,
        timeout_s: float,
        cancel: threading.Event | None = None,
    ) -> None:
        """Wait until `is_met`; errors of the unit, a lost wire and the time end it."""
        deadline_s = ends_s(timeout_s)
        step_s = LOSS_CHECK_S if cancel is None else CANCEL_CHECK_S
        with self.changed:
            while not is_met():
                if self._errors:
                    error = self._errors.pop(0)
                    raise InstrumentRefused(f"'{self._name}' refused {what}: {error}")
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"{what} of '{self._name}' was cancelled")
                lost = self.is_lost()
                if lost is not None:
                    raise NotConnected(f"'{self._name}' was lost: {lost}")
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise InstrumentTimeout(
                        f"'{self._name}' did not confirm {what} within {timeout_s:g} s"
                    )
                self.changed.wait(min(left_s, step_s))

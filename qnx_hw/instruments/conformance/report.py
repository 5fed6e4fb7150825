"""What a conformance run found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from qnx_hw.errors import QnxError


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


class Failed(Exception):
    """A promise is not kept; the sentence says which."""


class Skipped(Exception):
    """A check that has nothing to look at here, or no consent; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and whether it is kept, in a sentence."""

    name: str
    outcome: Outcome
    sentence: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one driver at one address."""

    driver: str
    url: str
    identity: str
    checks: tuple[Check, ...]

    @property
    def is_passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        outcomes = {check.outcome for check in self.checks}
        return Outcome.PASS in outcomes and Outcome.FAIL not in outcomes

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAIL)

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return sum(check.outcome is outcome for check in self.checks)

    def joined(self, more: Iterable[Check]) -> Report:
        """Return this report with further checks."""
        return Report(self.driver, self.url, self.identity, (*self.checks, *more))

    def as_mapping(self) -> dict[str, object]:
        """Return the report as JSON has it."""
        return {**asdict(self), "passed": self.is_passed}


def judge(name: str, check: Callable[[], str]) -> Check:
    """Run one check; it returns the sentence of its success, or raises `Failed` or `Skipped`."""
    started_s = time.monotonic()
    try:
        outcome, sentence = Outcome.PASS, check()
    except Skipped as reason:
        outcome, sentence = Outcome.SKIP, str(reason)
    except Failed as reason:
        outcome, sentence = Outcome.FAIL, str(reason)
    except QnxError as error:
        outcome, sentence = Outcome.FAIL, f"{type(error).__name__}: {error}"
    except Exception as error:
        # A driver under test may raise anything; what is not documented is its failure.
        outcome, sentence = Outcome.FAIL, f"undocumented {type(error).__name__}: {error}"
    return Check(name, outcome, sentence, time.monotonic() - started_s)

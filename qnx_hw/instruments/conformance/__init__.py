"""Does a driver keep the promises of its family? Named checks for any driver at any address.

`run` needs no test framework and works on emulators and on real hardware; what moves, switches or
changes a bias happens only with the caller's consent.
"""

from qnx_hw.instruments.conformance.drop import ready_after_s, run_drop
from qnx_hw.instruments.conformance.matrix import run_matrix
from qnx_hw.instruments.conformance.relay import Relay
from qnx_hw.instruments.conformance.report import Check, Outcome, Report
from qnx_hw.instruments.conformance.sabotage import Sabotage, Saboteur
from qnx_hw.instruments.conformance.subject import Maker, Patience, Subject
from qnx_hw.instruments.conformance.suite import run

__all__ = [
    "Check",
    "Maker",
    "Outcome",
    "Patience",
    "Relay",
    "Report",
    "Sabotage",
    "Saboteur",
    "Subject",
    "ready_after_s",
    "run",
    "run_drop",
    "run_matrix",
]

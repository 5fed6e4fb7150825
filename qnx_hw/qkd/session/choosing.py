"""Which reconciliation a block uses: what the link's settings allow, for the way that was measured.

Alice chooses when she draws the test, from the round trip as she measured it, and says so in the
message that draws it; Bob takes what the settings allow and nothing else. The round trip is no
secret and nothing hangs on its truth: who holds messages up has the parties spend bits or time.
"""

from __future__ import annotations

from enum import StrEnum

from qnx_hw.qkd.parameters import CountLeak, Reconciliation, SessionParameters
from qnx_hw.qkd.reconciliation import Mode

LONG_WAY_S = 0.05
"""Beyond it Cascade's hundred messages take seconds; LDPC codes need three."""
LOW_LEAK_ROUNDS = 1_000
"""So many messages Cascade takes at most in the mode that spares bits (measured, 1e6 bits)."""
UNNOTICED = 0.25
"""Part of a block's span that its messages may take: the next block is collected meanwhile."""
LEAST_LDPC_ERRORS: dict[CountLeak, float] = {"alice": 0.015, "both": 0.005, "pattern": 0.005}
"""Below, the published codes leak more than Cascade, by which messages count; measured."""
LDPC_FOLLOWS_BPS = 50_000.0
"""Sifted bits a second that one core decodes with time to spare, short strings too (measured: from
60 kbit/s at 5000 bits and 150 kbit/s at 450 000, both ends together)."""


class Way(StrEnum):
    """How a block's two strings are made equal."""

    LOW_LEAK = "low-leak"
    LOW_ROUND = "low-round"
    LDPC = "ldpc"
    MAX_KEY = "max-key"

    @property
    def mode(self) -> Mode:
        """Cascade's mode; it serves strings that neither codes nor the longest key's way take."""
        return Mode.LOW_LEAK if self in {Way.LOW_LEAK, Way.MAX_KEY} else Mode.LOW_ROUND


ALLOWED: dict[Reconciliation, tuple[Way, ...]] = {
    Reconciliation.AUTO: (Way.LOW_LEAK, Way.LOW_ROUND, Way.LDPC),
    Reconciliation.CASCADE: (Way.LOW_LEAK, Way.LOW_ROUND),
    Reconciliation.LDPC: (Way.LDPC,),
    Reconciliation.MAX_KEY: (Way.MAX_KEY,),
}


def choose(
    parameters: SessionParameters, round_trip_s: float | None, span_s: float, sifted_bits: int
) -> Way:
    """Return the way for a block that took `span_s` to collect; None: nothing was measured."""
    setting = parameters.reconciliation
    if setting in (Reconciliation.LDPC, Reconciliation.MAX_KEY):
        return Way(setting.value)
    if round_trip_s is None:
        return Way.LOW_ROUND
    # Where Bob's messages count, Cascade leaks nearly twice what a code does.
    spares_bits = parameters.count_leak != "alice" and sifted_bits <= LDPC_FOLLOWS_BPS * span_s
    if setting is Reconciliation.AUTO and (round_trip_s > LONG_WAY_S or spares_bits):
        return Way.LDPC
    is_unnoticed = LOW_LEAK_ROUNDS * round_trip_s < UNNOTICED * span_s
    return Way.LOW_LEAK if is_unnoticed else Way.LOW_ROUND

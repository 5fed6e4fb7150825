"""The keys of one tunnel and direction, renewed in time, and what happens when there is none.

All connections of a tunnel share its keys: each derives its own from them, so renewing costs 256
bits a minute and direction however many there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qnx_hw.api.traffic import KeyPolicy
from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.keysource import KeySource
from qnx_hw.errors import KeyExhausted, QnxError
from qnx_hw.secret import Secret

RENEW_AT = 0.75
"""Part of a key's time after which the next one is fetched."""
LONGEST_S = 3600.0
"""No key is used longer, whatever the policy."""
LONGEST_BYTES = 256 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """One key of a tunnel."""

    number: int
    key_id: str
    """Empty where this epoch comes from ML-KEM alone."""
    secret: Secret
    born_s: float


@dataclass(slots=True, eq=False)
class TunnelKeys:
    """The newest key for what this node sends through a tunnel.

    `renew` belongs to the event loop; sending threads read `newest` and wait in `wait_usable`.
    """

    source: KeySource
    peer: str
    policy: KeyPolicy
    mode: Mode
    rekey_s: float
    rekey_bytes: int
    now: Callable[[], float] = time.monotonic
    on_due: Callable[[], None] = lambda: None
    """Called, from any thread, when so much was sent that the next key is due: once a key."""
    on_new: Callable[[], None] = lambda: None
    """Called in the event loop when there is another newest key."""
    newest: Epoch | None = None
    sent_bytes: int = 0
    """Under the newest key, over all connections."""
    rejected: int = -1
    """The newest epoch that the peer had no key for."""
    drawn_bits: int = 0
    shortage: str = ""
    """Why there is no new key; empty while all is well."""
    _quantum: Epoch | None = None
    _is_called: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    async def renew(self) -> None:
        """Fetch the next key when it is time, or follow the policy where there is none."""
        if not self._is_due():
            return
        number = self.newest.number + 1 if self.newest is not None else 0
        try:
            key = await self.source.fresh(self.peer)
        except KeyExhausted as error:
            self.shortage = str(error)
            if self.policy is KeyPolicy.HYBRID and self.is_expired() and self.newest is not None:
                self._begin(Epoch(number, "", Secret(b""), self.now()))
            return
        except QnxError as error:
            self.shortage = str(error)
            return
        self.drawn_bits += 8 * len(key.secret)
        self.shortage = ""
        self._begin(Epoch(number, key.key_id, key.secret, self.now()))

    def count(self, n_bytes: int) -> None:
        """Count what was sent under the newest key; any thread."""
        with self._changed:
            self.sent_bytes += n_bytes
            is_due = self.sent_bytes >= RENEW_AT * self.rekey_bytes and not self._is_called
            self._is_called = self._is_called or is_due
        if is_due:
            self.on_due()

    def reject(self, epoch: int) -> None:
        """The peer does not have this key: take another one soon."""
        if self.newest is not None and self.newest.number == epoch:
            self.rejected = epoch

    def startable(self) -> Epoch | None:
        """Return the quantum key that a new session may begin with; None where there is none."""
        return self._quantum if self._quantum is not None and self.is_usable() else None

    def is_usable(self) -> bool:
        """Whether the newest key may protect more, by the policy and the hard limits."""
        newest = self.newest
        if newest is None:
            return False
        if self.sent_bytes < self.rekey_bytes and self.now() - newest.born_s < self.rekey_s:
            return True  # what is asked for every record
        if self.mode is Mode.OTP or not self.is_expired():
            return True
        return (
            self.policy in (KeyPolicy.STRETCH, KeyPolicy.HYBRID)
            and self.now() - newest.born_s < LONGEST_S
            and self.sent_bytes < LONGEST_BYTES
        )

    def remaining_s(self) -> float:
        """Return for how long `is_usable` stays true if nothing more is sent; any thread."""
        newest = self.newest
        if newest is None:
            return 0.0
        is_stretched = self.policy in (KeyPolicy.STRETCH, KeyPolicy.HYBRID)
        return newest.born_s + (LONGEST_S if is_stretched else self.rekey_s) - self.now()

    def is_expired(self) -> bool:
        """Whether the newest key has done what it was meant for."""
        return self.newest is not None and (
            self.now() - self.newest.born_s >= self.rekey_s or self.sent_bytes >= self.rekey_bytes
        )

    def wait_usable(self, timeout_s: float) -> bool:
        """Wait in a sending thread; whether there is a key now."""
        if self.is_usable():
            return True
        with self._changed:
            return self._changed.wait_for(self.is_usable, timeout_s)

    def describe(self) -> str:
        """Say what is out of the ordinary; empty where nothing is."""
        if self.newest is None:
            return f"waits for its first key: {self.shortage}" if self.shortage else ""
        if not self.newest.key_id:
            return "hybrid: the newest key is ML-KEM's alone, not quantum"
        if not self.is_usable():
            return f"no key: {self.shortage or 'waiting for the next'}"
        if self.is_expired() and self.mode is not Mode.OTP:
            return f"stretch: the old key is kept on, {self.shortage or 'waiting for the next'}"
        return ""

    def _is_due(self) -> bool:
        if self.newest is None:
            return True
        if self.mode is Mode.OTP:
            return False
        return (
            self.now() - self.newest.born_s >= RENEW_AT * self.rekey_s
            or self.sent_bytes >= RENEW_AT * self.rekey_bytes
            or not self.newest.key_id
            or self.rejected == self.newest.number
        )

    def _begin(self, epoch: Epoch) -> None:
        with self._changed:
            self.newest = epoch
            if epoch.key_id:
                self._quantum = epoch
            self.sent_bytes = 0
            self._is_called = False
            self._changed.notify_all()
        self.on_new()

"""A classical channel in the hands of an attacker, and links of every protocol to run on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pulsed_link
from bench_sessions import tag_blocks

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import KeyPending

Target = tuple[Role, type]

KINDS: list[Target] = [
    (Role.ALICE, messages.Hello),
    (Role.BOB, messages.Hello),
    (Role.ALICE, messages.Plan),
    (Role.BOB, messages.Times),
    (Role.ALICE, messages.Pairs),
    (Role.BOB, messages.Bases),
    (Role.ALICE, messages.Test),
    (Role.BOB, messages.Disclosure),
    (Role.BOB, messages.Question),
    (Role.ALICE, messages.Answer),
    (Role.BOB, messages.Corrected),
    (Role.ALICE, messages.Arrivals),
    (Role.ALICE, messages.Amplify),
    (Role.ALICE, messages.Seal),
    (Role.BOB, messages.Seal),
    (Role.ALICE, messages.Release),
]
"""What is said until a block is done, in this order."""
SEALED = [kind for kind in KINDS if kind[1] not in (messages.Hello, messages.Release)]
"""What a block's tags cover."""
ACTIONS = ("drop", "repeat", "delay", "split", "cut", "flip", "forge")


class Attack:
    """Does something to the first message of a kind, and lets all others pass."""

    def __init__(self, target: Target, action: str, place: float = 0.5) -> None:
        self._target, self._action, self._place = target, action, place
        self._held: bytes | None = None
        self.is_done = False

    def __call__(self, role: Role, message: bytes) -> list[bytes]:
        if self._held is not None and role is self._target[0]:
            held, self._held = self._held, None
            return [message, held]
        is_target = role is self._target[0] and isinstance(decode(message), self._target[1])
        if self.is_done or not is_target:
            return [message]
        self.is_done = True
        return self._changed(message)

    def _changed(self, message: bytes) -> list[bytes]:
        at = int(self._place * len(message))
        match self._action:
            case "drop":
                return []
            case "repeat":
                return [message, message]
            case "delay":
                self._held = message
                return []
            case "split":
                return [message[:at], message[at:]]
            case "cut":
                return [message[:at]]
            case "flip":
                bit = 1 << int(self._place * 1e6) % 8
                return [message[:at] + bytes([message[at] ^ bit]) + message[at + 1 :]]
            case _:
                return [np.random.default_rng(at).bytes(len(message))]


def check(pair: Any) -> None:
    """Whatever happened, no two keys of one block differ, and Bob is never ahead of Alice."""
    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    pending = {o.block: o.pending.key.reveal() for o in pair.of(Role.BOB, KeyPending)}
    for block, key in bob.items():
        assert alice[block] == key
    for block, key in alice.items():
        assert pending[block] == key


@dataclass(frozen=True)
class HostileLink:
    """A link of some protocol, and the tags that make one block of key where nobody interferes."""

    bench: ModuleType
    parameters: SessionParameters
    alice: Sequence[TagBlock]
    """Nothing where she sends pulses."""
    bob: Sequence[TagBlock]

    def run(
        self, tamper: Callable[[Role, bytes], Sequence[bytes]] | None = None, **ends: Any
    ) -> Any:
        """Return both ends after all tags; their randomness is the same in every run."""
        pair = self.bench.Pair(self.parameters, **ends)
        pair.tamper = tamper or pair.tamper
        pair.start()
        if self.alice:
            return pair.feed(self.alice, self.bob)
        for block in self.bob:
            pair.feed_bob(block)
        return pair


def paired(bench: ModuleType, parameters: SessionParameters) -> HostileLink:
    """Return a link with an entangled source: BBM92 or E91."""
    is_bell = parameters.protocol is Protocol.E91
    return HostileLink(bench, parameters, *bench.Source(bell=is_bell, seconds=2.4).blocks())


def pulsed(bench: ModuleType, pulses: PulseParameters) -> HostileLink:
    """Return a decoy BB84 link; its loose security makes key from small blocks."""
    parameters = pulsed_link.parameters(
        pulses, block_sifted_bits=100_000, epsilon_secrecy=0.1, epsilon_correctness=1e-3
    )
    made = pulsed_link.bench(pulses)
    bench.Pair(parameters, transmit=lambda asked: pulsed_link.play(made, asked)).start()
    return HostileLink(bench, parameters, (), list(tag_blocks(made, "bob", 1.5)))

"""Blocks that are reconciled at the same time share the cores, and their keys stay the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import msgspec
import pytest

from qnx_hw.qkd.parameters import Reconciliation, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended
from qnx_hw.qkd.session.hands import Hands, Made

pytestmark = pytest.mark.slow

STEP_PS = 20_000_000_000
"""Messages take one step of the light."""


class Threads(Hands):
    """Begins all pieces before any ends, and remembers the most that met each other."""

    def __init__(self) -> None:
        self.most = 0

    def side_by_side(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        made: list[Any] = [None] * len(works)
        all_here = threading.Barrier(max(1, len(works)), timeout=300)

        def do(place: int, work: Callable[[], Made]) -> None:
            all_here.wait()
            made[place] = work()

        threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        self.most = max(self.most, len(works))
        return made


def test_what_several_blocks_ask_is_answered_side_by_side(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(
        small,
        block_sifted_bits=7_000,
        epsilon_secrecy=1e-5,
        reconciliation=Reconciliation.CASCADE,
        count_leak="alice",
    )
    hands = {role: Threads() for role in Role}
    pair = bench.Pair(parameters, round_trip_s=lambda: 0.08, hands=hands)
    for role in Role:
        pair._act(role, pair.sessions[role].start())
    for tags in zip(*bench.Source(seconds=3.4).blocks(STEP_PS), strict=True):
        came = list(pair._queue)
        pair._queue.clear()
        for role, block in zip(Role, tags, strict=True):
            together = [message for to, message in came if to is role]
            pair._act(role, pair.sessions[role].receive_all(together))
            pair._act(role, pair.sessions[role].detections(block))
    pair.deliver()

    # Z and X of one block make two pieces; more of them only come from several blocks.
    assert max(each.most for each in hands.values()) > 2
    alices, bobs = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    assert len(bobs) >= 2
    assert all(alices[block] == key for block, key in bobs.items())
    assert not pair.of(Role.BOB, (Aborted, Ended))

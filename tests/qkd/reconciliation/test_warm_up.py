"""No block waits for a compiler."""

from __future__ import annotations

import numpy as np
import pytest

from qnx_hw.qkd.reconciliation import (
    CascadeAlice,
    CascadeBob,
    cascade_kernels,
    cascade_shuffles,
    ldpc,
    ldpc_kernels,
    max_key,
    max_key_kernels,
    warm_up,
)

ENTRIES = (
    cascade_kernels.turn,
    cascade_shuffles.draw_shuffles,
    ldpc_kernels.decode,
    ldpc_kernels.shuffle,
    ldpc_kernels.syndrome,
    max_key_kernels.open_pass,
    max_key_kernels.say,
    max_key_kernels.turn,
    max_key_kernels.weights,
)


@pytest.mark.slow
def test_nothing_is_left_to_compile_after_warming_up() -> None:
    warm_up()
    compiled = [len(entry.signatures) for entry in ENTRIES]
    alice = np.random.default_rng(1).integers(0, 2, 4000, dtype=np.uint8)
    bob = alice ^ (np.arange(4000) % 40 == 0).astype(np.uint8)

    reference = CascadeAlice(alice, qber_hint=0.03, seed=b"w")
    corrector = CascadeBob(bob, qber_hint=0.03, seed=b"w")
    request = corrector.start()
    while request is not None:
        request = corrector.receive(reference.answer(request))
    assert np.array_equal(corrector.corrected, alice)
    for way in (ldpc, max_key):
        assert np.array_equal(way.reconcile(alice, bob, 0.03, seed=b"w").corrected, alice)

    assert [len(entry.signatures) for entry in ENTRIES] == compiled
    assert min(compiled) == 1

"""Cascade that spares bits: equal strings, equal counts, and less leak than plain Cascade."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.qkd.finite_key import binary_entropy
from qnx_hw.qkd.reconciliation import MaxKeyAlice, MaxKeyBob, ReconciliationFailed
from qnx_hw.qkd.reconciliation import reconcile as cascade
from qnx_hw.qkd.reconciliation.max_key import reconcile

pytestmark = pytest.mark.slow


def strings(rate: float, seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (rng.random(n) < rate).astype(np.uint8)


@pytest.mark.parametrize("rate", [0.05, 0.08, 0.10])
def test_less_leaks_than_with_plain_cascade_and_no_less_than_shannon_allows(rate: float) -> None:
    over, plain = [], []
    for seed in range(2):
        alice, bob = strings(rate, seed, 131_072)
        result = reconcile(alice, bob, rate, seed=bytes([seed]))
        assert np.array_equal(result.corrected, alice)
        assert result.leak_total == 2 * result.leak_alice
        over.append(result.leak_alice / (alice.size * binary_entropy(np.mean(alice != bob))))
        plain.append(cascade(alice, bob, rate, seed=bytes([seed])).leak_alice)
        plain[-1] /= alice.size * binary_entropy(np.mean(alice != bob))

    assert 1.0 < np.mean(over) < np.mean(plain)
    assert np.mean(over) < 1.045


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.floats(0.0, 0.12), st.floats(0.0, 0.5), st.integers(0, 99))
def test_any_string_ends_equal_or_is_given_up(n: int, rate: float, hint: float, seed: int) -> None:
    alice, bob = strings(rate, seed, n)

    try:
        result = reconcile(alice, bob, hint)
    except ReconciliationFailed:
        return

    assert np.array_equal(result.corrected, alice)
    # An error may be turned over, and back again, on its way to being found.
    assert result.n_errors >= np.count_nonzero(alice != bob)


def test_both_ends_count_every_parity_that_was_sent() -> None:
    alice, bob = strings(0.04, 3, 5_000)
    reference = MaxKeyAlice(alice, qber_hint=0.04, seed=b"s")
    corrector = MaxKeyBob(bob, qber_hint=0.04, seed=b"s")
    octets, count = 0, 0
    request = corrector.start()
    while request is not None:
        reply = reference.answer(request)
        octets, count = octets + len(reply), count + 1
        request = corrector.receive(reply)

    assert reference.is_finished
    assert reference.leak_alice == corrector.leak_alice
    assert reference.rounds == corrector.rounds == count
    assert 8 * (octets - count) < reference.leak_alice <= 8 * octets


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=4), st.booleans())
def test_octets_from_a_stranger_are_refused_or_harmless(words: list[bytes], fit: bool) -> None:
    alice = MaxKeyAlice(strings(0.05, 1, 400)[0], qber_hint=0.05, seed=b"")
    for word in words:
        request = word.ljust(len(alice._said()), b"\x55")[: len(alice._said())] if fit else word
        try:
            alice.answer(request)
        except ReconciliationFailed:
            return
    assert alice.leak_alice <= 400 + 256 + 300

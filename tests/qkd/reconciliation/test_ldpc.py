"""LDPC reconciliation makes strings equal or says that it did not, and counts what it told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.qkd.finite_key import binary_entropy
from qnx_hw.qkd.reconciliation import CascadeParameters, Mode, ReconciliationFailed
from qnx_hw.qkd.reconciliation import reconcile as cascade
from qnx_hw.qkd.reconciliation.ldpc import LdpcAlice, LdpcBob, LdpcParameters, reconcile

N = 20_000


def strings(rate: float, seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (rng.random(n) < rate).astype(np.uint8)


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.05, 0.08, 0.11])
def test_strings_become_equal_near_the_limit(rate: float) -> None:
    factors = []
    for seed in range(4):
        alice, bob = strings(rate, seed)
        result = reconcile(alice, bob, rate, seed=bytes([seed]))

        assert np.array_equal(result.corrected, alice)
        assert result.n_errors == np.count_nonzero(alice != bob)
        factors.append(result.leak_alice / (N * binary_entropy(float(np.mean(alice != bob)))))

    assert 1.0 <= np.mean(factors) < 1.25


@settings(max_examples=15, deadline=None)
@given(st.integers(2_000, 30_000), st.floats(0.0, 0.12), st.floats(0.0, 0.12), st.integers(0, 99))
def test_any_length_and_any_hint_end_equal_or_are_given_up(
    n: int, rate: float, hint: float, seed: int
) -> None:
    alice, bob = strings(rate, seed, n)

    try:
        result = reconcile(alice, bob, hint, seed=b"x")
    except ReconciliationFailed:
        return

    # Not every wrong answer satisfies no check; the verification hash after it decides.
    assert np.count_nonzero(result.corrected != alice) <= n * 0.01
    assert result.leak_alice <= result.leak_total


def test_both_ends_count_alike_and_as_much_as_was_sent() -> None:
    alice, bob = strings(0.045, 3)
    reference = LdpcAlice(alice, qber_hint=0.03, seed=b"s")
    corrector = LdpcBob(bob, qber_hint=0.03, seed=b"s")
    punctured = reference._layout.punctured.size

    replies = []
    request = corrector.start()
    while request is not None:
        replies.append(reference.answer(request))
        request = corrector.receive(replies[-1])

    assert reference.is_finished
    assert corrector.leak_alice == reference.leak_alice
    assert corrector.leak_total == reference.leak_total
    assert corrector.rounds == reference.rounds == len(replies) >= 4
    sent = sum(8 * len(reply) for reply in replies)
    assert sent - 8 * len(replies) <= reference.leak_alice + punctured <= sent


def test_a_wrong_estimate_costs_bits_but_not_the_block() -> None:
    alice, bob = strings(0.05, 5)

    result = reconcile(alice, bob, 0.02)

    assert np.array_equal(result.corrected, alice)
    assert result.rounds > 3


def test_punctured_bits_are_drawn_by_alice_alone() -> None:
    alice, _ = strings(0.03, 1)
    drawn: list[int] = []

    def draw(n: int) -> bytes:
        drawn.append(n)
        return b"\xff" * n

    ones = LdpcAlice(alice, qber_hint=0.03, seed=b"", draw=draw).answer(b"\0")
    zeros = LdpcAlice(alice, qber_hint=0.03, seed=b"", draw=bytes).answer(b"\0")

    assert sum(drawn) > 0
    assert ones != zeros


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40))
def test_a_request_out_of_turn_is_refused(request: bytes) -> None:
    alice = LdpcAlice(strings(0.03, 1)[0], qber_hint=0.03, seed=b"")
    if request == b"\0":
        request = b"\3"

    with pytest.raises(ReconciliationFailed):
        alice.answer(request)


@pytest.mark.parametrize("reply", [b"", b"\0", b"\1" * 10_000])
def test_a_reply_of_the_wrong_size_is_refused(reply: bytes) -> None:
    bob = LdpcBob(strings(0.03, 1)[1], qber_hint=0.03, seed=b"")
    bob.start()

    with pytest.raises(ReconciliationFailed):
        bob.receive(reply)


def test_a_forged_syndrome_gives_no_endless_talk() -> None:
    alice, bob = strings(0.03, 1, 4_000)
    reference = LdpcAlice(alice, qber_hint=0.03, seed=b"")
    corrector = LdpcBob(bob, qber_hint=0.03, seed=b"")

    def talk() -> None:
        request = corrector.start()
        while request is not None:
            reply = bytearray(reference.answer(request))
            reply[:1] = bytes([reply[0] ^ 0x80]) if reply else b""
            request = corrector.receive(bytes(reply))

    with pytest.raises(ReconciliationFailed):
        talk()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="LDPC codes take"):
        LdpcAlice(np.zeros(10, np.uint8), qber_hint=0.03, seed=b"")
    with pytest.raises(ValueError, match="error rate"):
        LdpcAlice(np.zeros(N, np.uint8), qber_hint=float("nan"), seed=b"")
    with pytest.raises(ValueError, match="efficiency"):
        LdpcParameters(efficiency=0.5)


@pytest.mark.parametrize("way", ["low-leak", "low-round", "ldpc"])
def test_no_counted_leak_is_below_the_limit_of_shannon_on_average(way: str) -> None:
    n = 4_000
    for rate in (0.02, 0.06, 0.1):
        over = []
        for seed in range(12):
            alice, bob = strings(rate, 100 + seed, n)
            if way == "ldpc":
                result = reconcile(alice, bob, rate, seed=bytes([seed]))
            else:
                parameters = CascadeParameters(mode=Mode(way))
                result = cascade(alice, bob, rate, seed=bytes([seed]), parameters=parameters)
            assert np.array_equal(result.corrected, alice)
            assert result.leak_total >= result.leak_alice
            limit = n * binary_entropy(float(np.mean(alice != bob)))
            over.append(result.leak_alice - limit)
        assert np.mean(over) > 0

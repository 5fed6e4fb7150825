"""Both parties of Cascade: what they correct, what they count, what they refuse."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.qkd.reconciliation import (
    CascadeAlice,
    CascadeBob,
    CascadeParameters,
    Mode,
    ReconciliationFailed,
    reconcile,
)

Bits = npt.NDArray[np.uint8]
CAREFUL = CascadeParameters(confirmations=40, leak_limit=4.0)


def entropy(rate: float) -> float:
    if not 0.0 < rate < 1.0:
        return 0.0
    return float(-rate * np.log2(rate) - (1 - rate) * np.log2(1 - rate))


def keys(n: int, rate: float, number: int) -> tuple[Bits, Bits]:
    generator = np.random.default_rng([n, number])
    alice = generator.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (generator.random(n) < rate).astype(np.uint8)


def parties(
    alice: Bits, bob: Bits, hint: float, parameters: CascadeParameters | None = None
) -> tuple[CascadeAlice, CascadeBob]:
    return (
        CascadeAlice(alice, qber_hint=hint, seed=b"block 7", parameters=parameters),
        CascadeBob(bob, qber_hint=hint, seed=b"block 7", parameters=parameters),
    )


def talk(alice: CascadeAlice, bob: CascadeBob) -> list[tuple[bytes, bytes]]:
    messages = []
    request = bob.start()
    while request is not None:
        reply = alice.answer(request)
        messages.append((request, reply))
        request = bob.receive(reply)
    return messages


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.integers(1, 3000),
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.3),
    st.sampled_from(Mode),
    st.integers(0, 2**32),
)
def test_any_errors_are_corrected_or_the_block_is_refused(
    n: int, rate: float, hint: float, mode: Mode, number: int
) -> None:
    alice, bob = keys(n, rate, number)
    parameters = CascadeParameters(mode=mode, confirmations=40, leak_limit=4.0)

    try:
        result = reconcile(alice, bob, hint, seed=number.to_bytes(5), parameters=parameters)
    except ReconciliationFailed:
        assert rate > 0.1 or n < 1000
        return

    assert np.array_equal(result.corrected, alice)
    assert result.n_errors == int((alice ^ bob).sum())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=200))
def test_any_pattern_in_a_short_string_is_corrected(pairs: list[tuple[int, int]]) -> None:
    alice, bob = np.array(pairs, dtype=np.uint8).T.copy()

    result = reconcile(alice, bob, 0.05, parameters=CAREFUL)

    assert np.array_equal(result.corrected, alice)


@pytest.mark.parametrize(("n", "rate"), [(1, 1.0), (63, 0.1), (5000, 0.03), (20000, 0.08)])
def test_both_ends_count_the_parities_that_were_sent(n: int, rate: float) -> None:
    ours, theirs = keys(n, rate, 1)
    alice, bob = parties(ours, theirs, rate)

    messages = talk(alice, bob)

    assert np.array_equal(bob.corrected, ours)
    assert alice.is_finished
    counts = alice.leak_alice, alice.leak_total, alice.rounds, alice.n_errors
    assert counts == (bob.leak_alice, bob.leak_total, bob.rounds, bob.n_errors)
    assert bob.rounds == len(messages)
    assert bob.leak_total == 2 * bob.leak_alice
    octets = sum(len(reply) for _, reply in messages)
    assert 8 * octets - 7 * len(messages) <= bob.leak_alice <= 8 * octets
    assert all(len(request) == len(reply) for request, reply in messages)


@pytest.mark.parametrize("rate", [0.0, 0.005, 0.05, 0.11])
def test_a_public_pattern_of_errors_tells_less_than_two_parties_parities(rate: float) -> None:
    ours, theirs = keys(20_000, rate, 4)
    alice, bob = parties(ours, theirs, rate)

    talk(alice, bob)

    errors = int((ours ^ theirs).sum())
    places = math.log2(math.comb(20_000, errors)) + math.log2(20_001)
    assert alice.leak_pattern == bob.leak_pattern <= bob.leak_total
    # The bound on the places is that of a binomial's largest term.
    least = min(bob.leak_total, bob.leak_alice + places)
    assert least <= bob.leak_pattern <= least + math.log2(20_001)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.11])
def test_talking_in_one_process_is_the_same_as_talking_in_messages(rate: float) -> None:
    ours, theirs = keys(30_000, rate, 2)
    alice, bob = parties(ours, theirs, rate)

    talk(alice, bob)
    result = reconcile(ours, theirs, rate, seed=b"block 7")

    assert np.array_equal(result.corrected, bob.corrected)
    assert (result.leak_alice, result.rounds) == (bob.leak_alice, bob.rounds)
    assert (result.leak_total, result.n_errors) == (bob.leak_total, bob.n_errors)


def test_messages_are_told_apart_by_the_seed_but_not_by_the_run() -> None:
    ours, theirs = keys(4096, 0.05, 3)

    first, again = (talk(*parties(ours, theirs, 0.05)) for _ in range(2))
    other = CascadeBob(theirs, qber_hint=0.05, seed=b"block 8")
    third = talk(CascadeAlice(ours, qber_hint=0.05, seed=b"block 8"), other)

    assert first == again
    assert first != third


@pytest.mark.parametrize(
    ("rate", "limit"),
    [(0.01, 1.045), (0.02, 1.045), (0.03, 1.045), (0.05, 1.05), (0.08, 1.06), (0.11, 1.07)],
)
def test_the_leak_is_close_above_the_limit_of_shannon(rate: float, limit: float) -> None:
    n, blocks = 100_000, 12
    leak, least = 0.0, 0.0

    for number in range(blocks):
        alice, bob = keys(n, rate, number)
        result = reconcile(alice, bob, rate, seed=bytes([number]))
        assert np.array_equal(result.corrected, alice)
        leak += result.leak_alice
        least += n * entropy(result.n_errors / n)

    assert 1.0 < leak / least < limit


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.05, 0.11])
def test_few_rounds_cost_little_more(rate: float) -> None:
    parameters = CascadeParameters(mode=Mode.LOW_ROUND)
    rounds, leak, least = 0, 0.0, 0.0

    for number in range(6):
        alice, bob = keys(100_000, rate, number)
        result = reconcile(alice, bob, rate, seed=bytes([number]), parameters=parameters)
        rounds += result.rounds
        leak += result.leak_alice
        least += 100_000 * entropy(result.n_errors / 100_000)

    assert rounds / 6 < 140
    assert leak / least < (1.065 if rate <= 0.05 else 1.085)


@pytest.mark.parametrize("hint", [0.005, 0.01, 0.08])
def test_a_wrong_hint_costs_bits_but_never_the_block(hint: float) -> None:
    alice, bob = keys(50_000, 0.03, 4)

    result = reconcile(alice, bob, hint)

    assert np.array_equal(result.corrected, alice)
    assert result.leak_alice < 1.25 * 50_000 * entropy(0.03)


def test_errors_in_one_burst_are_corrected() -> None:
    alice, bob = keys(20_000, 0.0, 5)
    bob[3_000:3_700] ^= 1

    result = reconcile(alice, bob, 0.035)

    assert np.array_equal(result.corrected, alice)


def test_strings_without_likeness_are_refused_before_they_are_told() -> None:
    alice, bob = keys(10_000, 0.5, 6)

    with pytest.raises(ReconciliationFailed, match="leak more than"):
        reconcile(alice, bob, 0.02)


def test_alice_stops_a_bob_who_asks_too_much() -> None:
    parameters = CascadeParameters(leak_limit=0.3)
    ours, theirs = keys(10_000, 0.5, 7)
    alice, _ = parties(ours, theirs, 0.02, parameters)
    generator = np.random.default_rng(8)

    with pytest.raises(ReconciliationFailed):  # noqa: PT012 - the whole attack
        while True:
            size = (alice._pending + 7) // 8
            noise = generator.integers(0, 256, size, dtype=np.uint8)
            noise[-1] &= 0xFF >> (-alice._pending % 8)
            alice.answer(noise.tobytes())

    assert alice.leak_alice <= 0.3 * 10_000 + 256
    with pytest.raises(ReconciliationFailed):
        alice.answer(b"\0")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=30), st.booleans())
def test_octets_from_a_stranger_are_refused_or_harmless(messages: list[bytes], fit: bool) -> None:
    ours, theirs = keys(500, 0.05, 9)
    alice, bob = parties(ours, theirs, 0.05)
    bob.start()

    for party, take in ((alice, alice.answer), (bob, bob.receive)):
        for message in messages:
            due = (party._pending + 7) // 8
            octets = bytearray((message * (due + 1))[:due] if fit and message else message)
            if fit and octets and len(octets) == due:
                octets[-1] &= 0xFF >> (-party._pending % 8)
            try:
                take(bytes(octets))
            except ReconciliationFailed:
                break

    assert np.array_equal(ours, keys(500, 0.05, 9)[0])
    assert alice.leak_alice <= 500 + 256


@pytest.mark.parametrize("message", [b"", b"\0", b"\0" * 1000])
def test_messages_of_the_wrong_length_are_refused(message: bytes) -> None:
    alice, bob = parties(*keys(1000, 0.05, 10), 0.05)
    bob.start()

    with pytest.raises(ReconciliationFailed, match="were due"):
        alice.answer(message)
    with pytest.raises(ReconciliationFailed, match="were due"):
        bob.receive(message)


def test_bits_behind_the_last_parity_are_refused() -> None:
    alice, bob = parties(*keys(640, 0.05, 11), 0.05, CascadeParameters(block_sizes=(128, 128, 128)))
    request = bob.start()
    assert request is not None

    with pytest.raises(ReconciliationFailed):
        alice.answer(bytes([request[0] | 0x80]))


def test_an_empty_string_needs_no_words() -> None:
    alice, bob = parties(np.empty(0, np.uint8), np.empty(0, np.uint8), 0.05)

    assert bob.start() is None
    assert alice.is_finished
    assert bob.corrected.size == 0


@pytest.mark.parametrize(
    "key", [np.array([2], np.uint8), np.zeros((2, 2), np.uint8), np.zeros(3, np.int64)]
)
def test_what_is_no_string_of_bits_is_refused(key: Bits) -> None:
    with pytest.raises(ValueError, match="bits 0 and 1"):
        CascadeAlice(key, qber_hint=0.05, seed=b"")


def test_results_do_not_show_key_bits() -> None:
    alice, bob = keys(100, 0.05, 12)

    shown = repr(reconcile(alice, bob, 0.05))

    assert "array" not in shown
    assert "100 bits" in shown

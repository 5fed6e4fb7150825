from dataclasses import replace
from types import ModuleType

import msgspec
import numpy as np
import pytest

from qnx_hw.api.schema import LinkPhase
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import (
    Aborted,
    BlockStarted,
    Ended,
    KeyPending,
    KeyReady,
    Send,
)

Streams = tuple[list[TagBlock], list[TagBlock]]


@pytest.fixture(scope="module")
def tags(bench: ModuleType) -> Streams:
    """Tags of one quiet link, enough for one block and the beginning of the next."""
    return bench.Source().blocks()


def test_both_ends_release_the_same_secret_key(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    keys = pair.keys(Role.ALICE)
    assert keys == pair.keys(Role.BOB)
    assert list(keys) == [1]
    assert 8 * len(keys[1]) > 500
    assert pair.reasons(Role.ALICE) == pair.reasons(Role.BOB) == []


def test_keys_are_as_long_as_what_counts_as_leaked_leaves_them(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    lengths = []
    for count_leak in ("both", "pattern", "alice"):
        parameters = msgspec.structs.replace(small, count_leak=count_leak)
        pair = bench.Pair(parameters).start().feed(*tags)
        keys = pair.keys(Role.ALICE)
        assert keys == pair.keys(Role.BOB)
        lengths.append(len(keys[1]))

    both, pattern, alice = lengths
    assert both < pattern < alice


def test_a_row_of_blocks_brings_a_row_of_different_keys(
    bench: ModuleType, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*bench.Source(seconds=4.5, seed=2).blocks())

    keys = pair.keys(Role.ALICE)
    assert keys == pair.keys(Role.BOB)
    assert list(keys) == [1, 2, 3, 4][: len(keys)]
    assert len(keys) >= 3
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("visibility", [0.99, 0.92])
def test_both_ends_show_the_error_rate_that_is_there(
    bench: ModuleType, small: SessionParameters, visibility: float
) -> None:
    source = bench.Source(visibility=visibility)
    pair = bench.Pair(small).start().feed(*source.blocks())

    ours, theirs = pair.metrics(Role.ALICE), pair.metrics(Role.BOB)
    for name in ("qber_z", "qber_x", "qber"):
        estimate = getattr(ours, name)
        assert abs(estimate.value - (1 - visibility) / 2) < 5 * estimate.sigma
        assert estimate == getattr(theirs, name)
    assert abs(ours.chsh_s.value - 2**1.5 * visibility) < 5 * ours.chsh_s.sigma
    assert ours.matrix == theirs.matrix
    assert len(ours.matrix) == len(ours.matrix[3]) == 4


def test_alice_shows_the_delays_of_published_rounds_alone(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    shown, hidden = pair.metrics(Role.ALICE), pair.metrics(Role.BOB).delays
    assert shown.delays is not None
    assert shown.delays.block == shown.judged_block
    seen = np.array(shown.delays.counts)
    # Same bases: as many as were tested. Different bases: all of them, as the matrix says.
    same = int(seen[:2, :2].sum()), int(seen[2:, 2:].sum())
    assert same == shown.tested
    mixed = np.array(shown.matrix)
    assert (seen[:2, 2:].sum(2) == mixed[:2, 2:]).all()
    assert (seen[2:, :2].sum(2) == mixed[2:, :2]).all()
    assert seen[0, 0].sum() > 10 * seen[0, 1].sum()
    middle = shown.delays.start_ps + shown.delays.bin_ps * (np.arange(seen.shape[2]) + 0.5)
    assert abs(np.average(middle, weights=seen.sum((0, 1)))) < small.coincidence_window_ps / 4
    assert hidden is None


def test_alice_shows_clock_rates_and_histogram(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    shown = pair.metrics(Role.ALICE)
    assert shown.phase is LinkPhase.GENERATING
    assert shown.clock.is_locked
    assert abs(shown.clock.drift_ppb - 3000) < 5
    assert sum(shown.singles_cps) == pytest.approx(64_800, rel=0.03)
    # 51 200 pairs a second are seen by both; rounding costs those near a window's edge.
    assert 44_000 < shown.coincidence_rate_cps < 51_200
    assert shown.car > 100
    assert sum(shown.histogram.counts) > 10_000
    assert abs(shown.histogram.peak_ps) < 1000


def test_a_key_has_a_history(bench: ModuleType, tags: Streams, small: SessionParameters) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    alice, bob = (pair.of(role, KeyReady)[0] for role in Role)
    made = alice.provenance
    assert made == bob.provenance
    assert made.secret_bits == 8 * len(alice.key)
    assert made.sifted_bits > made.tested_bits > 0.25 * made.sifted_bits - 2
    assert made.leaked_bits >= 100
    assert made.epsilon_secrecy == small.epsilon_secrecy
    assert alice.released.block == 1
    assert bob.released is None


def test_what_must_be_kept_is_returned_before_what_must_be_sent(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    kinds = {
        role: [
            type(decode(o.message)) if isinstance(o, Send) else type(o) for o in pair.outputs[role]
        ]
        for role in Role
    }
    alice, bob = kinds[Role.ALICE], kinds[Role.BOB]
    assert alice.index(BlockStarted) < alice.index(messages.Plan)
    assert alice.index(KeyReady) < alice.index(messages.Release)
    assert bob.index(KeyPending) < bob.index(messages.Seal)


def test_no_message_holds_key_bits(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    key = pair.keys(Role.ALICE)[1]
    spoken = b"".join(message for _, message in pair.said)
    assert not any(key[i : i + 6] in spoken for i in range(len(key) - 5))


def test_bob_tells_times_to_one_window_and_nothing_else(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    for role, octets in pair.said:
        message = decode(octets)
        if isinstance(message, messages.Times | messages.Probe):
            assert role is Role.BOB
            fields = set(message.__struct_fields__)
            assert fields <= {"block", "start_ps", "end_ps", "is_final", "events"}


def test_bases_are_told_after_the_blocks_last_detection(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*tags)

    spoken = [decode(octets) for _, octets in pair.said]
    block = [m for m in spoken if getattr(m, "block", None) == 1]
    final = next(i for i, m in enumerate(block) if isinstance(m, messages.Times) and m.is_final)
    bases = [i for i, m in enumerate(block) if isinstance(m, messages.Pairs | messages.Bases)]
    tests = [i for i, m in enumerate(block) if isinstance(m, messages.Test)]
    assert final < min(bases)
    assert max(bases) < min(tests)


def test_an_eavesdropper_who_measures_and_resends_gets_no_key(
    bench: ModuleType, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*bench.Source(intercepted=True).blocks())

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    for role in Role:
        assert "error rate" in pair.of(role, Aborted)[0].reason
        assert abs(pair.metrics(role).qber.value - 0.26) < 0.03
        assert pair.metrics(role).chsh_s.value < 2


def test_a_link_below_its_chsh_minimum_gets_no_key(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    strict = msgspec.structs.replace(small, chsh_minimum=2.82)
    pair = bench.Pair(strict).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert "CHSH" in pair.of(Role.BOB, Aborted)[0].reason


def test_a_block_too_short_for_a_key_is_given_up_by_both(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    short = msgspec.structs.replace(small, block_sifted_bits=1000)
    pair = bench.Pair(short).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert len(pair.of(Role.ALICE, Aborted)) > 2
    numbers = [[a.block for a in pair.of(role, Aborted)] for role in Role]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("side", [0, 1])
def test_spans_with_lost_tags_are_cut_out(
    bench: ModuleType, tags: Streams, small: SessionParameters, side: int
) -> None:
    streams = [list(stream) for stream in tags]
    damaged = range(34, 38)
    for i in damaged:
        streams[side][i] = replace(streams[side][i], lost=3)
    pair = bench.Pair(small).start().feed(*streams)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    whole = bench.Pair(small).start().feed(*tags)
    share = pair.metrics(Role.ALICE).pairs / whole.metrics(Role.ALICE).pairs
    block_ps = 2 * small.block_sifted_bits / 47_300
    assert share == pytest.approx(1 - 0.05 * len(damaged) / block_ps, abs=0.05)


def test_a_tagger_whose_time_goes_back_ends_the_session(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start().feed(*(stream[:3] for stream in tags))
    pair.feed(tags[0][1:2], tags[1][3:4])

    assert "went back" in pair.of(Role.ALICE, Ended)[0].reason
    assert pair.of(Role.BOB, Ended)


def test_too_many_clicks_in_both_bases_end_a_block(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    crossed = []
    for block in tags[1]:
        some = slice(None, None, 8)
        times = np.concatenate((block.times_ps, block.times_ps[some]))
        others = 5 - block.channels[some]
        order = np.argsort(times, kind="stable")
        channels = np.concatenate((block.channels, others.astype(np.uint8)))[order]
        crossed.append(TagBlock(times[order], channels, block.start_ps, block.end_ps))
    pair = bench.Pair(small).start().feed(tags[0], crossed)

    assert pair.keys(Role.BOB) == {}
    assert "several bases" in pair.of(Role.BOB, Aborted)[0].reason
    assert pair.metrics(Role.BOB).cross_click_fraction == pytest.approx(0.125, abs=0.01)


def test_ends_with_different_settings_refuse_each_other_alike(
    bench: ModuleType, small: SessionParameters
) -> None:
    other = msgspec.structs.replace(small, qber_limit=0.1)
    pair = bench.Pair(small, theirs=other).start()

    assert pair.of(Role.ALICE, Ended) == pair.of(Role.BOB, Ended) != []
    assert "settings" in pair.of(Role.BOB, Ended)[0].reason


def test_an_ended_session_is_silent(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small).start()
    pair.close()
    before = len(pair.said)

    pair.feed(tags[0][:5], tags[1][:5])

    assert len(pair.said) == before
    assert all(session.has_ended for session in pair.sessions.values())


def test_a_station_without_a_peer_shows_its_own_rates(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small)
    session = pair.sessions[Role.BOB]

    shown = [output for block in tags[1][:15] for output in session.detections(block)]

    assert sum(shown[-1].metrics.singles_cps) > 30_000
    assert not any(isinstance(output, Send) for output in shown)


def test_two_streams_that_have_nothing_in_common_never_begin_a_block(
    bench: ModuleType, small: SessionParameters
) -> None:
    alice, _ = bench.Source(seed=3, seconds=1.5).blocks()
    _, bob = bench.Source(seed=4, seconds=1.5).blocks()
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    pair = bench.Pair(small, should_stop=should_stop).start().feed(alice, bob)

    assert asked
    assert pair.of(Role.ALICE, BlockStarted) == []
    assert not pair.metrics(Role.ALICE).clock.is_locked


def test_a_dead_time_leaves_events_out_and_keys_equal(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters: SessionParameters = msgspec.structs.replace(small, dead_time_ps=2_000_000)
    pair = bench.Pair(parameters).start().feed(*bench.Source(seconds=3.0).blocks())

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    assert pair.metrics(Role.ALICE).coincidence_rate_cps < 42_000


@pytest.mark.slow
def test_a_lost_clock_ends_the_block_and_is_found_again(
    bench: ModuleType, small: SessionParameters
) -> None:
    long = msgspec.structs.replace(small, block_sifted_bits=300_000)
    alice, bob = bench.Source(seconds=8.5, pairs_hz=60_000).blocks()
    _, other = bench.Source(seconds=8.5, pairs_hz=60_000, seed=8).blocks()
    bob[40:129] = other[40:129]

    pair = bench.Pair(long).start().feed(alice, bob)

    assert pair.of(Role.ALICE, Aborted)[0].reason == "the peer's clock was lost"
    assert len(pair.of(Role.BOB, Aborted)) == len(pair.of(Role.ALICE, Aborted))
    assert pair.metrics(Role.ALICE).clock.is_locked
    assert len(pair.of(Role.BOB, BlockStarted)) > 1

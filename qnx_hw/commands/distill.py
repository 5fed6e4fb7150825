"""`qnx distill A B`: run the whole pipeline over two recordings and say what key they hold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.errors import ConfigError, QnxError, RecordingError

if TYPE_CHECKING:
    from qnx_hw.instruments.tags import TagBlock
    from qnx_hw.qkd.offline import Outcome
    from qnx_hw.qkd.parameters import SessionParameters, StationInputs
    from qnx_hw.qkd.roles import Role

SPAN_PS = 100_000_000_000
MOST_DARK_BLOCKS = 36_000
"""An hour without a click; a recording with more of them than clicks makes no key."""


class BlockResult(msgspec.Struct, frozen=True, kw_only=True):
    """A block that made key."""

    block: int
    secret_bits: int
    sifted_bits: int
    tested_bits: int
    leaked_bits: int
    qber: float
    chsh_s: float


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """A block that made none."""

    block: int
    reason: str


class Distilled(msgspec.Struct, frozen=True, kw_only=True):
    """What two recordings hold; numbers only, no key."""

    protocol: str
    keys_equal: bool
    secret_bits: int
    epsilon: float
    duration_s: float
    """Time that both recordings cover."""
    secret_rate_bps: float
    coincidence_rate_cps: float | None
    accidental_rate_cps: float | None
    clock_offset_s: float | None
    """Bob's clock minus Alice's, each counted from its recording's beginning."""
    clock_drift_ppb: float | None
    qber: float | None
    chsh_s: float | None
    blocks: tuple[BlockResult, ...]
    given_up: tuple[GivenUp, ...]
    ended: str
    """Why the parties stopped before the recordings did; empty where they did not."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx distill alice.ptu bob.ptu\n"
        "  qnx distill a.ts b.ts --channels 1,2,3,4 --bob-channels 5,6,7,8 --json out.json\n"
        "  qnx distill alice.qnx bob.qnx --network lab.toml --link alice-bob\n"
        "  qnx distill alice-transmitter-00001.score.json bob.qnx --network decoy.toml\n\n"
        "Both parties run here, with the sessions of a running link; their keys are compared and\n"
        "destroyed. In decoy BB84, A is the score in Alice's recording: what her transmitter\n"
        "played in a session that began meanwhile. Ends with status 0 only if there is key, the\n"
        "same at both ends."
    )
    parser.add_argument("alice", type=Path, metavar="A", help="Alice's recording, or her score")
    parser.add_argument("bob", type=Path, metavar="B", help="Bob's recording, or the same file")
    parser.add_argument("--network", type=Path, metavar="FILE", help="take a link's settings")
    parser.add_argument("--link", metavar="NAME", help="which link of the network file")
    parser.add_argument("--protocol", choices=("bbm92", "e91"), default="bbm92")
    parser.add_argument(
        "--channels",
        type=_channels,
        default=(1, 2, 3, 4),
        metavar="H,V,D,A",
        help="the file's channel of each detector (default: 1,2,3,4)",
    )
    parser.add_argument(
        "--bob-channels",
        type=_channels,
        metavar="H,V,D,A[,…]",
        help="Bob's, where they differ; in E91 then those of 22.5, 112.5, 67.5, 157.5 degrees",
    )
    parser.add_argument("--window-ps", type=int, default=2000, metavar="PS", help="full width")
    parser.add_argument("--block-bits", type=int, default=100_000, metavar="N", help="sifted")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result")


def run(arguments: argparse.Namespace) -> int:
    """Distil, print, and compare."""
    from qnx_hw.node.scores import read_score
    from qnx_hw.qkd.offline import Rehearsal
    from qnx_hw.qkd.roles import Role
    from qnx_hw.qkd.session import SystemRandomness

    parameters, inputs = _from_file(arguments) if arguments.network else _from_options(arguments)
    is_pulsed = parameters.pulses is not None
    score = read_score(arguments.alice) if is_pulsed else None
    streams = {
        Role.ALICE: iter(()) if is_pulsed else _blocks(arguments.alice),
        Role.BOB: _blocks(arguments.bob),
    }
    rehearsal = Rehearsal(parameters, inputs, SystemRandomness(), score)
    covered_ps = 0
    for alice, bob in zip_longest(streams[Role.ALICE], streams[Role.BOB]):
        rehearsal.feed([alice] if alice else [], [bob] if bob else [])
        if bob and (alice or is_pulsed):
            covered_ps = min(each.end_ps for each in (alice, bob) if each)
    result = _result(rehearsal.finish(), parameters.protocol.value, covered_ps / 1e12)
    for line in _lines(result):
        print(line)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if not result.keys_equal:
        raise QnxError("the two parties' keys differ")
    if not result.secret_bits:
        reasons = {given.reason for given in result.given_up} | {result.ended} - {""}
        reasons = reasons or {"no block was finished"}
        raise QnxError(f"no key in these recordings: {'; '.join(sorted(reasons))}")
    return 0


def _channels(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _from_options(
    arguments: argparse.Namespace,
) -> tuple[SessionParameters, dict[Role, StationInputs]]:
    from qnx_hw.qkd.parameters import Protocol, SessionParameters, StationInputs
    from qnx_hw.qkd.roles import Role

    protocol = Protocol(arguments.protocol)
    bob = arguments.bob_channels or arguments.channels
    if (len(arguments.channels), len(bob)) != (4, 8 if protocol is Protocol.E91 else 4):
        raise ConfigError(
            f"{protocol} needs 4 channels of Alice and {8 if protocol is Protocol.E91 else 4} "
            f"of Bob, not {len(arguments.channels)} and {len(bob)}"
        )
    try:
        parameters = msgspec.convert(
            {
                "link": "recordings",
                "protocol": arguments.protocol,
                "coincidence_window_ps": arguments.window_ps,
                "block_sifted_bits": arguments.block_bits,
            },
            SessionParameters,
        )
        inputs = {
            Role.ALICE: StationInputs(channels=arguments.channels),
            Role.BOB: StationInputs(channels=bob),
        }
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return parameters, inputs


def _from_file(
    arguments: argparse.Namespace,
) -> tuple[SessionParameters, dict[Role, StationInputs]]:
    from qnx_hw import config
    from qnx_hw.node.keeping import session_parameters, station_inputs
    from qnx_hw.qkd.roles import Role

    links = config.load(arguments.network).links
    name = arguments.link or next(iter(links), "")
    if name not in links:
        raise ConfigError(
            f"{arguments.network} has no link '{name}'; it has {', '.join(links) or 'none'}"
        )
    link = links[name]
    inputs = {role: station_inputs(getattr(link, role.value)) for role in Role}
    return session_parameters(name, link), inputs


def _blocks(path: Path) -> Iterator[TagBlock]:
    """Yield a recording in blocks of 0.1 s, its time counted from its beginning."""
    from qnx_hw.timing.archive import MAGIC

    try:
        content = path.read_bytes()
        yield from _archived(content) if content.startswith(MAGIC) else _cut(content)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from error


def _archived(content: bytes) -> Iterator[TagBlock]:
    import dataclasses

    from qnx_hw.timing.archive import read_archive

    blocks = read_archive(content).blocks
    origin_ps = blocks[0].start_ps if blocks else 0
    for block in blocks:
        yield dataclasses.replace(
            block,
            times_ps=block.times_ps - origin_ps,
            start_ps=block.start_ps - origin_ps,
            end_ps=block.end_ps - origin_ps,
        )


def _cut(content: bytes) -> Iterator[TagBlock]:
    import numpy as np

    from qnx_hw.instruments.tags import TagBlock
    from qnx_hw.timing.recordings import read

    recording = read(content)
    if not recording.times_ps.size:
        return
    times_ps = recording.times_ps - recording.times_ps[0]
    starts_ps = range(0, int(times_ps[-1]) + 1, SPAN_PS)
    if len(starts_ps) > MOST_DARK_BLOCKS + times_ps.size:
        raise RecordingError(
            f"{times_ps.size} tags in {recording.duration_s:,.0f} s are too few for any key;"
            " is a time in the file wrong?"
        )
    for start_ps in starts_ps:
        part = slice(*np.searchsorted(times_ps, (start_ps, start_ps + SPAN_PS)).tolist())
        yield TagBlock(times_ps[part], recording.channels[part], start_ps, start_ps + SPAN_PS)


def _result(outcome: Outcome, protocol: str, duration_s: float) -> Distilled:
    alice = outcome.alice
    bits = sum(made.secret_bits for made in outcome.made)
    offset_ps = alice.clock.offset_ps
    return Distilled(
        protocol=protocol,
        keys_equal=outcome.are_equal,
        secret_bits=bits,
        epsilon=sum(made.epsilon_secrecy + made.epsilon_correctness for made in outcome.made),
        duration_s=duration_s,
        secret_rate_bps=bits / duration_s if duration_s else 0.0,
        coincidence_rate_cps=alice.coincidence_rate_cps,
        accidental_rate_cps=alice.accidental_rate_cps,
        clock_offset_s=None if offset_ps is None else offset_ps / 1e12,
        clock_drift_ppb=alice.clock.drift_ppb,
        qber=alice.qber.value,
        chsh_s=alice.chsh_s.value,
        blocks=tuple(
            BlockResult(
                block=made.block,
                secret_bits=made.secret_bits,
                sifted_bits=made.sifted_bits,
                tested_bits=made.tested_bits,
                leaked_bits=made.leaked_bits,
                qber=made.qber,
                chsh_s=made.chsh_s,
            )
            for made in outcome.made
        ),
        ended=outcome.ended,
        given_up=tuple(GivenUp(block=n, reason=why) for n, why in outcome.given_up),
    )


def _lines(result: Distilled) -> Iterator[str]:
    if result.clock_offset_s is not None and result.clock_drift_ppb is not None:
        yield (
            f"Bob's clock: {result.clock_offset_s:+.9f} s, {result.clock_drift_ppb:+.1f} ppb; "
            f"{result.coincidence_rate_cps or 0.0:,.0f} coincidences/s"
        )
    for made in result.blocks:
        chsh = f"S {made.chsh_s:.3f}, " if result.protocol != "decoy-bb84" else ""
        yield (
            f"block {made.block}: {made.sifted_bits:,} sifted, QBER {made.qber:.2%}, {chsh}"
            f"{made.leaked_bits:,} leaked, {made.secret_bits:,} secret bits"
        )
    for given in result.given_up:
        yield f"block {given.block}: no key: {given.reason}"
    yield f"{result.secret_bits:,} secret bits in {result.duration_s:.1f} s, the same at both ends"

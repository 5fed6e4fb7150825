"""Schedules repeat, wires break and tell what passed, layouts put a wire into every connection."""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from free_ports import free_ports

from qnx_hw import config
from qnx_hw.api.schema import Event, Level
from qnx_hw.bus.core import installed_server
from qnx_hw.cli import main
from qnx_hw.commands.chaos.core import Core, running
from qnx_hw.commands.chaos.layout import lay_out
from qnx_hw.commands.chaos.report import Recovery, Report, lines, page
from qnx_hw.commands.chaos.schedule import Kind, faults
from qnx_hw.commands.chaos.traffic import PEAK_BYTES, steps_of
from qnx_hw.commands.chaos.trial import open_since
from qnx_hw.commands.chaos.watch import Alarm, fates
from qnx_hw.commands.chaos.wires import Wire, joined
from qnx_hw.commands.same_key import gap
from qnx_hw.errors import ConfigError

EXAMPLES = Path(__file__).parents[3] / "examples"
DEMO = EXAMPLES / "demo.toml"
FIVE_SITES = EXAMPLES / "five-sites.toml"
ALL = frozenset(Kind)


def test_a_seed_gives_its_faults_again_and_another_gives_others() -> None:
    network = config.load(DEMO)

    assert faults(network, "1", ALL) == faults(network, "1", ALL)
    assert faults(network, "1", ALL) != faults(network, "2", ALL)


def test_every_node_instrument_and_link_gets_its_turn() -> None:
    network = config.load(DEMO)

    found = {(fault.kind, fault.target) for fault in faults(network, "1", ALL)}

    assert {(Kind.KILL, "alice"), (Kind.KILL, "bob"), (Kind.CUT, "alice-bob")} <= found
    assert {target for kind, target in found if kind is Kind.UNPLUG} == {
        f"{node}.{instrument}"
        for node in ("alice", "bob")
        for instrument in ("tagger", "detectors", "polarization")
    }
    assert (Kind.EAVESDROPPER, "bob") in found
    assert {fault.kind for fault in faults(network, "1", frozenset({Kind.CUT}))} == {Kind.CUT}


def test_a_network_with_a_controller_loses_it_and_the_core_too() -> None:
    network = config.load(FIVE_SITES)

    found = {(fault.kind, fault.target) for fault in faults(network, "1", ALL)}

    assert {target for kind, target in found if kind is Kind.CERTIFICATE} == {
        network.saes[sae].node for sae in network.saes
    }
    assert {(Kind.CONTROLLER, "alice"), (Kind.CORE, "core"), (Kind.DISK, "erin")} <= found
    assert {kind for kind, _ in found} == ALL


def test_the_busiest_flows_of_a_traffic_file_are_played(tmp_path: Path) -> None:
    file = tmp_path / "traffic.npz"
    demand = np.zeros((3, 2, 2))
    demand[:, 0, 1], demand[:, 1, 0] = (4.0, 8.0, 2.0), (0.0, 1.0, 0.5)
    np.savez(file, tm_mbps=demand)

    busy, quiet = steps_of(file, 2)

    assert busy == (PEAK_BYTES // 2, PEAK_BYTES, PEAK_BYTES // 4)
    assert quiet == (1, PEAK_BYTES // 8, PEAK_BYTES // 16)
    with pytest.raises(ConfigError, match="holds no traffic"):
        steps_of(tmp_path / "other.npz", 1)


def test_nothing_of_a_layout_goes_around_its_wires(tmp_path: Path) -> None:
    layout = lay_out(DEMO, tmp_path)

    real = {node: section.listen for node, section in layout.network.nodes.items()}
    for node, file in layout.files.items():
        seen = config.load(file)
        for peer, section in seen.nodes.items():
            assert (section.listen == real[peer]) is (peer == node)
        wired = {wire.port for wire in layout.wires}
        for section in seen.nodes[node].instruments.values():
            url = section.url.partition("?")
            assert int(url[0].rpartition(":")[2]) in wired
            assert not url[2] or int(url[2].partition("=")[2]) in wired
    assert "bench" in tomllib.loads(layout.laboratory.read_text())
    for wire in layout.wires:
        wire.close()


def test_a_bench_that_takes_no_commands_is_given_a_place_for_them(tmp_path: Path) -> None:
    layout = lay_out(EXAMPLES / "decoy-bb84.toml", tmp_path)

    url = layout.network.bench["control"]
    assert url.startswith("tcp://127.0.0.1:")
    assert int(url.rpartition(":")[2]) not in {wire.port for wire in layout.wires}
    for wire in layout.wires:
        wire.close()


def test_a_wire_passes_keeps_and_breaks(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(await reader.read(100))
            await writer.drain()
            await reader.read()
        writer.transport.abort()

    async def scene() -> None:
        (far,) = free_ports(1)
        wire = Wire("a-b", far, tmp_path)
        near = wire.port
        server = await asyncio.start_server(echo, "127.0.0.1", far)
        async with asyncio.timeout(120), joined([wire]):
            reader, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(b"a marker here")
            assert await reader.read(100) == b"a marker here"
            assert wire.found([b"marker", b"absent"]) == 1
            wire.cut()
            with suppress(ConnectionError):
                assert await reader.read(1) == b""
            writer.close()
            _, refused = await asyncio.open_connection("127.0.0.1", near)
            wire.mend()
            again, once_more = await asyncio.open_connection("127.0.0.1", near)
            once_more.write(b"whole")
            assert await again.read(100) == b"whole"
            once_more.close()
            refused.close()
        server.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("ours", "theirs", "missing"),
    [
        ({2, 3, 4, 5}, {2, 3, 4, 5}, set()),
        ({2, 3, 4, 5, 6}, {2, 3, 4, 5}, set()),  # on its way
        ({1, 2, 3, 4, 5, 6}, {2, 4, 5, 6}, set()),  # drawn by Bob, who is ahead
        ({1, 2, 3, 4, 5, 6}, {2, 4, 6}, set()),  # all that were Bob's
        ({2, 3, 4, 5, 6}, {2, 3, 5, 6}, {4}),
        ({1, 2, 3, 4, 5, 7}, {1, 2, 4, 5, 7}, {3}),
    ],
)
def test_a_block_between_others_may_not_be_missing(
    ours: set[int], theirs: set[int], missing: set[int]
) -> None:
    assert gap(ours, theirs) == gap(theirs, ours) == missing


def report(seed: int, *times: float | None, broken: tuple[str, ...] = ()) -> Report:
    return Report(
        seed=seed,
        file="demo.toml",
        date="2026-01-01",
        machine="m",
        minutes=1.0,
        faults=tuple(
            Recovery(kind="cut", target="a", lasted_s=1.0, told=True, recovered_s=each)
            for each in times
        ),
        broken=broken,
        blocks=3,
        keys_delivered=2,
        tunnel_bytes=0,
        searched_bytes=10,
    )


def test_recovery_times_are_summed_up_over_runs() -> None:
    (line,) = lines([report(1, 1.0, 9.0), report(2, 2.0, None)])

    assert (line.count, line.survived, line.median_s, line.p99_s) == (4, 3, 2.0, 9.0)


def test_an_alarm_is_left_open_where_it_came_with_a_fault_and_is_not_over() -> None:
    usual, over, stays = (Alarm("bob", at, "bob tagger", "lost") for at in (1.0, 2.0, 3.0))

    left = open_since({usual: True, stays: True, over: False}, {usual})

    assert left == [stays]
    assert not stays.is_of_stock
    assert Alarm("bob", 1.0, "bob", "keys for eve run low", "keys for eve").is_of_stock
    one = msgspec.structs.replace(report(1, 1.0), left_open=("bob tagger of bob: lost",))
    assert "1 were not over at the end" in page([one, report(2, 1.0)])


def test_a_block_newer_than_a_refused_one_was_heard_as_a_whole() -> None:
    said = [
        (9.0, Level.WARNING, "ab", "block 1 was given up: the error rate in Z is 9.0%, above"),
        (11.0, Level.OK, "ab", "block 2: 512 secret bits"),
        (12.0, Level.WARNING, "ab", "block 3 was given up: the error rate in Z is 12.0%, above"),
        (13.0, Level.WARNING, "ab", "block 4 was given up: the error rate in X is 25.0%, above"),
        (14.0, Level.WARNING, "ab", "block 4 was given up: the peer gave it up"),
        (15.0, Level.OK, "ab", "block 5: 512 secret bits"),
        (16.0, Level.WARNING, "ab", "block 6 was given up: the corrected strings still differ"),
        (17.0, Level.OK, "cd", "block 7: 512 secret bits"),
        (18.0, Level.OK, "ab", "alice-bob made key again"),
    ]
    events = [
        Event(number=number, time_s=time_s, level=level, source=source, message=message)
        for number, (time_s, level, source, message) in enumerate(said)
    ]

    told = fates(events, "ab", since_s=10.0)

    assert (told.released, told.refused) == ({2, 5}, {3, 4})
    assert told.heard() == {4, 5}
    assert not fates(events[:2], "ab", since_s=10.0).heard()


@pytest.mark.slow
def test_a_core_that_ends_by_itself_is_started_again_and_a_killed_one_stays_away(
    tmp_path: Path,
) -> None:
    if installed_server() is None:
        pytest.skip("nats-server is not installed")
    (port,) = free_ports(1)

    async def is_there() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    async def there_again(core: Core, after: int | None = None) -> None:
        while True:
            if core.process_id != after and await is_there():
                return
            await asyncio.sleep(0.05)

    async def scene() -> None:
        core = Core(tmp_path / "core", port)
        core.prepare("lab", ["alice"])
        async with asyncio.timeout(120), running(core):
            await there_again(core)
            first = core.process_id
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await there_again(core, after=first)
            await core.kill()
            assert not await is_there()
            await core.start()
            await there_again(core)
            assert core.ended_by_itself == 1

    asyncio.run(scene())


def test_the_page_names_what_broke() -> None:
    written = page([report(1, 1.0), report(2, None, broken=("the sky fell",))])

    assert "| cut | 2 | 1 | 1.0 s | 1.0 s |" in written
    assert "- seed 2: the sky fell" in written
    assert not report(2, None, broken=("the sky fell",)).is_good


def test_a_network_without_a_bench_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(DEMO.read_text().partition("[bench]")[0])

    assert main(["chaos", str(file)]) == 1
    assert "simulated laboratories only" in capsys.readouterr().err


def test_the_folder_of_an_earlier_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "alice.log").touch()

    assert main(["chaos", str(DEMO), "--seed", "7", "--keep", str(tmp_path)]) == 1
    assert "holds an earlier run" in capsys.readouterr().err

"""What users type: files, streams and tunnels on running nodes."""

import argparse
import asyncio
import contextlib
import io
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from edge_sites import Running, running

from qnx_hw.commands import recv, send, stream, tunnel
from qnx_hw.commands.door import at_the_door
from qnx_hw.edge.local import Reply
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import ChannelError, ConfigError, QnxError

DEADLINE_S = 120.0


def play(folder: Path, scene: Callable[[Running], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_S), running(folder) as net:
            await scene(net)

    asyncio.run(limited())


def call(command: ModuleType, *words: object) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return int(command.run(parser.parse_args([str(word) for word in words])))


async def typed(command: ModuleType, *words: object) -> int:
    return await asyncio.to_thread(call, command, *words)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    with contextlib.ExitStack() as opened:

        def give(octets: bytes) -> None:
            reading, writing = os.pipe()
            os.write(writing, octets)
            os.close(writing)
            text = opened.enter_context(io.TextIOWrapper(os.fdopen(reading, "rb")))
            monkeypatch.setattr("sys.stdin", text)

        yield give


def test_a_file_is_sent_and_fetched_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    octets = secrets.token_bytes(2_500_000)
    file, into = tmp_path / "data.bin", tmp_path / "here"
    file.write_bytes(octets)
    into.mkdir()
    (into / "data.bin").write_bytes(b"mine")

    async def scene(net: Running) -> None:
        out = tmp_path / "sent.json"
        assert (
            await typed(send, net.file, file, "--to", "bob", "--node", "alice", "--json", out) == 0
        )
        assert json.loads(out.read_text())["state"] == "arrived"
        assert await typed(recv, net.file, "--node", "bob", "--into", into, "--wait", 20) == 0
        assert (into / "data.bin").read_bytes() == b"mine"
        assert (into / "data-1.bin").read_bytes() == octets
        with pytest.raises(QnxError, match="no file arrived"):
            await typed(recv, net.file, "--node", "bob", "--wait", 0.01)

    play(tmp_path, scene)
    assert "alice → " in capsys.readouterr().out


def test_a_stream_is_fed_and_says_what_was_saved(
    tmp_path: Path, stdin: Callable[[bytes], None]
) -> None:
    lines = [b'{"n": %d, "place": "cold finger"}' % number for number in range(200)]
    stdin(b"\n".join([*lines, b"no json"]))

    async def scene(net: Running) -> None:
        out = tmp_path / "saved.json"
        assert await typed(stream, net.file, "sensors", "--node", "alice", "--json", out) == 0
        result = json.loads(out.read_text())
        assert result["bytes_out"] < 0.5 * result["bytes_in"]
        assert result["refused_lines"] == 1
        octets = b""
        while octets.count(b"\n") < 200:
            octets += await net.sites["bob"].sinks["sensors"].read()
        assert [json.loads(line)["n"] for line in octets.splitlines()] == list(range(200))

    play(tmp_path, scene)


def test_standard_input_goes_through_a_tunnel(
    tmp_path: Path, stdin: Callable[[bytes], None], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stdin(b"through the tunnel")

    async def scene(net: Running) -> None:
        assert await typed(tunnel, net.file, "web", "--stdio", "--node", "alice") == 0

    play(tmp_path, scene)
    assert b"THROUGH THE TUNNEL" in capfdbinary.readouterr().out


def test_a_tunnel_that_ends_early_is_no_success(
    tmp_path: Path, stdin: Callable[[bytes], None], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stdin(b"to nobody")

    async def nobody(traffic: Traffic) -> socket.socket:
        raise ChannelError("nobody is there")

    async def scene(net: Running) -> None:
        net.sites["bob"].edge.services["tunnel"] = nobody
        with pytest.raises(QnxError, match="it ended: "):
            await typed(tunnel, net.file, "web", "--stdio", "--node", "alice")

    play(tmp_path, scene)
    assert capfdbinary.readouterr().out == b""


def test_mistakes_are_said_in_words(tmp_path: Path) -> None:
    async def scene(net: Running) -> None:
        with pytest.raises(ConfigError, match="say which with --node"):
            await typed(recv, net.file)
        with pytest.raises(ConfigError, match="'eve' is not one of them"):
            await typed(recv, net.file, "--node", "eve")
        with pytest.raises(QnxError, match="no tunnel 'none'"):
            await typed(tunnel, net.file, "none", "--stdio", "--node", "alice")
        with pytest.raises(QnxError, match="no stream 'none' ends here; there is sensors"):
            await typed(stream, net.file, "none", "--out", "--node", "bob")
        with pytest.raises(QnxError, match="cannot read"):
            await typed(send, net.file, tmp_path / "gone", "--to", "bob", "--node", "alice")
        for place in ("mallory", "alice"):
            with pytest.raises(ConfigError, match=f"'{place}' is not one of them"):
                await typed(send, net.file, net.file, "--to", place, "--node", "alice")

    play(tmp_path, scene)


def test_a_node_that_ends_ends_its_commands_without_a_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(net: Running) -> None:
        with contextlib.ExitStack() as opened:
            door = at_the_door(net.file, "bob", what="read", name="sensors")
            at = await asyncio.to_thread(opened.enter_context, door)
            await asyncio.to_thread(at.answer, Reply)
            await net.stop("bob")
            assert await asyncio.to_thread(at.answers.read) == b""

    play(tmp_path, scene)
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


def test_a_node_that_does_not_run_is_named(tmp_path: Path) -> None:
    async def scene(net: Running) -> None:
        await net.stop("bob")
        with pytest.raises(QnxError, match=r"'bob' does not run here.*qnx run"):
            await typed(recv, net.file, "--node", "bob")

    play(tmp_path, scene)

"""A whole simulated laboratory, as `qnx sim` runs it."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim_devices.serve import serve_bench

NETWORK = """
[network]
name = "small"
[nodes.alice]
listen = "127.0.0.1:0"
[nodes.bob]
listen = "127.0.0.1:0"
[links.ab.alice]
node = "alice"
[links.ab.bob]
node = "bob"
[bench]
seed = 3
[bench.sources.spdc]
kind = "spdc"
pair_rate_hz = 50000.0
arms = ["alice", "bob"]
[bench.stations.alice]
[bench.stations.bob]
clock_offset_s = 1.7
[bench.emulators.bob-tagger]
kind = "tdc1"
station = "bob"
listen = ["tcp://127.0.0.1:0"]
[bench.emulators.bob-detectors]
kind = "websq"
station = "bob"
listen = ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]
"""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('station = "bob"', 'station = "eve"', "bob-tagger: station: the bench has no station 'ev"),
        ('kind = "tdc1"', 'kind = "tdc9"', "bench.emulators.bob-tagger: there is no kind 'tdc9'"),
        ('kind = "tdc1"\n', "", "bench.emulators.bob-tagger: kind is missing; known are"),
        ('["tcp://127.0.0.1:0"]', '"tcp://127.0.0.1:0"', "bob-tagger: listen must be a list such"),
        ('["tcp://127.0.0.1:0"]', '["here"]', "bob-tagger: cannot listen at 'here': use pty"),
    ],
)
def test_a_mistake_in_the_laboratory_is_named_with_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, words: str
) -> None:
    file = tmp_path / "small.toml"
    file.write_text(NETWORK.replace(before, after, 1))

    assert serve_bench([str(file)]) == 1

    assert words in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_with_its_emulator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(NETWORK.replace('127.0.0.1:0"]', f'127.0.0.1:{port}"]', 1))
        assert serve_bench([str(file)]) == 1

    assert "bench.emulators.bob-tagger.listen: Address already in use" in capsys.readouterr().err


@pytest.mark.slow
def test_a_laboratory_announces_itself_and_makes_light(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(NETWORK)
    command = [sys.executable, "-m", "qnx_hw", "sim", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 100.0)[0], "no first line"
            summary = json.loads(process.stdout.readline())
            tagger = summary["endpoints"]["bob-tagger"][0]
            words = stream(tagger, 0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()

    assert set(summary["endpoints"]) == {"bob-tagger", "bob-detectors"}
    assert len(summary["endpoints"]["bob-detectors"]) == 2
    clicks = words[words & 0x10 == 0]
    seen = sum(int(np.count_nonzero(clicks >> bit & 1)) for bit in range(4))
    expected = 0.5 * sum(summary["expected"]["ab"]["singles_bob_cps"])
    assert 0.9 * expected < seen < 1.1 * expected
    # Markers and clicks share the station's clock: the time never runs backwards.
    steps = np.diff((words >> 5).astype(np.int64)) % (1 << 27)
    assert steps.max() < 1 << 26


def stream(url: str, span_s: float) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    host, port = url.removeprefix("tcp://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(f"time {round(span_s * 1000)};timestamp;counts?;\n".encode())
        while piece := _next(connection):
            received += piece
    return np.frombuffer(received[: len(received) // 4 * 4], dtype="<u4")


def _next(connection: socket.socket) -> bytes:
    connection.settimeout(2.0)
    try:
        return connection.recv(1 << 16)
    except TimeoutError:
        return b""


def test_a_file_without_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qnx_hw.cli import main

    file = tmp_path / "wrong.toml"
    file.write_text('[bench.emulators.x]\nkind = "teapot"\n')

    assert main(["sim", str(file)]) == 1
    assert "teapot" in capsys.readouterr().err

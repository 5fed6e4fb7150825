"""A network file whose ports are taken moves as a whole."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw import config
from qnx_hw.commands.ports import free_ports, held_ports, is_free, local_ports, moved, resolve
from qnx_hw.errors import ConfigError

TEXT = """
[network]
name = "lab"
[api]
listen = "127.0.0.1:{api}"
[nodes.alice]
listen = "127.0.0.1:{peer}"
instruments.tagger = {{ driver = "websq", url = "tcp://127.0.0.1:{wire}?counts_port={counts}" }}
[nodes.far]
listen = "192.168.0.7:{peer}"
[bench.emulators.one]
listen = ["tcp://127.0.0.1:{wire}", "tcp://127.0.0.1:{counts}"]
"""


@given(st.sets(st.integers(1024, 65535), min_size=1, max_size=5))
def test_moving_ports_and_back_changes_nothing(ports: set[int]) -> None:
    table = {"a": [f"tcp://127.0.0.1:{port}?x_port={port}" for port in sorted(ports)], "b": 7}
    there = {port: 100_000 - port for port in ports}
    back = {new: old for old, new in there.items()}

    assert local_ports(table) == ports
    assert moved(moved(table, there), back) == table


def test_a_taken_port_moves_all_local_ones_consistently(tmp_path: Path) -> None:
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        peer = occupant.getsockname()[1]
        api, wire, counts = free_ports(3)
        file = tmp_path / "lab.toml"
        file.write_text(TEXT.format(api=api, peer=peer, wire=wire, counts=counts))

        resolved, ports = resolve(file, tmp_path / "data")

    network = config.load(resolved)
    assert set(ports) == {api, peer, wire, counts}
    assert network.api.listen == f"127.0.0.1:{ports[api]}"
    assert network.nodes["far"].listen == f"192.168.0.7:{peer}"
    url = network.nodes["alice"].instruments["tagger"].url
    assert url == f"tcp://127.0.0.1:{ports[wire]}?counts_port={ports[counts]}"
    assert network.is_simulated(url)
    assert network.network.data_dir == str(tmp_path / "data")


def test_a_file_whose_ports_are_free_is_used_as_it_is(tmp_path: Path) -> None:
    api, peer, wire, counts = free_ports(4)
    file = tmp_path / "lab.toml"
    file.write_text(TEXT.format(api=api, peer=peer, wire=wire, counts=counts))

    assert resolve(file, None) == (file, {})


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text("[network")

    with pytest.raises(ConfigError, match=r"lab\.toml"):
        resolve(file, None)


def test_free_ports_differ_and_are_not_those_that_systems_hand_out() -> None:
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert all(map(is_free, ports))
    with socket.create_server(("127.0.0.1", 0)) as anybody:
        assert max(ports) < anybody.getsockname()[1]


def test_held_ports_are_nobody_elses_meanwhile() -> None:
    with held_ports(3) as ports:
        assert not any(map(is_free, ports))
    assert all(map(is_free, ports))


def test_the_shipped_example_holds_only_local_ports() -> None:
    example = Path(__file__).parents[2] / "examples" / "demo.toml"

    assert len(local_ports(tomllib.loads(example.read_text()))) == 14

"""What is missing is found and named, with what to do about it."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qnx_hw import config
from qnx_hw.cli import main
from qnx_hw.keys import initial, pki
from qnx_hw.keys.store import KeyStore
from qnx_hw.node.doctor import Finding, Health, installation, network
from qnx_hw.node.doctor.installation import packages, qt
from qnx_hw.node.doctor.machine import disk, serial_ports
from qnx_hw.node.doctor.network import certificate, key_store

EXAMPLE = Path(__file__).parents[3] / "examples" / "demo.toml"
NOW = dt.datetime.now(dt.UTC)


def problems(findings: list[Finding]) -> list[str]:
    return [each.subject for each in findings if each.health is Health.PROBLEM]


def test_this_installation_is_whole() -> None:
    assert problems(list(installation())) == []


@pytest.mark.parametrize(
    ("have", "is_good"),
    [("6.8", True), ("6.11.3", True), ("6.9.1", False), ("6.12.0", False), ("6.7", False)],
)
def test_versions_known_to_be_bad_are_refused(have: str, is_good: bool) -> None:
    lines = [
        'pyside6-essentials!=6.9.1,<6.12,>=6.8; python_version < "3.12"',
        'pyside6-essentials>=99; python_version >= "3.12"',
        'ruff>=0.8; extra == "dev"',
    ]

    found = list(packages(lines, lambda name: have, (3, 11, 7)))

    assert problems(found) == ([] if is_good else ["package pyside6-essentials"])


def test_a_missing_package_and_an_old_python_are_named() -> None:
    assert problems(list(packages(["numpy>=2"], lambda name: None, (3, 11)))) == ["package numpy"]
    assert "Python" in problems(list(installation((3, 9, 0))))


def test_qt_without_its_libraries_ends_in_advice(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: libEGL.so.1: cannot open' >&2\nexit 1\n")
    python.chmod(0o755)

    finding = qt(str(python))

    assert finding.health is Health.NOTE
    assert "libegl1" in finding.advice


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    far = tmp_path / "not" / "yet"

    assert disk(far).health is not Health.PROBLEM
    assert disk(far, need=1 << 62).health is Health.PROBLEM


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_port_of_others_is_told(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch(mode=0)

    assert problems(list(serial_ports([port]))) == [f"serial port {port}"]


def test_certificates_are_judged_by_their_dates(tmp_path: Path) -> None:
    pki.make_authority(tmp_path, pki.SAE_AUTHORITY)
    path = pki.authority(tmp_path, pki.SAE_AUTHORITY).certificate

    def at(days: float) -> Finding:
        return certificate(path, made + dt.timedelta(days=days))

    made = dt.datetime.now(dt.UTC)
    assert at(0).health is Health.OK
    assert at(pki.AUTHORITY_VALID_DAYS - 10).health is Health.NOTE
    assert at(pki.AUTHORITY_VALID_DAYS + 10).health is Health.PROBLEM
    assert "not valid yet" in at(-10).found
    assert certificate(tmp_path / "none.pem", NOW).health is Health.PROBLEM


def test_a_key_store_is_sound_in_use_open_to_others_old_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    with closing(KeyStore(tmp_path)):
        assert "in use" in key_store(path).found
    assert key_store(path).health is Health.OK

    path.chmod(0o644)
    assert "chmod 600" in key_store(path).advice
    path.chmod(0o600)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert "version 1" in key_store(path).found
    path.write_bytes(b"no database at all, only words" * 50)
    assert "damaged" in key_store(path).found


def test_a_network_without_secrets_cannot_begin(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace(".qnx/demo", str(tmp_path)).replace('"tdc1"', '"tdc9"', 1)
    file = config.parse(text)

    found = problems(list(network(file, ("alice",), NOW)))
    initial.prepare("alice-bob", (file.folder_of("alice"), file.folder_of("bob")))
    after = problems(list(network(file, ("alice",), NOW)))

    assert set(found) - set(after) == {"initial secret of alice-bob"}
    assert after == ["instrument alice.tagger"]


def test_the_command_writes_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(EXAMPLE.read_text().replace(".qnx/demo", str(tmp_path / "data")))
    out = tmp_path / "out.json"

    assert main(["doctor", str(file), "--json", str(out)]) == 1
    assert main(["keys", "init", str(file)]) == 0
    assert main(["doctor", str(file), "--json", str(out)]) == 0
    assert {each["subject"] for each in json.loads(out.read_text())} >= {"Python", "Qt", "disk"}


def test_all_ports_that_are_taken_are_one_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.toml"
    with (
        socket.create_server(("127.0.0.1", 0)) as api,
        socket.create_server(("127.0.0.1", 0)) as node,
    ):
        first, second = sorted(each.getsockname()[1] for each in (api, node))
        file.write_text(
            f'[network]\nname = "lab"\ndata_dir = "{tmp_path}"\n'
            f'[api]\nlisten = "127.0.0.1:{first}"\n'
            f'[nodes.alice]\nlisten = "127.0.0.1:{second}"\n'
        )
        main(["doctor", str(file)])

    said = capsys.readouterr().out
    assert f"ports: somebody listens at {first}, {second}\n" in said
    assert said.count("somebody listens") == 1

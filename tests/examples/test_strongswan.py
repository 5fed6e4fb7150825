"""strongSwan with a key of two key managers as its post-quantum pre-shared key (RFC 8784)."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from containers import SCRIPTS, fetch, obstacle, run

PROGRAMS = ("charon-systemd", "swanctl", "ip", "python3")
OUTER = {"a": "10.97.7.1", "b": "10.97.7.2"}
DAEMON = """
charon-systemd {{
    load_modular = no
    plugins {{
        vici {{ socket = unix://{folder}/{side}.vici }}
    }}
    filelog {{ {side} {{ path = {folder}/{side}.log
        default = 1 }} }}
    journal {{ default = -1 }}
}}
swanctl {{ load = random openssl pem pkcs1 pkcs8 x509 constraints pubkey }}
"""
CONNECTION = """
connections {{ qnx {{
    version = 2
    local_addrs = {ours}
    remote_addrs = {theirs}
    childless = force
    proposals = aes256-sha384-modp2048
    ppk_id = "{ppk}"
    ppk_required = yes
    local {{ auth = psk
        id = {ours} }}
    remote {{ auth = psk
        id = {theirs} }}
}} }}
secrets {{ ike-all {{ secret = "for this test alone" }} }}
include {folder}/{side}.ppk
"""


OBSTACLE = obstacle(PROGRAMS)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)]


@contextmanager
def charon(side: str, space: str, folder: Path) -> Iterator[None]:
    settings = folder / f"{side}.daemon.conf"
    settings.write_text(DAEMON.format(folder=folder, side=side))
    process = subprocess.Popen(
        ["ip", "netns", "exec", space, "charon-systemd"],
        env=os.environ | {"STRONGSWAN_CONF": str(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (folder / f"{side}.vici").exists():
            assert process.poll() is None, "charon-systemd ended"
        yield
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def joined(folder: Path) -> Iterator[None]:
    tag = secrets.token_hex(2)
    spaces = {side: f"qnx-{side}-{tag}" for side in OUTER}
    with ExitStack() as stack:
        for space in spaces.values():
            run("ip", "netns", "add", space)
            stack.callback(run, "ip", "netns", "del", space)
        run(
            *("ip", "link", "add", "outer", "netns", spaces["a"], "type", "veth"),
            *("peer", "name", "outer", "netns", spaces["b"]),
        )
        for side, space in spaces.items():
            within = ("ip", "netns", "exec", space)
            run(*within, "ip", "address", "add", f"{OUTER[side]}/24", "dev", "outer")
            run(*within, "ip", "link", "set", "outer", "up")
            stack.enter_context(charon(side, space, folder))
        yield


def swanctl(folder: Path, side: str, *words: str) -> str:
    settings = folder / f"{side}.daemon.conf"
    done = subprocess.run(
        ["swanctl", *words, "--uri", f"unix://{folder}/{side}.vici"],
        env=os.environ | {"STRONGSWAN_CONF": str(settings)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def load(folder: Path, side: str, ppk: str) -> None:
    other = "b" if side == "a" else "a"
    file = folder / f"{side}.conf"
    text = CONNECTION.format(
        ours=OUTER[side], theirs=OUTER[other], ppk=ppk, folder=folder, side=side
    )
    file.write_text(text)
    said = swanctl(folder, side, "--load-all", "--clear", "--file", str(file))
    assert "loaded ppk" in said, said
    assert "loaded connection 'qnx'" in said, said


def test_both_ends_need_the_same_fetched_key(tmp_path: Path) -> None:
    (ours, theirs), (wrong, _) = fetch(tmp_path, 2)
    name = run(SCRIPTS / "strongswan-ppk", tmp_path / "a.ppk", ours).strip()
    assert run(SCRIPTS / "strongswan-ppk", tmp_path / "b.ppk", theirs).strip() == name
    with joined(tmp_path):
        for side in OUTER:
            load(tmp_path, side, name)
        said = swanctl(tmp_path, "a", "--initiate", "--ike", "qnx", "--timeout", "20")
        assert "established" in said, said
        assert "/PPK" in swanctl(tmp_path, "a", "--list-sas")
        swanctl(tmp_path, "a", "--terminate", "--ike", "qnx", "--timeout", "10")

        stranger = run(SCRIPTS / "strongswan-ppk", tmp_path / "c.ppk", wrong).strip()
        stolen = (tmp_path / "c.ppk").read_text().replace(stranger, name)
        (tmp_path / "a.ppk").write_text(stolen)
        load(tmp_path, "a", name)
        said = swanctl(tmp_path, "a", "--initiate", "--ike", "qnx", "--timeout", "20")
        assert "AUTH_FAILED" in said
        assert "/PPK" not in swanctl(tmp_path, "a", "--list-sas")

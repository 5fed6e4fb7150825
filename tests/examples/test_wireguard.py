"""WireGuard with keys of two key managers as its pre-shared keys, renewed while it runs."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from containers import SCRIPTS, fetch, obstacle, run

PROGRAMS = ("wireguard-go", "wg", "ip", "python3")
PORT = 51820
ADDRESSES = {"a": "10.99.7.1", "b": "10.99.7.2"}
OUTER = {"a": "10.98.7.1", "b": "10.98.7.2"}


OBSTACLE = obstacle(PROGRAMS, needs_tun=True)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)]


class End:
    """One WireGuard interface in a network namespace of its own."""

    def __init__(self, side: str, tag: str, folder: Path) -> None:
        self.side = side
        self.space = f"qnx-{side}-{tag}"
        self.device = f"w{side}{tag}"
        self._key = folder / f"{side}.key"
        self._key.write_text(run("wg", "genkey"))
        self._key.chmod(0o600)
        private = self._key.read_text()
        derived = subprocess.run(
            ["wg", "pubkey"], input=private, capture_output=True, text=True, check=True
        )
        self.public = derived.stdout.strip()

    def within(self, *words: str | Path) -> str:
        return run("ip", "netns", "exec", self.space, *words)

    @contextmanager
    def up(self) -> Iterator[None]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.space, "wireguard-go", "-f", self.device],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            control = Path(f"/var/run/wireguard/{self.device}.sock")
            while not control.exists():
                assert process.poll() is None
            self.within(
                "wg", "set", self.device, "listen-port", str(PORT), "private-key", self._key
            )
            self.within("ip", "address", "add", f"{ADDRESSES[self.side]}/24", "dev", self.device)
            self.within("ip", "link", "set", self.device, "up")
            yield
        finally:
            process.terminate()
            process.wait(120)

    def meet(self, other: End, container: Path) -> None:
        """Forget the session with the other end, and begin anew with the key of a container."""
        peer = (self.device, "peer", other.public)
        self.within("wg", "set", *peer, "remove")
        self.within(SCRIPTS / "wireguard-psk", self.device, other.public, container)
        endpoint = f"{OUTER[other.side]}:{PORT}"
        allowed = f"{ADDRESSES[other.side]}/32"
        self.within("wg", "set", *peer, "endpoint", endpoint, "allowed-ips", allowed)


SEND = "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(0.25)\n"
ASK = (
    SEND
    + """
for _ in range(int(sys.argv[2])):
    s.sendto(b'hello', (sys.argv[1], 7))
    try:
        print(s.recv(9).decode()); break
    except TimeoutError: pass
"""
)
ANSWER = """
import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('', 7))
print('ready', flush=True)
while True:
    octets, whence = s.recvfrom(9); s.sendto(octets, whence)
"""


@contextmanager
def joined(folder: Path) -> Iterator[tuple[End, End]]:
    tag = secrets.token_hex(2)
    with ExitStack() as stack:
        ends = End("a", tag, folder), End("b", tag, folder)
        for end in ends:
            run("ip", "netns", "add", end.space)
            stack.callback(run, "ip", "netns", "del", end.space)
        run(
            *("ip", "link", "add", "outer", "netns", ends[0].space, "type", "veth"),
            *("peer", "name", "outer", "netns", ends[1].space),
        )
        for end in ends:
            end.within("ip", "address", "add", f"{OUTER[end.side]}/24", "dev", "outer")
            end.within("ip", "link", "set", "outer", "up")
            stack.enter_context(end.up())
        answering = subprocess.Popen(
            ["ip", "netns", "exec", ends[1].space, "python3", "-c", ANSWER],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(answering.wait, 10)
        stack.callback(answering.kill)
        assert answering.stdout is not None
        stack.callback(answering.stdout.close)
        assert answering.stdout.readline() == "ready\n"
        yield ends


def hello(end: End, tries: int) -> str:
    return end.within("python3", "-c", ASK, ADDRESSES["b"], str(tries)).strip()


def test_both_ends_need_the_same_fetched_key(tmp_path: Path) -> None:
    containers = fetch(tmp_path, 3)
    with joined(tmp_path) as (ours, theirs):
        for at in range(2):  # once, and renewed: the responder first
            theirs.meet(ours, containers[at][1])
            ours.meet(theirs, containers[at][0])
            assert hello(ours, 80) == "hello"
        ours.meet(theirs, containers[2][0])
        assert hello(ours, 12) == ""

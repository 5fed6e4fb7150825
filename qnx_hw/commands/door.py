"""How commands reach the edge of a node that runs on this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

import msgspec

from qnx_hw import config
from qnx_hw.errors import UNREADABLE, ConfigError, QnxError

ANSWER_DEADLINE_S = 120.0

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class Caller:
    """One question to a node's door, and the bytes after it."""

    def __init__(self, circuit: socket.socket) -> None:
        self.circuit = circuit
        self.answers: BufferedReader = circuit.makefile("rb")

    def answer(self, kind: type[_Answer]) -> _Answer:
        """Read one answer; `QnxError` with the node's words where it refused."""
        from qnx_hw.edge.local import Reply

        line = self.answers.readline()
        if not line:
            raise QnxError("the node ended the conversation")
        try:
            reply = msgspec.json.decode(line, type=Reply)
            if reply.error:
                raise QnxError(reply.error)
            return msgspec.json.decode(line, type=kind)
        except UNREADABLE as error:
            raise QnxError(f"the node answered what it should not: {error}") from error

    def octets(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        found = self.answers.read(size)
        if len(found) != size:
            raise QnxError("the node ended the conversation")
        return found


def edges_of(network: config.NetworkFile) -> list[str]:
    """Return the nodes that carry users' traffic."""
    return [name for name, section in network.nodes.items() if section.edge is not None]


@contextmanager
def at_the_door(file: Path, node: str | None, /, **wishes: str | int) -> Iterator[Caller]:
    """Ask the edge of a running node; `node` may be left out where the file has only one edge."""
    from qnx_hw.edge.local import DOOR, Ask, Key

    network = config.load(file)
    edges = edges_of(network)
    if node is None and len(edges) == 1:
        node = edges[0]
    if node not in edges:
        asked = f"'{node}' is not one of them" if node else "say which with --node"
        raise ConfigError(f"{file} has edges at {', '.join(edges) or 'no node'}; {asked}")
    path = network.folder_of(node) / "edge" / DOOR
    try:
        key = msgspec.json.decode(path.read_bytes(), type=Key)
        circuit = socket.create_connection(("127.0.0.1", key.port), ANSWER_DEADLINE_S)
    except (OSError, *UNREADABLE) as error:
        why = getattr(error, "strerror", None) or error
        raise QnxError(
            f"node '{node}' does not run here, by {path}: {why}; "
            f"start it with `qnx run {file} --node {node}`"
        ) from error
    with circuit:
        circuit.sendall(msgspec.json.encode(Ask(token=key.token, **wishes)) + b"\n")  # type: ignore[arg-type]  # names of Ask
        try:
            yield Caller(circuit)
        except OSError as error:
            raise QnxError(f"node '{node}' went away: {error}") from error

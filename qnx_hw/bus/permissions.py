"""What each participant may say and hear, and the nats-server's configuration that enforces it.

The server takes the user from the client's certificate (`verify_and_map`: the subject `CN=NAME`),
so a node cannot speak for another. Nodes have no right to create JetStream consumers: those deliver
to subjects of their maker's choice, past the rights of publishing. They read single stored messages
instead, and hear changes on the subjects where the server repeats what it has stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from qnx_hw.bus.interface import BUCKETS, MAX_PAYLOAD_BYTES, STREAMS

CONTROLLER = "Controller"
"""No node can have this name: theirs have no capital letters."""
REPEATED = "qnx.kv"
"""Where the server repeats changes of buckets, with their revision."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns of subjects."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def rights_of_node(node: str) -> Rights:
    """Return what a node may do: speak for itself, read routes, answer what it is asked."""
    return Rights(
        publish=(
            *(f"qnx.{stream}.{node}" for stream in STREAMS),
            f"$KV.nodes.{node}",
            *(f"$JS.API.DIRECT.GET.KV_{bucket}.>" for bucket in BUCKETS),
            *(f"$JS.API.STREAM.INFO.KV_{bucket}" for bucket in BUCKETS),
        ),
        subscribe=(f"qnx.ask.{node}.*", f"{REPEATED}.>", f"_INBOX.{node}.>"),
    )


def rights_of_controller() -> Rights:
    """Return what the controller may do: hear all, ask, write routes, keep the stores."""
    return Rights(
        publish=("qnx.ask.>", "$KV.routes.>", "$JS.API.>"),
        subscribe=("qnx.>", f"_INBOX.{CONTROLLER}.>"),
    )


def server_configuration(
    nodes: Sequence[str],
    *,
    listen: str,
    store: Path,
    certificate: Path,
    key: Path,
    authority: Path,
) -> str:
    """Return a nats-server configuration: mutual TLS, one user per node, stores on disk."""
    users = [(node, rights_of_node(node)) for node in nodes]
    users.append((CONTROLLER, rights_of_controller()))
    return f"""\
# Made by qnx; one user per certificate of this network.
listen: {_quoted(listen)}
server_name: "qnx-core"
max_payload: {MAX_PAYLOAD_BYTES + 4096}
jetstream {{ store_dir: {_quoted(store)} }}
tls {{
  cert_file: {_quoted(certificate)}
  key_file: {_quoted(key)}
  ca_file: {_quoted(authority)}
  verify_and_map: true
  timeout: 5
}}
authorization {{
  users = [
{chr(10).join(_user(name, rights) for name, rights in users)}
  ]
}}
"""


def _user(name: str, rights: Rights) -> str:
    return f"""\
    {{ user: {_quoted(f"CN={name}")}, permissions: {{
      publish: {{ allow: {_list(rights.publish)} }}
      subscribe: {{ allow: {_list(rights.subscribe)} }}
      allow_responses: {{ max: 1, expires: "1m" }}
    }} }}"""


def _list(patterns: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, patterns))}]"


def _quoted(value: object) -> str:
    return msgspec.json.encode(str(value)).decode()

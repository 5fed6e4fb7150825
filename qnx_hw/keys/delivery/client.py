"""A client of ETSI GS QKD 014, as an application would write it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from qnx_hw.errors import ChannelError, RequestRefused
from qnx_hw.keys.delivery.values014 import Status

DEADLINE_S = 10.0
MAX_ANSWER_BYTES = 16 << 20


class Client:
    """One kept connection to a key manager; a context manager. Blocks, at most `DEADLINE_S`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        self._address = f"{host}:{port}"
        self._connection = http.client.HTTPSConnection(host, port, timeout=DEADLINE_S, context=tls)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def status(self, slave: str) -> Status:
        """Return what the key manager offers for keys shared with `slave`."""
        return msgspec.json.decode(self._ask("GET", slave, "status"), type=Status)

    def get(self, slave: str, *, number: int = 1, size: int | None = None) -> bytes:
        """Return a key container of new keys that `slave` can fetch by their names."""
        asked = {"number": number} | ({} if size is None else {"size": size})
        return self._ask("POST", slave, "enc_keys", asked)

    def get_by_id(self, master: str, key_ids: Sequence[str]) -> bytes:
        """Return a key container of the keys of these names that `master` got."""
        asked = {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]}
        return self._ask("POST", master, "dec_keys", asked)

    def _ask(self, method: str, sae: str, what: str, asked: object = None) -> bytes:
        path = f"/api/v1/keys/{quote(sae, safe='')}/{what}"
        body = None if asked is None else json.dumps(asked).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            self._connection.request(method, path, body=body, headers=headers)
            response = self._connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise ChannelError(f"the key manager at {self._address} is lost: {error}") from error
        if response.status != http.HTTPStatus.OK:
            raise RequestRefused(
                f"the key manager at {self._address} refused ({response.status}): "
                f"{_message(answer)}",
                response.status,
            )
        return answer


def names_in(container: bytes) -> list[tuple[str, int]]:
    """Return the names of the keys in a container, and how many bits each has."""
    found: Any = json.loads(container)  # its members are looked up by name below
    return [(each["key_ID"], len(each["key"].rstrip("=")) * 6 // 8 * 8) for each in found["keys"]]


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"

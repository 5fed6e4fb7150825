"""The values of ETSI GS QKD 014 V1.1.1, clause 6, as they are written on the wire."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from qnx_hw.errors import RequestRefused

MAX_DEPTH = 16
SIZE_MULTIPLE = "size shall be a multiple of 8"  # clause 6.2
NOT_FOUND = "one or more keys specified are not found on KME"  # clause 5.4
BAD_FORMAT = "bad request format"

Extension = dict[str, Any]
"""Anything a vendor may put there; it is checked for depth alone."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Clause 6.1."""

    source_KME_ID: str
    target_KME_ID: str
    master_SAE_ID: str
    slave_SAE_ID: str
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_SAE_ID_count: int


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Clause 6.2; every member may be missing, or null, which means the same."""

    number: int = 1
    size: int | None = None
    additional_slave_SAE_IDs: tuple[str, ...] = ()
    extension_mandatory: tuple[Extension, ...] = ()
    extension_optional: tuple[Extension, ...] = ()


class KeyId(msgspec.Struct, frozen=True, kw_only=True):
    """One key asked for by name."""

    key_ID: str
    key_ID_extension: Extension | None = None


class KeyIds(msgspec.Struct, frozen=True, kw_only=True):
    """Clause 6.4."""

    key_IDs: tuple[KeyId, ...]
    key_IDs_extension: Extension | None = None


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Clause 6.5."""

    message: str
    details: tuple[Mapping[str, str], ...] = ()


_MEMBERS = msgspec.json.Decoder(dict[str, Any])
_KEY_IDS = msgspec.json.Decoder(KeyIds)


def container(
    names: Sequence[str],
    keys: Sequence[bytes],
    extension: Mapping[str, object] | None = None,
) -> bytes:
    """Return a key container, clause 6.3; written by hand, so that no value holds the key."""
    written = msgspec.json.encode(names)[1:-1].split(b",")
    entries = [
        b'{"key_ID":%b,"key":"%b"}' % (name, b2a_base64(key, newline=False))
        for name, key in zip(written, keys, strict=True)
    ]
    about = (
        b""
        if extension is None
        else b',"key_container_extension":' + msgspec.json.encode(extension)
    )
    return b'{"keys":[' + b",".join(entries) + b"]" + about + b"}"


def error(message: str) -> bytes:
    """Return an error body."""
    return msgspec.json.encode(Error(message=message))


def key_request(method: str, query: bytes, body: bytes) -> KeyRequest:
    """Read what *Get key* asks for, in its GET or POST form."""
    if method == "POST":
        if query:
            raise RequestRefused("a POST request has its parameters in the body", 400)
        members: dict[str, Any] = _decoded(_MEMBERS, body)
        request = _converted(members)
        _check_depth((request.extension_mandatory, request.extension_optional))
        return request
    _check_no_body(body)
    given = _parameters(query, ("number", "size"))
    numbers = {name: _number(text) for name, text in given.items()}
    return KeyRequest(**numbers)  # type: ignore[arg-type]  # the names were checked


def key_ids(method: str, query: bytes, body: bytes) -> tuple[str, ...]:
    """Read which keys *Get key with key IDs* asks for, in its GET or POST form."""
    if method == "POST":
        if query:
            raise RequestRefused("a POST request has its parameters in the body", 400)
        asked = _decoded(_KEY_IDS, body)
        _check_depth((asked.key_IDs_extension, *(each.key_ID_extension for each in asked.key_IDs)))
        return tuple(each.key_ID for each in asked.key_IDs)
    _check_no_body(body)
    given = _parameters(query, ("key_ID",))
    if "key_ID" not in given:
        raise RequestRefused("a GET request names one key: ?key_ID=UUID", 400)
    return (given["key_ID"],)


def _converted(members: dict[str, Any]) -> KeyRequest:
    given = {name: value for name, value in members.items() if value is not None}
    try:
        return msgspec.convert(given, KeyRequest)
    except msgspec.ValidationError as error_:
        raise RequestRefused(f"{BAD_FORMAT}: {_shown(error_)}", 400) from None


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:  # of the decoder's type
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error_:
        raise RequestRefused(f"{BAD_FORMAT}: {_shown(error_)}", 400) from None
    except RecursionError:
        raise RequestRefused(f"{BAD_FORMAT}: nested too deeply", 400) from None


def _shown(error_: Exception) -> str:
    """msgspec names the place and the types, never the value."""
    return str(error_)[:200] if isinstance(error_, msgspec.DecodeError) else "not UTF-8"


def _check_depth(value: object, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise RequestRefused(f"{BAD_FORMAT}: nested more than {MAX_DEPTH} deep", 400)
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            _check_depth(each, depth + 1)


def _check_no_body(body: bytes) -> None:
    if body:
        raise RequestRefused("a GET request has no body; use POST", 400)


def _parameters(query: bytes, known: tuple[str, ...]) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=8,
        )
    except ValueError:
        raise RequestRefused(f"{BAD_FORMAT}: the query cannot be read", 400) from None
    given = dict(pairs)
    if len(given) != len(pairs) or not set(given) <= set(known):
        raise RequestRefused(f"a GET request takes {' and '.join(known)}, each once; use POST", 400)
    return given


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RequestRefused(f"{BAD_FORMAT}: number and size are whole numbers", 400)
    return int(text)

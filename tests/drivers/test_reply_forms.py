"""Firmware writes its replies as it likes: other ends of lines, blanks around them, other case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points

import pytest

from qnx_hw.instruments import registry
from sim_devices.emulators.emulator import Emulator, Output, PortKind

Serve = Callable[..., list[str]]
Form = Callable[[bytes], bytes]
KINDS = {
    "cc1": "",
    "dd100": "",
    "dg645": "",
    "epc400": "",
    "id120": "?max_bias_v=160",
    "osw": "",
    "pax1000": "",
    "pm100": "",
    "polatis": "",
    "s15spd": "?max_bias_v=195",
    "tdc1": "",
}


def with_line_feeds(reply: bytes) -> bytes:
    return reply.lower().replace(b"\r\n", b"\n")


def with_blanks(reply: bytes) -> bytes:
    lines = reply.upper().splitlines(keepends=True)
    return b"".join(b" " + line.rstrip() + b"  \r\n" if line.strip() else line for line in lines)


class Reworded(Emulator):
    """An emulator whose lines come in another form."""

    def __init__(self, inner: Emulator, form: Form) -> None:
        self._inner, self._form = inner, form
        self.ports: tuple[PortKind, ...] = inner.ports
        self.default_listen: tuple[str, ...] = inner.default_listen

    def connected(self, port: int, client: int) -> bytes:
        return self._inner.connected(port, client)

    def disconnected(self, port: int, client: int) -> None:
        self._inner.disconnected(port, client)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        return self._reworded(self._inner.feed(port, client, received, now_s))

    def tick(self, now_s: float) -> list[Output]:
        return self._reworded(self._inner.tick(now_s))

    def _reworded(self, outputs: list[Output]) -> list[Output]:
        return [replace(output, payload=self._form(output.payload)) for output in outputs]


def held(kind: str, url: str) -> dict[str, object]:
    instrument = registry.make(kind, url, kind)
    try:
        instrument.connect()
        return {**instrument.settings()}
    finally:
        instrument.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [with_line_feeds, with_blanks])
def test_settings_are_read_whatever_their_form(serve: Serve, kind: str, form: Form) -> None:
    (point,) = entry_points(group="qnx_hw.emulators", name=kind)
    (plain,) = serve(point.load()(None, {}))
    (reworded,) = serve(Reworded(point.load()(None, {}), form))

    assert held(kind, reworded + KINDS[kind]) == held(kind, plain + KINDS[kind])

"""The boards by their page: bytes in, bytes out, without our driver."""

from __future__ import annotations

import json
import struct
import zlib
from itertools import pairwise

import pytest

from sim_devices.emulators.fpga_board import FpgaBoardEmulator
from sim_devices.emulators.fpga_tagger import FpgaTaggerEmulator
from sim_devices.emulators.fpga_transmitter import FpgaTransmitterEmulator

IDENTIFY, READ, WRITE, START, STOP = 1, 2, 3, 4, 5
TAGS, REFUSED = 0x40, 0xFF


def packed(kind: int, number: int, payload: bytes = b"") -> bytes:
    body = b"QB" + struct.pack("<BBI", kind, number, len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def unpacked(received: bytes) -> list[tuple[int, int, bytes]]:
    frames = []
    while received:
        assert received[:2] == b"QB"
        kind, number, length = struct.unpack_from("<BBI", received, 2)
        body, check = received[: 8 + length], received[8 + length : 12 + length]
        assert check == struct.pack("<I", zlib.crc32(body))
        frames.append((kind, number, body[8:]))
        received = received[12 + length :]
    return frames


def said(board: FpgaBoardEmulator, sent: bytes, now_s: float = 0.0) -> list[tuple[int, int, bytes]]:
    return unpacked(b"".join(output.payload for output in board.feed(0, 1, sent, now_s)))


def test_requests_are_answered_in_their_order_and_under_their_numbers() -> None:
    sent = packed(READ, 7) + packed(IDENTIFY, 255) + packed(STOP, 1)

    replies = said(FpgaTaggerEmulator(), sent)

    assert [reply[:2] for reply in replies] == [(0x82, 7), (0x81, 255), (0x85, 1)]
    facts = json.loads(replies[1][2])
    assert facts["role"] == "tagger"
    assert {"maker", "model", "serial", "firmware", "inputs", "resolution_ps"} <= facts.keys()


def test_what_is_no_frame_is_skipped() -> None:
    spoiled = bytearray(packed(READ, 1))
    spoiled[-1] ^= 1
    too_long = b"QB" + struct.pack("<BBI", READ, 2, (1 << 24) + 1)
    sent = b"hello Q" + bytes(spoiled) + too_long + b"Q" + packed(READ, 3)

    assert [reply[:2] for reply in said(FpgaTaggerEmulator(), sent)] == [(0x82, 3)]


@pytest.mark.parametrize(
    "wanted",
    [
        {"threshold_1_v": 0.1, "colour": 1},
        {"threshold_1_v": 0.1, "threshold_2_v": True},
        {"threshold_1_v": 0.1, "threshold_2_v": None},
        {"threshold_1_v": 0.1, "threshold_2_v": "1"},
        {"threshold_1_v": 0.1, "threshold_2_v": 5.1},
        {"threshold_1_v": 0.1, "edge_1": "up"},
        {"threshold_1_v": 0.1, "edge_1": 1},
        [],
        None,
    ],
)
def test_settings_are_written_all_or_none(wanted: object) -> None:
    board = FpgaTaggerEmulator()

    (refused,) = said(board, packed(WRITE, 9, json.dumps(wanted).encode()))

    assert refused[:2] == (REFUSED, 9)
    assert refused[2].decode()
    (held,) = said(board, packed(READ, 10))
    assert json.loads(held[2])["threshold_1_v"] == 0.5
    (written,) = said(board, packed(WRITE, 11, b'{"threshold_1_v": -0.25}'))
    assert json.loads(written[2])["threshold_1_v"] == -0.25


def test_spans_join_from_start_to_stop() -> None:
    board = FpgaTaggerEmulator(options={"rate_cps": 50_000.0, "inputs": 4})
    said(board, packed(START, 1), 1.0)
    spans = [
        struct.unpack_from("<qqiI", payload)
        for tick in range(1, 40)
        for output in board.tick(1.0 + tick / 100)
        for kind, number, payload in unpacked(output.payload)
        if (kind, number) == (TAGS, 0)
    ]

    assert spans[0][0] == 10**12
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(span[1] - span[0] == pytest.approx(2e10, rel=0.6) for span in spans)
    assert sum(span[3] for span in spans) == pytest.approx(4 * 50_000 * 0.38, rel=0.1)
    said(board, packed(STOP, 2), 1.4)
    assert board.tick(1.5) == []


def test_a_seed_is_played_once_and_a_pattern_again() -> None:
    board = FpgaTransmitterEmulator()
    seed = bytes(32) + bytes(16) + struct.pack("<QIB", 1000, 1 << 14, 1) + struct.pack("<I", 9)

    def kinds(*requests: bytes) -> list[int]:
        return [kind for request in requests for kind, _, _ in said(board, request)]

    assert kinds(packed(START, 1)) == [REFUSED]
    assert kinds(packed(0x10, 2, seed), packed(START, 3), packed(STOP, 4)) == [0x90, 0x84, 0x85]
    assert kinds(packed(START, 5)) == [REFUSED]
    assert kinds(packed(0x11, 6, b"\x00\x05"), packed(START, 7), packed(START, 8)) == [
        0x91,
        0x84,
        0x84,
    ]
    assert (
        kinds(packed(0x10, 9, seed[:-1]), packed(0x11, 10, b""), packed(0x11, 11, b"\x10"))
        == [REFUSED] * 3
    )

"""Every parser that faces a wire or a file: good inputs to start from, and what it may raise."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import msgspec
import numpy as np

from drivers import elliptec, fpga_frames, id900_replies, thorlabs_apt
from drivers.tdc1_words import WordDecoder
from drivers.websq_labels import Labels
from gui.desktop.layouts import LayoutStore, SavedLayout
from qnx_hw import config
from qnx_hw.api.sse import SseDecoder
from qnx_hw.bus.routes import NextHop, RouteEntry, RouteTable
from qnx_hw.edge import forwarding, greeting
from qnx_hw.edge.handshake import Hello, Mode
from qnx_hw.edge.records import HEADER_BYTES, BadRecord, RecordDecoder, RecordType, pack_header
from qnx_hw.errors import QnxError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.keys import messages as key_messages
from qnx_hw.keys.delivery import values014, values020
from qnx_hw.keys.ledger import Order, Run
from qnx_hw.qkd import messages, slots
from qnx_hw.timing import archive, tag_codec
from qnx_hw.timing.recordings import Format, read, to_ptu
from qnx_hw.transports.replay import read_transcript

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
LIMIT = 100_000


@dataclass(frozen=True)
class Target:
    """A parser; `parse` returns for good bytes and raises one of `refusals` for all others."""

    parse: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    refusals: tuple[type[Exception], ...] = (QnxError,)


def kept(name: str) -> list[bytes]:
    """Return the inputs that are kept for a target: those that once broke it."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def _refused(target: Target, octets: bytes) -> bool:
    try:
        target.parse(octets)
    except target.refusals:
        return True
    return False


def try_out(name: str, octets: bytes) -> bool:
    """Return whether these bytes are read; otherwise they are refused as they should be."""
    return not _refused(TARGETS[name], octets)


@cache
def seeds_of(name: str) -> tuple[bytes, ...]:
    """Return good inputs of a target, and those that are kept."""
    return (*TARGETS[name].seeds(), *kept(name))


def _times() -> np.ndarray:
    return np.cumsum(np.random.default_rng(1).integers(1, 5000, 60)).astype(np.int64)


def _channels() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 5, 60).astype(np.uint8)


def _archived() -> bytes:
    file = io.BytesIO()
    writer = archive.ArchiveWriter(file, archive.Origin(node="alice", instrument="tagger"))
    times = _times()
    writer.write(TagBlock(times, _channels(), 0, int(times[-1]) + 1))
    writer.close()
    return file.getvalue()


def _sfifteen() -> bytes:
    words = (_times().astype(np.uint64) << np.uint64(10)) | np.uint64(1)
    return words.astype("<u8").tobytes()


def _sfifteen_text() -> bytes:
    return b"\n".join(b"%016x" % word for word in np.frombuffer(_sfifteen(), "<u8").tolist())


def _qutag() -> bytes:
    pairs = zip(_times().tolist(), _channels().tolist(), strict=True)
    return b"\x87" * 40 + b"".join(struct.pack("<QH", *pair) for pair in pairs)


def _classical() -> list[bytes]:
    return [
        messages.encode(message)
        for message in (
            messages.Plan(7, 10**12),
            messages.Release(9, bytes(16)),
            messages.Times(3, 0, 10**9, False, b"\x01\x02"),
            messages.Probe(0, 10**9, b""),
            messages.Abort(1, "because"),
        )
    ]


def _reserve() -> key_messages.Reserve:
    order = Order(
        key_ids=("490a382d-da27-4f44-b928-9c3b8b7c1a2d",),
        runs=(Run(0, 1),),
        n_bits=256,
        master="sae-a",
        holders=("sae-b",),
        expires_s=1e9,
        may_be_simulated=True,
    )
    return key_messages.Reserve("alice-bob", order)


def _tunnel_records() -> bytes:
    content = bytearray(HEADER_BYTES + 40)
    pack_header(content, 0, (RecordType.DATA, 1, 2, 3, 40))
    return bytes(content) * 2


def _route_table() -> bytes:
    hop = NextHop(node="charlie", weight=1.0)
    entry = RouteEntry(source="alice", destination="bob", traffic_class="any", next_hops=(hop,))
    return msgspec.json.encode(RouteTable(node="alice", revision=1, time_s=0.0, entries=(entry,)))


def _span() -> bytes:
    times = _times()
    head = struct.pack("<qqiI", 0, int(times[-1]) + 1, 0, times.size)
    return head + times.astype("<i8").tobytes() + _channels().tobytes()


def _hello() -> bytes:
    return msgspec.msgpack.encode(
        Hello(
            session=bytes(16),
            source="alice",
            destination="bob",
            tunnel="t",
            service="echo",
            mode=Mode.AES,
            key_id="k",
            epoch=0,
            nonce=bytes(32),
            kem_key=b"",
            mixes_kem=False,
        )
    )


def _layout(octets: bytes) -> None:
    with TemporaryDirectory() as made:
        store = LayoutStore(Path(made))
        store.path.write_bytes(octets)
        store.load("6")


def _layouts() -> list[bytes]:
    with TemporaryDirectory() as made:
        store = LayoutStore(Path(made))
        store.save(SavedLayout(qt="6", screens="1", workspace="link"))
        return [store.path.read_bytes()]


def _transcript(octets: bytes) -> None:
    with TemporaryDirectory() as made:
        path = Path(made) / "one.jsonl"
        path.write_bytes(octets)
        read_transcript(path)


def _network_file(octets: bytes) -> None:
    with TemporaryDirectory() as made:
        path = Path(made) / "lab.toml"
        path.write_bytes(octets)
        config.load(path)


def _words(octets: bytes) -> None:
    decoder = WordDecoder()
    half = len(octets) // 2
    decoder.feed(octets[:half])
    decoder.feed(octets[half:])


def _labels(octets: bytes) -> None:
    labels = Labels("websq")
    for line in octets.splitlines():
        labels.take_message(line)
        labels.take_counts(line)


def _apt(octets: bytes) -> None:
    for frame in thorlabs_apt.AptFramer().feed(octets):
        message = thorlabs_apt.decode(frame)
        for read_part in (
            thorlabs_apt.hardware_identity,
            thorlabs_apt.motor_status,
            thorlabs_apt.rich_response,
        ):
            try:
                read_part(message)
            except QnxError:
                continue


def _elliptec(octets: bytes) -> None:
    for line in octets.split(b"\r\n"):
        reply = elliptec.decode(line)
        if reply is None:
            continue
        for read_part in (
            elliptec.position,
            elliptec.status,
            elliptec.velocity,
            elliptec.module,
        ):
            try:
                read_part(reply)
            except QnxError:
                continue


def _board(octets: bytes) -> None:
    for message in fpga_frames.Frames().feed(octets):
        frame = fpga_frames.read(message)
        fpga_frames.tag_block(frame.payload)


def _id900(octets: bytes) -> None:
    for read_part in (
        lambda: id900_replies.identity(id900_replies.checked("t", "*IDN?", octets)),
        lambda: id900_replies.quantity(id900_replies.checked("t", "C?", octets), "ps"),
        lambda: id900_replies.stream_id("t", octets),
        lambda: id900_replies.stream_status("t", octets),
        lambda: id900_replies.stamps(octets),
    ):
        try:
            read_part()
        except QnxError:
            continue


def _records(octets: bytes) -> None:
    for header, record in RecordDecoder().feed(octets):
        assert len(record) == HEADER_BYTES + header.length


def _events(octets: bytes) -> None:
    decoder = SseDecoder()
    list(decoder.feed(octets[: len(octets) // 2]))
    list(decoder.feed(octets[len(octets) // 2 :]))


def _examples() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "examples").glob("*.toml"))]


def _transcripts() -> list[bytes]:
    folder = ROOT / "tests" / "drivers" / "transcripts"
    return [path.read_bytes() for path in sorted(folder.glob("*.jsonl"))]


def _recording(kind: Format, *seeds: Callable[[], bytes]) -> Target:
    return Target(lambda octets: read(octets, kind), lambda: [seed() for seed in seeds])


TARGETS: MappingProxyType[str, Target] = MappingProxyType(
    {
        "classical-channel": Target(messages.decode, _classical),
        "event-times": Target(
            lambda octets: slots.decode_slots(octets, 1 << 40),
            lambda: [slots.encode_slots(_times())],
        ),
        "tag-codec": Target(
            tag_codec.decode,
            lambda: [tag_codec.encode(_times(), _channels())],
            (QnxError, ValueError),
        ),
        "key-requests": Target(
            key_messages.decode_requests, lambda: [key_messages.encode([_reserve()])]
        ),
        "key-replies": Target(
            lambda octets: key_messages.decode_replies(octets, 1),
            lambda: [
                key_messages.encode([reply])
                for reply in (key_messages.Done(), key_messages.Refused("no key is left"))
            ],
        ),
        "tunnel-records": Target(
            _records, lambda: [_tunnel_records(), bytes(HEADER_BYTES)], (QnxError, BadRecord)
        ),
        "tunnel-greeting": Target(greeting.read_hello, lambda: [_hello()]),
        "route-table": Target(
            forwarding.decode_table,
            lambda: [_route_table()],
            (msgspec.DecodeError, QnxError),
        ),
        "key-delivery-request": Target(
            lambda octets: values014.key_request("POST", b"", octets),
            lambda: [b'{"number":3,"size":256}'],
        ),
        "key-delivery-query": Target(
            lambda octets: values014.key_request("GET", octets, b""),
            lambda: [b"number=3&size=256"],
        ),
        "key-delivery-names": Target(
            lambda octets: values014.key_ids("POST", b"", octets),
            lambda: [b'{"key_IDs":[{"key_ID":"490a382d-da27-4f44-b928-9c3b8b7c1a2d"}]}'],
        ),
        "key-manager-transfer": Target(
            values020.reservations, lambda: [values020.transfer([_reserve()])], (QnxError,)
        ),
        "event-stream": Target(_events, lambda: [b"id: 3\nevent: link\ndata: {}\n\n"]),
        "network-file": Target(_network_file, _examples),
        "transcript": Target(_transcript, _transcripts),
        "layout": Target(_layout, _layouts),
        "ptu": _recording(Format.PTU, lambda: to_ptu(_times(), _channels())),
        "qutag": _recording(Format.QUTAG, _qutag),
        "sfifteen-binary": _recording(Format.SFIFTEEN_BINARY, _sfifteen),
        "sfifteen-text": _recording(Format.SFIFTEEN_TEXT, _sfifteen_text),
        "archive": _recording(Format.ARCHIVE, _archived),
        "tdc1": Target(_words, lambda: [_sfifteen()]),
        "websq": Target(
            _labels,
            lambda: [
                json.dumps({"label": "InptBias", "value": {"value": [1, 2]}}).encode(),
                b"1.0,3,4,5,6",
            ],
        ),
        "apt": Target(
            _apt,
            lambda: [
                thorlabs_apt.long(thorlabs_apt.Id.HW_GET_INFO, bytes(84)),
                thorlabs_apt.long(thorlabs_apt.Id.MOT_GET_USTATUSUPDATE, bytes(14)),
            ],
        ),
        "elliptec": Target(
            _elliptec, lambda: [b"0PO00004600\r\n", b"0IN0E1140010020231601016800023000\r\n"]
        ),
        "board": Target(
            _board, lambda: [fpga_frames.encode(kind, 1, _span()) for kind in fpga_frames.Kind]
        ),
        "id900": Target(
            _id900,
            lambda: [b"IDQ,ID900,123,1.0", b"12ps", b'{"id":"a"}', _times().tobytes()],
        ),
    }
)

"""Which reader a file needs."""

import codecs
from enum import StrEnum

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings import archived, picoquant, qutag, sfifteen
from qnx_hw.timing.recordings.recording import Recording


class Format(StrEnum):
    """The kinds of recording that can be read."""

    PTU = "ptu"
    QUTAG = "qutag"
    SFIFTEEN_TEXT = "sfifteen-text"
    SFIFTEEN_BINARY = "sfifteen-binary"
    ARCHIVE = "qnx"


_READERS = {
    Format.PTU: picoquant.read,
    Format.QUTAG: qutag.read,
    Format.SFIFTEEN_TEXT: sfifteen.read_text,
    Format.SFIFTEEN_BINARY: sfifteen.read_binary,
    Format.ARCHIVE: archived.read,
}


# Shorter bytes that are cut off within a record could be anything.
_FEWEST_CUT = 200

# What would pass for bare words of S-Fifteen, which have no mark of their own.
_FOREIGN = {
    b"PQHISTO": "a PicoQuant file of histograms, which hold no single times: record in TTTR mode",
    b"TTQP": "a PTU file whose bytes were swapped in fours: copy it anew, as it is",
    b"PicoHarp 300": "a PicoQuant PT2 or PT3 file: convert it to PTU with the maker's software",
    b"HydraHarp": "a PicoQuant HT2 or HT3 file: convert it to PTU with the maker's software",
    b"TimeHarp": "a PicoQuant TTTR file of old: convert it to PTU with the maker's software",
}


def detect(content: bytes) -> Format:
    """Tell a recording's kind from its bytes; raise `RecordingError` if it is none we know."""
    if content.startswith(picoquant.MAGIC):
        return Format.PTU
    if content.startswith(archived.MAGIC):
        return Format.ARCHIVE
    if sfifteen.looks_like_text(content):
        return Format.SFIFTEEN_TEXT
    for mark, what in _FOREIGN.items():
        if content.startswith(mark):
            raise RecordingError(f"this is {what}")
    _refuse_text(content)
    kind = _unmarked(content)
    if kind is None:
        raise RecordingError(
            f"{len(content)} bytes that are no recording qnx knows: "
            "no PicoQuant PTU, no quTAG binary, no S-Fifteen a0, a1 or a2, no archive of qnx"
        )
    return kind


def read(content: bytes, kind: Format | None = None) -> Recording:
    """Decode a recording, of the kind given or of the kind it looks like."""
    if kind in {Format.QUTAG, Format.SFIFTEEN_BINARY}:
        if sfifteen.looks_like_text(content):
            raise RecordingError(f"this is hex text of S-Fifteen, not {kind}")
        _refuse_text(content)
    return _READERS[kind or detect(content)](content)


def _unmarked(content: bytes) -> Format | None:
    """Return which of the kinds without a mark it is; None if it fits neither.

    A longer file may be cut off within its last record: that kind's reader says so.
    """
    size = len(content)
    if size == qutag.HEADER_BYTES:
        return Format.QUTAG
    if size and content == content[:1] * size:
        raise RecordingError(f"all {size} bytes are {content[0]}: nothing was recorded")
    if qutag.looks_like(content):
        return Format.QUTAG
    if sfifteen.looks_like_binary(content):
        return Format.SFIFTEEN_BINARY
    if size >= _FEWEST_CUT and qutag.looks_like(content[: qutag.whole_records(size)]):
        return Format.QUTAG
    if size >= _FEWEST_CUT and sfifteen.looks_like_binary(content[: sfifteen.whole_words(size)]):
        return Format.SFIFTEEN_BINARY
    return None


def _refuse_text(content: bytes) -> None:
    """Raise `RecordingError` for text of any usual coding, which would pass for bare words."""
    head = content[:4096]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_utf8_text(head):
        raise RecordingError(
            "this is text, but not the hex words of S-Fifteen: qnx writes CSV and reads none"
        )


def _is_utf8_text(head: bytes) -> bool:
    try:
        words = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        # Text of old Windows programs: next to nothing but letters, and no control characters.
        words = head.decode("latin-1")
        if sum(32 <= octet < 127 or octet in b"\t\r\n" for octet in head) < 0.9 * len(head):
            return False
    return bool(words) and all(letter.isprintable() or letter in "\t\r\n\f" for letter in words)

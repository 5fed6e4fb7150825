"""Which reader a file needs."""

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
    if _is_text(content):
        raise RecordingError(
            "this is text, but not the hex words of S-Fifteen: qnx writes CSV and reads none"
        )
    if qutag.looks_like(content):
        return Format.QUTAG
    if sfifteen.looks_like_binary(content):
        return Format.SFIFTEEN_BINARY
    raise RecordingError(
        f"{len(content)} bytes that are no recording qnx knows: "
        "no PicoQuant PTU, no quTAG binary, no S-Fifteen a0, a1 or a2, no archive of qnx"
    )


def read(content: bytes, kind: Format | None = None) -> Recording:
    """Decode a recording, of the kind given or of the kind it looks like."""
    return _READERS[kind or detect(content)](content)


def _is_text(content: bytes) -> bool:
    head = content[:4096].removeprefix(b"\xef\xbb\xbf")
    return b"\n" in head and all(32 <= octet < 127 or octet in b"\t\r\n" for octet in head)

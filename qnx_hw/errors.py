"""Every error that crosses a package border, each derived from the builtin that fits."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes of others: text in them may be no UTF-8, or nested too deeply."""


class QnxError(Exception):
    """Something qnx refuses, lost or gave up, said in the words of the user."""


class ConfigError(QnxError, ValueError):
    """The network file, or a setting in it, cannot be used as written; its place is attached."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class InstrumentError(QnxError):
    """An instrument did not do what was asked."""


class NotConnected(InstrumentError, ConnectionError):
    """The wire is closed or was lost; connect again."""


class InstrumentTimeout(InstrumentError, TimeoutError):
    """The instrument did not answer before the deadline."""


class ProtocolError(InstrumentError, ValueError):
    """The instrument sent bytes that its manual does not know; they are attached."""

    def __init__(self, message: str, received: bytes = b"") -> None:
        super().__init__(message)
        self.received = received


class InstrumentRefused(InstrumentError, RuntimeError):
    """The instrument reported an error of its own; its code is attached."""

    def __init__(self, message: str, code: int | str = "") -> None:
        super().__init__(message)
        self.code = code


class RangeError(InstrumentError, ValueError):
    """A value outside what the instrument can do; nothing was sent."""


class Busy(InstrumentError, RuntimeError):
    """The instrument is doing something that must end, or be stopped, first."""


class Cancelled(InstrumentError):
    """The caller cancelled a long operation; the instrument was told to stop where it can."""


class Unsupported(InstrumentError, NotImplementedError):
    """This instrument has no such function; see its capabilities."""


class RecordingError(QnxError, ValueError):
    """A recording is damaged, cut short or of a kind that is not known."""


class ChannelError(QnxError, ConnectionError):
    """The classical channel to the peer broke, or carried what it must not."""


class AuthenticationError(QnxError):
    """A message was not written by the peer that holds the shared secret."""


class BlockAborted(QnxError):
    """A block was given up and keeps no key; the reason is safe to show."""


class Tampering(BlockAborted):
    """What a station saw looks like an attack on its detectors; the block makes no key."""


class KeyExhausted(QnxError):
    """A pool holds fewer secret bits than were asked for."""


class StoreFailed(QnxError, OSError):
    """The disk below a key store failed; nothing of what was to be written is kept."""


class KeyNotFound(QnxError, LookupError):
    """A key's name is unknown here: never issued, fetched before, or expired."""


class NotEntitled(QnxError, PermissionError):
    """Who asks was not named when the key was issued."""


class RequestRefused(QnxError, ValueError):
    """A request over the network cannot be done as asked; the HTTP status is attached."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Conflict(QnxError):
    """Somebody else changed it first; read it again."""


class BusAway(QnxError, ConnectionError):
    """The bus' core cannot be reached; nothing of the message was kept."""


class BusRefused(QnxError, PermissionError):
    """The bus does not let this participant do that, or the message is malformed."""


class NobodyAnswered(QnxError, TimeoutError):
    """A question on the bus got no answer in time."""

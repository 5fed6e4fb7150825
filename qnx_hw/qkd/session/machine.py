"""One end of a link, from time tags to released keys, without a clock and without I/O."""

from __future__ import annotations

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd.parameters import Resumption, SessionParameters, StationInputs
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session.outputs import Output
from qnx_hw.qkd.session.randomness import Randomness


class Session:
    """One party of one link for as long as one connection lives.

    The caller feeds it the station's tag blocks and the peer's messages, one call at a time, and
    carries out the outputs in order. Every call may compute for a while (clock acquisition takes
    up to seconds of CPU): keep calls off the event loop.
    """

    def __init__(
        self,
        role: Role,
        parameters: SessionParameters,
        authenticator: object,
        randomness: Randomness,
        *,
        station: StationInputs | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        raise NotImplementedError

    def start(self) -> list[Output]:
        """Greet the peer; call once, when the channel is open."""
        raise NotImplementedError

    def detections(self, block: TagBlock) -> list[Output]:
        """Take the next block of this station's tags; blocks join without a gap."""
        raise NotImplementedError

    def receive(self, message: bytes) -> list[Output]:
        """Take one message of the peer."""
        raise NotImplementedError

    def close(self, reason: str) -> list[Output]:
        """End the session in good order and tell the peer; a pending key stays pending."""
        raise NotImplementedError

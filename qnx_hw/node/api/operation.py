"""Operations: what clients may ask, declared once for routing, checks, audit and the reference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from qnx_hw.api.access import Right
from qnx_hw.api.commands import Command, Nothing
from qnx_hw.errors import QnxError
from qnx_hw.node.access.caller import Caller

PREFIX = "/api/v1"


class Refused(QnxError):
    """A request that cannot be answered; the sentence goes to the client."""

    def __init__(self, status: int, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.field = field


@dataclass(slots=True)
class Call:
    """One request as its handler sees it; the handler may note what it changed."""

    caller: Caller
    path: Mapping[str, str]
    query: Any  # of the type that the operation names
    body: Any  # of the type that the operation names
    last_event_id: str = ""
    before: str = field(default="", init=False)
    after: str = field(default="", init=False)

    def note(self, before: object, after: object) -> None:
        """Note for the audit what was and what is."""
        self.before, self.after = brief(before), brief(after)


Handler = Callable[[Call], Awaitable[Any]]
"""Returns a value of the API, or a response of its own making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that clients may ask; a GET changes nothing."""

    method: Literal["GET", "POST"]
    path: str
    """Below `PREFIX`; parts in braces are names."""
    summary: str
    handler: Handler
    answers: Any
    """The type of the answer."""
    takes: type[Command] = Nothing
    query: type[Command] = Nothing
    needs: Right = Right.VIEW
    is_public: bool = False
    """Whether it is answered before anybody logged in."""
    media_type: str = "application/json"

    @property
    def subject(self) -> str:
        """What it is about; what a token's scope names."""
        return self.path.split("/")[1].partition(".")[0]


def brief(value: object) -> str:
    """Return a value as one short line for the audit."""
    if value is None or isinstance(value, str):
        return (value or "")[:2000]
    return msgspec.json.encode(value).decode()[:2000]

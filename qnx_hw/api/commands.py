"""What clients send with a command; an unknown field is refused."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.api.access import Right
from qnx_hw.api.value import Value

Setting = float | int | str | bool
UserName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@\-]{0,63}$")]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
RowNumber = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
"""Of something kept; what JavaScript can say exactly, and a database can hold."""
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Command(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is sent to a node."""


class Nothing(Command, frozen=True, kw_only=True):
    """A command without arguments."""


class SetWindow(Command, frozen=True, kw_only=True):
    """A link's coincidence window, full width."""

    window_ps: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)]
    expected_ps: int | None = None
    """The window this change was made from; another one there refuses the command."""


class Configure(Command, frozen=True, kw_only=True):
    """Settings of an instrument; all are applied, or none."""

    settings: dict[str, Setting]
    revision: str
    """Of the settings that this change was made from."""


class SetLoop(Command, frozen=True, kw_only=True):
    """What to change of a loop; None leaves it as it is."""

    algorithm: str | None = None
    target: float | None = None
    expected_algorithm: str | None = None
    expected_target: float | None = None


class SetObjective(Command, frozen=True, kw_only=True):
    """What the controller shall aim at."""

    objective: str
    revision: int | None = None
    """Of the plan that this change was made from; another one there refuses the command."""


class WhatIf(Command, frozen=True, kw_only=True):
    """A question to the controller: what would it decide if?"""

    objective: str | None = None
    down: tuple[str, ...] = ()
    """Hops (`SOURCE TARGET`) or nodes that shall be thought away."""
    demand_factor: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 1.0


class StartRecording(Command, frozen=True, kw_only=True):
    """What to call a new recording; empty for time and network."""

    name: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_\-]{0,99})?$")] = ""


class StartMaintenance(Command, frozen=True, kw_only=True):
    """Mute what a link or node says while somebody works on it."""

    minutes: Annotated[float, msgspec.Meta(gt=0.0, le=10_080.0)] = 60.0
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Login(Command, frozen=True, kw_only=True):
    """Who wants in."""

    name: Annotated[str, msgspec.Meta(max_length=64)]
    password: Annotated[str, msgspec.Meta(max_length=256)]


class AddUser(Command, frozen=True, kw_only=True):
    """A new user; the password has at least twelve characters."""

    name: UserName
    password: Password
    right: Right = Right.VIEW


class ChangeUser(Command, frozen=True, kw_only=True):
    """A user's new right or password; None leaves it as it is."""

    right: Right | None = None
    password: Password | None = None


class ChangePassword(Command, frozen=True, kw_only=True):
    """The caller's own new password."""

    old: Annotated[str, msgspec.Meta(max_length=256)]
    new: Password


class AddToken(Command, frozen=True, kw_only=True):
    """A token for scripts; never more than its maker may."""

    name: Label
    right: Right = Right.VIEW
    scopes: tuple[Label, ...] = ()
    days: Annotated[float, msgspec.Meta(gt=0.0, le=3650.0)] | None = None


class Change(Command, frozen=True, kw_only=True):
    """One value of the network file, by its path, e.g. `links.alice-bob.autostart`."""

    path: tuple[Annotated[str, msgspec.Meta(max_length=128)], ...]
    value: Setting | tuple[Setting, ...] | None = None
    """None takes the value out of the file, so that the default holds."""


class Draft(Command, frozen=True, kw_only=True):
    """Changes of the network file."""

    revision: str
    """Of the file that the changes were made from."""
    changes: Annotated[tuple[Change, ...], msgspec.Meta(min_length=1, max_length=500)]


class Revert(Command, frozen=True, kw_only=True):
    """Go back to an earlier network file."""

    number: RowNumber
    revision: str
    """Of the file that stands now."""

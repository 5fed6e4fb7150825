"""The extensions of a key request that this key manager knows (ETSI GS QKD 014, clause 6.2).

| name | values | meaning |
|---|---|---|
| `qnx_route` | `direct`, `any` | whether keys may come over other nodes |
| `qnx_origin` | `hardware`, `any` | whether keys may come from simulated instruments |
| `qnx_report` | `true` | say in `key_container_extension` where the keys come from |

As mandatory ones they are all met, or the request is refused. As optional ones they are met where
that is possible, and unknown ones are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qnx_hw.errors import RequestRefused

MANDATORY_UNSUPPORTED = "not all extension_mandatory parameters are supported"  # clause 6.2
MANDATORY_UNMET = "not all extension_mandatory request options could be met"  # clause 6.2
ROUTE, ORIGIN, REPORT = "qnx_route", "qnx_origin", "qnx_report"
VALUES: dict[str, tuple[object, ...]] = {
    ROUTE: ("direct", "any"),
    ORIGIN: ("hardware", "any"),
    REPORT: (True, False),
}


@dataclass(frozen=True, slots=True)
class Supply:
    """Where the keys for a request would come from."""

    is_relayed: bool
    is_simulated: bool
    """Whether any of them may."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request's extensions come to."""

    may_be_simulated: bool = True
    is_reported: bool = False


def terms(
    mandatory: Sequence[dict[str, Any]], optional: Sequence[dict[str, Any]], supply: Supply
) -> Terms:
    """Return what to keep to; `RequestRefused` where a mandatory extension cannot be met."""
    required = _merged(mandatory)
    if not set(required) <= set(VALUES):
        raise RequestRefused(MANDATORY_UNSUPPORTED, 400)
    wished = {
        name: value
        for name, value in _merged(optional).items()
        if _is_known(name, value) and _is_met(name, value, supply)
    }
    if not all(
        _is_known(name, value) and _is_met(name, value, supply) for name, value in required.items()
    ):
        raise RequestRefused(MANDATORY_UNMET, 400)
    agreed = wished | required
    return Terms(
        may_be_simulated=agreed.get(ORIGIN) != "hardware",
        is_reported=agreed.get(REPORT) is True,
    )


def _merged(extensions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return all names with their values; one said twice with two values fits none."""
    found: dict[str, Any] = {}
    for each in extensions:
        for name, value in each.items():
            found[name] = value if found.setdefault(name, value) == value else None
    return found


def _is_known(name: str, value: object) -> bool:
    # 1 equals True, but is not what was asked for.
    return any(type(value) is type(each) and value == each for each in VALUES.get(name, ()))


def _is_met(name: str, value: object, supply: Supply) -> bool:
    if name == ROUTE:
        return value == "any" or not supply.is_relayed
    return name != ORIGIN or value == "any" or not supply.is_simulated

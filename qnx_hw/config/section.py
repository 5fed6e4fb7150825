"""What every table of the network file is made of."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Browsers read these with the flag v, where a hyphen in a class is written with a backslash.
NAME_PATTERN = r"^[a-z0-9][a-z0-9\-]{0,62}$"
ADDRESS_PATTERN = (
    r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._\-]+):"
    r"([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
)
Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
OptionalName = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9\-]{0,62})?$")]
"""A name, or nothing: a written default reads back."""
Address = Annotated[str, msgspec.Meta(pattern=ADDRESS_PATTERN)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Probability = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the network file; an unknown name in it is an error."""

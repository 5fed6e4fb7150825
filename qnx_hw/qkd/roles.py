"""The two parties of a link."""

from enum import StrEnum


class Role(StrEnum):
    """Which end of a link a party is. Alice holds the reference key; Bob corrects his to it."""

    ALICE = "alice"
    BOB = "bob"

    @property
    def peer(self) -> "Role":
        """The other end."""
        return Role.BOB if self is Role.ALICE else Role.ALICE

"""Who sent a request, and what they may."""

from __future__ import annotations

from dataclasses import dataclass

from qnx_hw.api.access import Right


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where, with what right."""

    name: str
    right: Right
    address: str = ""
    scopes: tuple[str, ...] = ()
    """Subjects a token is good for; empty for all."""
    csrf: str = ""
    """The secret of a browser's session; empty for all others."""
    session: str = ""
    """Identifies the session or token towards the accounts; not a secret."""

    def why_not(self, needs: Right, subject: str) -> str:
        """Return why this caller may not do something, or nothing."""
        if not self.right.includes(needs):
            return f"'{self.name}' has the right to {self.right}; this needs {needs}"
        if self.scopes and subject not in self.scopes:
            return f"this token is good for {', '.join(self.scopes)}, not for {subject}"
        return ""


EVERYBODY_HERE = Caller("local", Right.ADMIN)
"""Whoever sits at this machine, while it has no users."""
NOBODY = Caller("nobody", Right.VIEW)
"""Somebody who has not logged in; may see the way in and nothing else."""

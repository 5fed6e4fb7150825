"""Who asks: users, sessions, tokens, limits, and the audit of what they changed."""

from qnx_hw.node.access.access import Access

__all__ = ["Access"]

"""The VOA-1 for qnx."""

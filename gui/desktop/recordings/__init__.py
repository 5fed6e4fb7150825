"""Recordings of time tags, and showing one again as if it were live."""

"""How a process writes its log; called once, by the command line."""

import logging


def configure(level: int = logging.INFO) -> None:
    """Write log lines of `level` and above to standard error."""
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )

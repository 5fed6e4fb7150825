"""How a process writes its log; called once, by the command line."""

import logging

# Written for their own authors: Numba, for one, logs each bytecode that it compiles.
TALKATIVE = ("asyncio", "numba", "uvicorn")
EMPTY_WORDS = "returning true from eof_received() has no effect when using ssl"
"""What asyncio says whenever a stream ends that began without TLS, as each of nats-py does."""


def configure(level: int = logging.INFO) -> None:
    """Write log lines of `level` and above to standard error; other people's from warnings on."""
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    logging.getLogger("asyncio").addFilter(lambda record: record.msg != EMPTY_WORDS)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))

"""How commands end when they are told to."""

import signal
import subprocess
import sys

HANGS = """
import asyncio, threading
from qnx_hw.commands.lifetime import told_to_stop

def hang():
    threading.Event().wait()

async def main():
    async with told_to_stop(slow_end_s=0.01) as stop:
        print("ready", flush=True)
        await stop.wait()
        hang()

asyncio.run(main())
"""


def test_a_process_that_does_not_end_says_where_it_stands() -> None:
    command = [sys.executable, "-c", HANGS]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            assert any(line.endswith("in hang\n") for line in process.stderr)
        finally:
            process.kill()

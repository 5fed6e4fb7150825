"""Measure the dashboard: how late a change arrives, what it costs, what a page weighs.

Run `qnx bench dashboard`. The node's API runs in a process of its own over an invented network and
changes a link ten times a second; 100 clients read the stream. Clients share the machine's cores,
so latencies are upper bounds. The page is opened by Debian's Chromium, where there is one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import msgspec

from qnx_hw.api.schema import LinkView
from qnx_hw.api.sse import SseDecoder
from qnx_hw.commands.bench import Result

CLIENTS = 100
SECONDS = 8.0
CHANGES_PER_S = 10.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def suite() -> Iterator[Result]:
    """Yield latency, processor share, page weight and time, and the opening of 30 days."""
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        before_s = processor_s(server.pid)
        late_s = sorted(asyncio.run(watched(port)))
        share = (processor_s(server.pid) - before_s) / SECONDS
        p50, p99 = statistics.median(late_s), late_s[int(0.99 * len(late_s))]
        yield better("change to client, 100 clients, p50", 1e3 * p50, "ms", 10.0)
        yield better("change to client, 100 clients, p99", 1e3 * p99, "ms", 50.0)
        yield better("processor of the node, 100 clients", 100 * share, "% core", 15.0)
        yield from opened(port)
    finally:
        server.kill()
        server.wait()
    yield from month()


def better(name: str, value: float, unit: str, goal: float) -> Result:
    return Result(name=name, value=value, unit=unit, goal=goal, met=value <= goal)


async def watched(port: int) -> list[float]:
    """Return how late each change was at each client."""
    late_s: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
        await reader.readuntil(b"\r\n\r\n")
        decoder = SseDecoder()
        while chunk := await reader.read(1 << 16):
            now_s = time.monotonic()
            text = b"".join(chunk.split(b"\r\n")[1::2])
            for event in decoder.feed(text):
                if event.kind == "link":
                    link = msgspec.json.decode(event.data, type=LinkView)
                    if link.message:
                        late_s.append(now_s - float(link.message))

    try:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(client())
    except TimeoutError:
        pass
    return late_s


def processor_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_S


def opened(port: int) -> Iterator[Result]:
    """Open the overview in a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        started_s = time.monotonic()
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("#kpi-links", has_text="4 / 5").wait_for()
        ready_s = time.monotonic() - started_s
        sizes: list[int] = page.evaluate(
            "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
            ".filter(one => !one.name.includes('/api/')).map(one => one.decodedBodySize)"
        )
        browser.close()
    yield better("overview, first opening to live numbers", ready_s, "s", 1.0)
    yield better("overview, all files unpacked", sum(sizes) / 1024, "KiB", 300.0)


def month() -> Iterator[Result]:
    """Read 30 days of one quantity out of a month of 100."""
    from qnx_hw.node.archive import Archive

    now_s = 1.7e9 + 31 * 86_400.0

    async def read(path: Path) -> float:
        archive = Archive(path, lambda: now_s)
        for day in range(31):
            for step in range(288):
                at_s = 1.7e9 + day * 86_400.0 + step * 300.0
                for thing in range(100):
                    archive.add(("link", f"link-{thing}", "qber"), at_s, 0.02)
            await archive.flush()
        started_s = time.monotonic()
        series = await archive.read(("link", "link-7", "qber"), "", now_s - 30 * 86_400.0, None)
        taken_s = time.monotonic() - started_s
        assert len(series.times_s) > 1000
        await archive.close()
        return taken_s

    with tempfile.TemporaryDirectory() as folder:
        taken_s = asyncio.run(read(Path(folder) / "history.sqlite"))
    yield better("30 days of a quantity, of a month of 100", taken_s, "s", 1.0)


def serve() -> None:
    """Serve an invented network whose first link says ten times a second what time it is."""
    from sample_network import sample_network
    from served_api import Site, served

    from gui.web.pages import routes

    network = sample_network()
    with served(Site(snapshot=network, pages=routes())) as api:
        print(api.port, flush=True)
        while True:
            time.sleep(1.0 / CHANGES_PER_S)
            said = msgspec.structs.replace(network.links[0], message=str(time.monotonic()))
            api.call(lambda said=said: api.hub.set(said))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    for each in suite():
        print(each.name, each.value, each.unit)

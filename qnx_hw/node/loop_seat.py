"""A closed loop in its node: what clients may ask of it, and the thread it lives in."""

from __future__ import annotations

from typing import Any

from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.control.loop import Loop, Title
from qnx_hw.errors import Unsupported
from qnx_hw.node.worker import Worker


class LoopSeat:
    """Where a loop sits: before it is open, while it runs; belongs to the event loop's thread."""

    def __init__(
        self, title: Title, *, algorithm: str, target: float | None, is_held: bool
    ) -> None:
        self.title = title
        self.worker = Worker(f"loop {title.name}")
        self.loop: Loop[Any] | None = None
        """Any: each loop looks at something else, and no command depends on what."""
        self._idle = LoopView(
            name=title.name,
            node=title.node,
            link=title.link,
            kind=title.kind,
            instrument=title.instrument,
            unit=title.unit,
            state=LoopState.HOLDING if is_held else LoopState.IDLE,
            algorithm=algorithm,
            target=target,
        )

    @property
    def name(self) -> str:
        """The loop's name."""
        return self.title.name

    def view(self) -> LoopView:
        """Return how the loop is."""
        return self._idle if self.loop is None else self.loop.view

    async def hold(self) -> LoopView:
        """Leave the actuator alone after the move that is under way."""
        await self.worker.call(self._opened.hold)
        return self.view()

    async def resume(self) -> LoopView:
        """Go on."""
        await self.worker.call(self._opened.resume)
        return self.view()

    async def relock(self) -> LoopView:
        """Search anew."""
        await self.worker.call(self._opened.relock)
        return self.view()

    async def choose(self, algorithm: str | None, target: float | None) -> LoopView:
        """Change algorithm or target."""
        await self.worker.call(self._opened.choose, algorithm=algorithm, target=target)
        return self.view()

    def leave(self) -> None:
        """Have the loop close after what it is doing; nobody waits for that."""
        if self.loop is not None:
            self.worker.post(self.loop.close)
        self.worker.close()

    @property
    def _opened(self) -> Loop[Any]:
        if self.loop is None:
            raise Unsupported(f"loop '{self.name}' waits for its instrument to connect")
        return self.loop

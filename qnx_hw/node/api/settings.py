"""The network file: read, check, apply, and go back.

What can be put into force while the nodes run is put into force first; where an instrument or a
link refuses it, what was changed before is undone and the file stays as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from qnx_hw.api.access import Right
from qnx_hw.api.commands import Draft, Revert
from qnx_hw.api.settings import Difference, FileVersion, Preview, Settings
from qnx_hw.errors import QnxError
from qnx_hw.node.api.instruments import InstrumentCommands
from qnx_hw.node.api.links import LinkCommands
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.network_file import Keeper, differences

_Undo = Callable[[], Awaitable[object]]


class NetworkFileSettings:
    """Forms over the network file."""

    def __init__(
        self,
        keeper: Keeper | None,
        links: LinkCommands | None,
        instruments: InstrumentCommands | None,
    ) -> None:
        self._keeper = keeper
        self._links = links
        self._instruments = instruments

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/settings", handler=self._show, answers=Settings,
                summary="The network file and what it may say.",
            ),
            Operation(
                method="POST", path="/settings/preview", handler=self._preview, answers=Preview,
                takes=Draft, needs=Right.ADMIN,
                summary="Check a draft and say what it would change; changes nothing.",
            ),
            Operation(
                method="POST", path="/settings/apply", handler=self._apply, answers=Settings,
                takes=Draft, needs=Right.ADMIN,
                summary="Replace the network file; what can be is in force at once.",
            ),
            Operation(
                method="GET", path="/settings/versions", handler=self._versions,
                answers=tuple[FileVersion, ...], summary="Earlier network files, newest first.",
            ),
            Operation(
                method="GET", path="/settings/versions/{number}", handler=self._version,
                answers=Preview, summary="What going back to an earlier file would change.",
            ),
            Operation(
                method="POST", path="/settings/revert", handler=self._revert, answers=Settings,
                takes=Revert, needs=Right.ADMIN, summary="Go back to an earlier network file.",
            ),
        ]  # fmt: skip

    async def _show(self, call: Call) -> Settings:
        return self._here().settings()

    async def _preview(self, call: Call) -> Preview:
        return self._here().preview(call.body.revision, call.body.changes)

    async def _apply(self, call: Call) -> Settings:
        wish: Draft = call.body
        return await self._replace(
            call, wish.revision, self._here().draft(wish.revision, wish.changes)
        )

    async def _versions(self, call: Call) -> tuple[FileVersion, ...]:
        return self._here().versions()

    async def _version(self, call: Call) -> Preview:
        return self._here().preview_version(_number(call.path["number"]))

    async def _revert(self, call: Call) -> Settings:
        wish: Revert = call.body
        return await self._replace(call, wish.revision, self._here().version(wish.number))

    async def _replace(self, call: Call, revision: str, text: str) -> Settings:
        keeper = self._here()
        changed = differences(keeper.text(), text)
        call.note({".".join(each.path): each.before for each in changed}, "")
        undo: list[_Undo] = []
        live = [each for each in changed if each.is_live and each.after is not None]
        try:
            for each in live:
                undo.append(await self._put_into_force(each))
            keeper.replace(revision, text, who=call.caller.name, live=live)
        except QnxError:
            for back in reversed(undo):
                await back()
            raise
        call.note(call.before, {".".join(each.path): each.after for each in changed})
        return keeper.settings()

    async def _put_into_force(self, change: Difference) -> _Undo:
        """Apply one live value and return how to take it back."""
        match change.path:
            case ("links", name, _) if self._links is not None:
                return await _set_window(self._links, name, change)
            case (_, node, _, name, _, setting) if self._instruments is not None:
                return await _configure(self._instruments, node, name, setting, change)
        return _nothing

    def _here(self) -> Keeper:
        if self._keeper is None:
            raise Refused(404, "this process was started without a network file of its own")
        return self._keeper


async def _set_window(links: LinkCommands, name: str, change: Difference) -> _Undo:
    try:
        await links.set_window(name, change.after)
    except KeyError:
        return _nothing

    async def back() -> None:
        if change.before is not None:
            await links.set_window(name, change.before)

    return back


async def _configure(
    instruments: InstrumentCommands, node: str, name: str, setting: str, change: Difference
) -> _Undo:
    try:
        before = await instruments.instrument_settings(node, name)
    except KeyError:
        return _nothing
    wish = {setting: change.after}
    after = await instruments.configure_instrument(node, name, wish, before.revision)

    async def back() -> None:
        if setting in before.settings:
            was = {setting: before.settings[setting]}
            await instruments.configure_instrument(node, name, was, after.revision)

    return back


async def _nothing() -> None:
    return


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise Refused(404, f"there is no earlier network file {text}")
    return int(text)

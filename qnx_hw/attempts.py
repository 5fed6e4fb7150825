"""One attempt of a loop that lives on through errors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def attempt(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` so that a cancelling of the caller always ends the caller.

    Before Python 3.13 a `TaskGroup` whose tasks fail in the moment in which its own task is
    cancelled raises their errors alone, and a loop that goes on after errors would never end. The
    count of cancellings does not tell, since such groups leave it raised after ordinary errors
    too; hence a task of its own, with a count of its own.
    """
    caller = asyncio.current_task()
    assert caller is not None
    before = caller.cancelling()
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await task
    finally:
        if caller.cancelling() > before:
            raise asyncio.CancelledError

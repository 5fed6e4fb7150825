"""The client reaches every operation of the API, and its examples name what exists."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_node import sample_snapshot
from served_api import ServedApi, Site, served

from qnx_hw.api.access import Right
from qnx_hw.api.client import NodeClient
from qnx_hw.api.commands import AddUser, Change, Draft, SetLoop, WhatIf
from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.api.traffic import PlanView, Route

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo.toml"
# A browser's own way in and out, a token's making (users alone may), and pages beside JSON.
NOT_FOR_SCRIPTS = {"login", "logout", "password", "history.csv", "openapi.json", "stream", "tokens"}

LOOP = LoopView(
    name="alice-bob polarization", node="alice", link="alice-bob", kind="polarization",
    state=LoopState.TRACKING, algorithm="spsa", algorithms=("spsa", "simplex"), target=0.02,
)  # fmt: skip
PLAN = PlanView(
    revision=3, time_s=1.78e9, objective="fair", objectives=("fair", "fast"),
    routes=(
        Route(
            source="alice", destination="bob", demand_bps=1e6, paths=(("alice", "bob"),),
            shares=(1.0,),
        ),
    ),
)  # fmt: skip


@pytest.fixture(name="api")
def _api(tmp_path: Path) -> Iterator[ServedApi]:
    file = tmp_path / "lab.toml"
    file.write_text(EXAMPLE.read_text())
    snapshot = sample_snapshot(loops=(LOOP,), plans=(PLAN,))
    with served(Site(snapshot=snapshot, file=file)) as api:
        yield api


def test_loops_are_steered(api: ServedApi) -> None:
    client = api.client()

    assert client.hold_loop(LOOP.name).state is LoopState.HOLDING
    assert client.relock_loop(LOOP.name).state is LoopState.SEARCHING
    assert client.resume_loop(LOOP.name).state is LoopState.TRACKING
    assert client.set_loop(LOOP.name, SetLoop(target=0.01, expected_target=0.02)).target == 0.01
    with pytest.raises(Exception, match=r"0\.01 meanwhile"):
        client.set_loop(LOOP.name, SetLoop(target=0.03, expected_target=0.02))
    with pytest.raises(Exception, match="spsa, simplex"):
        client.set_loop(LOOP.name, SetLoop(algorithm="magic"))


def test_the_controller_is_asked_and_told(api: ServedApi) -> None:
    client = api.client()

    assert not client.what_if(WhatIf(down=("bob",))).routes
    assert client.plan() == PLAN
    assert client.set_objective("fast", revision=3).revision == 4
    with pytest.raises(Exception, match="revision 4 by now"):
        client.set_objective("fair", revision=3)
    with pytest.raises(Exception, match="fair, fast"):
        client.set_objective("magic")
    assert client.forecasts()[0].name == "alice bob"


def test_recordings_begin_and_end(api: ServedApi) -> None:
    client = api.client()

    assert client.start_recording("first").is_running
    assert client.stop_recording().tags == 123_456
    assert [view.name for view in client.recordings()] == ["first"]
    with pytest.raises(Exception, match="name"):
        client.start_recording("../../etc")


def test_the_network_file_and_users_are_changed(api: ServedApi) -> None:
    client = api.client()
    path = ("links", "alice-bob", "coincidence_window_ps")
    draft = Draft(revision=client.settings().revision, changes=(Change(path=path, value=3000),))

    assert client.preview(draft).differences[0].after == 3000
    after = client.apply(draft)
    back = client.revert(client.versions()[0].number, revision=after.revision)
    assert back.revision == draft.revision
    assert client.me().right is Right.ADMIN
    assert client.tokens() == ()
    user = client.add_user(AddUser(name="ann", password="long enough yes", right=Right.ADMIN))
    assert user.name == "ann"
    with pytest.raises(Exception, match="log in"):
        client.users()


def test_every_operation_has_a_method_and_every_example_a_real_one(api: ServedApi) -> None:
    source = inspect.getsource(NodeClient)
    document = api.client().openapi()

    for path in document["paths"]:
        words = [word for word in path.removeprefix("/api/v1/").split("/") if "{" not in word]
        if words[0] in NOT_FOR_SCRIPTS or path.endswith(("/links/{name}", "versions/{number}")):
            continue
        if words in (["instruments"], ["loops"]):  # part of the state
            continue
        assert all(f'"{word}' in source or f"/{word}" in source for word in words), path
    for name in re.findall(r"(?<!http\.)client\.(\w+)\(", source):
        assert hasattr(NodeClient, name)

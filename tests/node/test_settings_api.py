"""The network file through the API: checked, compared, applied whole or not at all, taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_node import sample_link, sample_snapshot
from served_api import ServedApi, Site, served

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo.toml"
WINDOW = ["links", "alice-bob", "coincidence_window_ps"]
THRESHOLD = ["nodes", "alice", "instruments", "tagger", "settings", "threshold_v"]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(EXAMPLE.read_text())
    return path


@pytest.fixture(name="api")
def _api(file: Path) -> Iterator[ServedApi]:
    snapshot = sample_snapshot(links=(sample_link(window_ps=6000),))
    with served(Site(snapshot=snapshot, file=file)) as api:
        yield api


def settings(api: ServedApi) -> dict[str, Any]:
    status, answer, _ = api.ask("GET", "/api/v1/settings")
    assert status == 200
    return dict(answer)


def send(api: ServedApi, verb: str, *changes: tuple[list[str], Any], revision: str = "") -> Any:
    draft = {
        "revision": revision or settings(api)["revision"],
        "changes": [{"path": path, "value": value} for path, value in changes],
    }
    return api.ask("POST", f"/api/v1/settings/{verb}", draft)[:2]


def test_the_form_has_values_and_limits(api: ServedApi) -> None:
    shown = settings(api)

    assert shown["values"]["links"]["alice-bob"]["coincidence_window_ps"] == 6000
    link = shown["json_schema"]["$defs"]["LinkSection"]["properties"]
    assert link["coincidence_window_ps"]["minimum"] == 10
    assert shown["file"] == "lab.toml"


def test_a_preview_shows_the_difference_and_changes_nothing(api: ServedApi, file: Path) -> None:
    status, preview = send(api, "preview", (WINDOW, 4000), (["links", "alice-bob", "autostart"], 0))

    assert status == 400
    assert preview["field"] == "links.alice-bob.autostart"
    status, preview = send(api, "preview", (WINDOW, 4000))
    assert status == 200
    assert preview["differences"] == [
        {"path": WINDOW, "before": 6000, "after": 4000, "is_live": True}
    ]
    assert "+coincidence_window_ps = 4000      # the TDC1 rounds to 2 ns" in preview["lines"]
    assert file.read_text() == EXAMPLE.read_text()


def test_what_is_applied_is_in_the_file_and_in_force(api: ServedApi, file: Path) -> None:
    status, after = send(api, "apply", (WINDOW, 4000), (THRESHOLD, 0.4))

    assert status == 200
    assert not after["needs_restart"]
    assert "coincidence_window_ps = 4000" in file.read_text()
    link = api.hub.link("alice-bob")
    assert link is not None
    assert link.window_ps == 4000
    assert api.laboratory.held["threshold_v"] == 0.4


def test_what_needs_a_restart_says_so(api: ServedApi) -> None:
    _, after = send(api, "apply", (["links", "alice-bob", "block_sifted_bits"], 50_000))

    assert after["needs_restart"]


def test_a_refusal_leaves_nothing_half_applied(api: ServedApi, file: Path) -> None:
    api.laboratory.refusal = "the threshold of 'tagger' goes from -2 to 2 V"

    status, problem = send(api, "apply", (WINDOW, 4000), (THRESHOLD, 9.0))

    assert status == 409
    assert problem["error"] == api.laboratory.refusal
    link = api.hub.link("alice-bob")
    assert link is not None
    assert link.window_ps == 6000
    assert file.read_text() == EXAMPLE.read_text()


def test_a_stale_draft_is_refused(api: ServedApi, file: Path) -> None:
    revision = settings(api)["revision"]
    send(api, "apply", (WINDOW, 4000))

    status, problem = send(api, "apply", (WINDOW, 5000), revision=revision)

    assert status == 409
    assert "meanwhile" in problem["error"]
    assert "= 4000" in file.read_text()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (WINDOW, 1, "must be a whole number of at least 10, not 1"),
        (WINDOW, "wide", 'must be a whole number, not "wide"'),
        (["links", "alice-bob", "colour"], "red", "colour"),
        (["links", "alice-bob", "alice", "tagger"], "nothing", "no instrument 'nothing'"),
        (["network", "name"], "<script>", "a name of lower-case letters, digits and hyphens"),
        (["links"], 1, "links: must be a table"),
        ([], 1, "path"),
    ],
)
def test_what_the_file_must_not_say_is_refused_in_a_sentence(
    api: ServedApi, path: list[str], value: object, words: str
) -> None:
    status, problem = send(api, "apply", (path, value))

    assert status in (400, 409)
    assert words in problem["error"]


def test_an_earlier_file_comes_back(api: ServedApi, file: Path) -> None:
    send(api, "apply", (WINDOW, 4000))
    _, versions, _ = api.ask("GET", "/api/v1/settings/versions")
    (version,) = versions
    _, preview, _ = api.ask("GET", f"/api/v1/settings/versions/{version['number']}")
    wish = {"number": version["number"], "revision": settings(api)["revision"]}

    status, _, _ = api.ask("POST", "/api/v1/settings/revert", wish)

    assert version["words"] == "links.alice-bob.coincidence_window_ps"
    assert preview["differences"][0]["after"] == 6000
    assert status == 200
    assert file.read_text() == EXAMPLE.read_text()
    link = api.hub.link("alice-bob")
    assert link is not None
    assert link.window_ps == 6000
    assert api.ask("GET", "/api/v1/settings/versions/99")[0] == 400


def test_numbers_that_no_row_can_have_are_refused(api: ServedApi) -> None:
    wish = {"number": 2**64, "revision": settings(api)["revision"]}

    assert api.ask("POST", "/api/v1/settings/revert", wish)[0] == 400
    assert api.ask("GET", f"/api/v1/audit?before={2**64}")[0] == 400


def test_a_process_without_a_file_says_so() -> None:
    with served(Site(snapshot=sample_snapshot())) as api:
        assert api.ask("GET", "/api/v1/settings")[0] == 404

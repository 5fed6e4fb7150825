"""What people do on the dashboard, done by clicks, and what the node does about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from fake_node import sample_instrument
from playwright.sync_api import Page, expect
from sample_network import sample_network
from served_api import ServedApi, Site, served

from gui.web.pages import PAGES, routes
from qnx_hw.api.access import Right
from qnx_hw.api.loops import LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.schema import Event, Level, LinkPhase
from qnx_hw.api.traffic import PlanView
from qnx_hw.api.value import Estimate

pytestmark = pytest.mark.slow
Open = Callable[..., Page]


def link_phase(api: ServedApi, name: str = "alice-bob") -> LinkPhase:
    link = api.hub.link(name)
    assert link is not None
    return link.phase


def open_settings(page: Page) -> None:
    page.get_by_role("button", name="Settings of alice tagger").click()
    expect(page.get_by_label("threshold v")).to_be_visible()


def test_a_link_is_stopped_and_started(visit: Open, api: ServedApi) -> None:
    page = visit("/")
    page.get_by_role("button", name="Stop alice-bob").click()
    expect(page.get_by_role("button", name="Start alice-bob")).to_be_visible()

    assert link_phase(api) is LinkPhase.STOPPED
    expect(page.locator("#kpi-links")).to_have_text("3 / 5")


def test_alarms_are_acknowledged_by_name(visit: Open, api: ServedApi) -> None:
    page = visit("/alarms")
    expect(page.locator("#alarm-count")).to_have_text("2")
    page.get_by_role("button", name="Ack event 3").click()
    expect(page.locator("#alarm-count")).to_have_text("1")
    page.get_by_role("button", name="Ack all").click()
    expect(page.locator("#alarm-count")).to_be_hidden()
    page.get_by_role("button", name="All", exact=True).click()

    expect(page.locator("#event-rows")).to_contain_text("by local")
    assert [event.acknowledged_by for event in api.hub.snapshot().events] == ["", "local", "local"]


def test_a_trouble_that_is_over_waits_for_nobody(visit: Open, api: ServedApi) -> None:
    page = visit("/alarms")
    api.call(lambda: api.hub.tell(Level.ALARM, "bob tagger", "lost", "connection"))
    row = page.locator("#event-rows tr", has_text="bob tagger")
    expect(row.get_by_role("button")).to_have_text("Ack")
    expect(page.locator("#alarm-count")).to_have_text("3")

    api.call(lambda: api.hub.tell(Level.OK, "bob tagger", "connected", "connection"))
    expect(page.locator("#alarm-count")).to_have_text("2")
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Alarms", exact=True).click()

    expect(row).to_contain_text("over since")
    expect(row.get_by_role("button")).to_have_count(0)


def test_maintenance_begins_and_ends(visit: Open, api: ServedApi) -> None:
    page = visit("/alarms")
    page.get_by_label("Link, node or instrument").select_option("lab-relay")
    page.get_by_label("Reason").fill("new fibre")
    page.get_by_role("button", name="Begin maintenance").click()
    expect(page.locator("#maintenances")).to_contain_text("new fibre")
    page.get_by_role("button", name="End maintenance of lab-relay").click()

    expect(page.locator("#maintenances")).to_contain_text("Nothing is under maintenance")


def test_a_setting_reaches_the_instrument_and_its_answer_is_shown(
    visit: Open, api: ServedApi
) -> None:
    page = visit("/nodes")
    open_settings(page)
    page.get_by_label("threshold v").fill("0.25")
    page.get_by_role("button", name="Apply 1").click()

    expect(page.locator("#settings-fields")).to_contain_text("held: 0.25")
    assert api.laboratory.held["threshold_v"] == 0.25
    api.laboratory.refusal = "the threshold of 'tagger' goes from -2 to 2 V"
    page.get_by_label("threshold v").fill("9")
    page.get_by_role("button", name="Apply 1").click()
    expect(page.get_by_role("alert").filter(has_text="-2 to 2 V")).to_be_visible()
    assert api.laboratory.held["threshold_v"] == 0.25


def test_of_two_browsers_the_second_is_told_and_nothing_is_half_applied(
    visit: Open, api: ServedApi
) -> None:
    first, second = visit("/nodes"), visit("/nodes")
    for page in (first, second):
        open_settings(page)
    first.get_by_label("threshold v").fill("0.3")
    first.get_by_role("button", name="Apply 1").click()
    expect(first.locator("#settings-fields")).to_contain_text("held: 0.3")
    second.get_by_label("threshold v").fill("0.4")
    second.get_by_label("is gated").check()
    second.get_by_role("button", name="Apply 2").click()

    expect(second.get_by_role("alert").filter(has_text="meanwhile")).to_be_visible()
    assert api.laboratory.held == {"threshold_v": 0.3, "is_gated": False, "mode": "free"}
    second.get_by_role("button", name="Read again").click()
    expect(second.locator("#settings-fields")).to_contain_text("held: 0.3")


def test_the_network_file_is_edited_reviewed_applied_and_taken_back(
    visit: Open, api: ServedApi, file: Path
) -> None:
    before = file.read_text()
    page = visit("/settings")
    form = page.locator("#form")
    form.locator("summary", has_text="alice-bob").click()
    window = form.locator('[data-path="links.alice-bob.coincidence_window_ps"] input')
    window.fill("4000")
    expect(page.locator("#changed")).to_contain_text("1 value changed")
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator("#lines")).to_contain_text("+coincidence_window_ps = 4000")
    expect(page.locator("#differences")).to_contain_text("in force at once")
    page.get_by_role("button", name="Apply").click()

    expect(page.locator("#versions")).to_contain_text("coincidence_window_ps")
    assert "coincidence_window_ps = 4000      # the TDC1 rounds to 2 ns" in file.read_text()
    link = api.hub.link("alice-bob")
    assert link is not None
    assert link.window_ps == 4000
    page.get_by_role("button", name="Revert to file 1").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#versions .alarm")).to_have_count(2)
    assert file.read_text() == before


def test_what_a_form_must_not_say_is_told_beside_the_field(visit: Open, file: Path) -> None:
    before = file.read_text()
    page = visit("/settings")
    page.locator("#form summary", has_text="alice-bob").click()
    place = page.locator('#form [data-path="links.alice-bob.coincidence_window_ps"]')
    place.locator("input").fill("1")
    page.get_by_role("button", name="Review changes").click()

    expect(place.locator(".wrong")).to_contain_text("at least 10")
    assert file.read_text() == before


def test_the_controller_is_told_and_asked(visit: Open, api: ServedApi) -> None:
    page = visit("/routing")
    page.locator("#objective select").select_option("least load")
    page.locator("#objective").get_by_role("button", name="Apply").click()
    expect(page.locator("#plan-note")).to_contain_text("revision 13")
    assert api.hub.latest(PlanView)[0].objective == "least load"
    page.locator("#what-if").get_by_label("relay", exact=True).check()
    page.get_by_role("button", name="Ask").click()

    expect(page.locator("#answer")).to_contain_text("0 routes")
    assert len(api.hub.latest(PlanView)[0].routes) == 1


def test_a_loop_is_held_and_its_target_set(visit: Open, api: ServedApi) -> None:
    (loop,) = api.hub.latest(LoopView)
    measured = Estimate(value=0.01098432, sigma=0.00204431)
    api.call(lambda: api.hub.set(msgspec.structs.replace(loop, residual=measured)))
    page = visit("/links/alice-bob")
    expect(page.locator("#loops")).to_contain_text(
        "residual 0.011 ± 0.002 QBER · state estimated at S = (0.960, 0.280, 0.000) · "
        "paddle 1 set to 50, at 49.6 deg"
    )
    page.get_by_role("button", name="Hold alice-bob polarization").click()
    expect(page.get_by_role("button", name="Resume alice-bob polarization")).to_be_visible()
    page.get_by_label("Target of alice-bob polarization").fill("0.01")
    page.locator("#loops").get_by_role("button", name="Set").click()
    expect(page.get_by_label("Target of alice-bob polarization")).to_have_value("0.01")
    page.get_by_label("Coincidence window, ps").fill("5000")
    page.get_by_role("button", name="Set window").click()

    expect(page.locator("#kpi-coincidences-note")).to_contain_text("5.00 ns window")


def test_a_recording_runs_and_is_listed(visit: Open) -> None:
    page = visit("/recordings")
    page.locator("#name").fill("night-run")
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#running")).to_contain_text("night-run")
    page.get_by_role("button", name="Stop recording").click()

    expect(page.locator("#recording-rows")).to_contain_text("123,456")


def test_analytics_compare_and_give_a_table(visit: Open) -> None:
    page = visit("/analytics")
    expect(page.locator("#number-rows")).to_contain_text("alice-bob")
    page.get_by_label("Quantity").select_option("qber")
    page.get_by_label("Compare with the time before").check()
    page.get_by_role("button", name="30 d").click()
    expect(page.locator("#analysis-legend")).to_contain_text("alice-bob, before")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of alice-bob").click()

    assert download.value.path().read_text().startswith("time (UTC),qber,low,high")


def test_every_change_is_in_the_audit(visit: Open) -> None:
    page = visit("/")
    page.get_by_role("button", name="Stop alice-bob").click()
    expect(page.get_by_role("button", name="Start alice-bob")).to_be_visible()
    page.get_by_role("link", name="Audit log").click()
    page.get_by_label("Search").fill("alice-bob/stop")
    page.get_by_role("button", name="Search").click()

    expect(page.locator("#audit-rows tr")).to_have_count(1)
    expect(page.locator("#audit-rows")).to_contain_text("generating")


def test_the_first_user_closes_the_door_and_comes_in_by_it(visit: Open, api: ServedApi) -> None:
    page = visit("/users")
    page.locator("#user-new").fill("ann")
    page.locator("#user-password").fill("correct horse battery")
    page.locator("#user-rights").select_option("admin")
    page.get_by_role("button", name="Add user").click()
    page.wait_for_url("**/login")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("no user has this name and password")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#user-name")).to_have_text("ann")
    page.get_by_role("button", name="Stop alice-bob").click()
    expect(page.get_by_role("button", name="Start alice-bob")).to_be_visible()
    page.get_by_role("link", name="Users & tokens").click()
    page.locator("#token-new").fill("script")
    page.locator("#token-scopes").fill("state")
    page.get_by_role("button", name="Make token").click()
    token = page.locator("#made .token").inner_text()

    assert api.client(token).state().network == "lab"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert visit("/settings").url.endswith("/login")


def test_who_may_only_look_cannot_press(visit: Open, api: ServedApi) -> None:
    accounts = api.access.gate.accounts
    api.call(lambda: accounts.add_user("ann", "correct horse battery", Right.ADMIN))
    api.call(lambda: accounts.add_user("vera", "correct horse battery", Right.VIEW))
    page = visit("/login")
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("button", name="Stop alice-bob")).to_be_disabled()
    assert "operate" in (
        page.get_by_role("button", name="Stop alice-bob").get_attribute("title") or ""
    )


def test_a_refusal_is_told_in_the_nodes_words(visit: Open, api: ServedApi) -> None:
    page = visit("/links/alice-bob")
    page.get_by_label("Coincidence window, ps").fill("5000")
    api.call(lambda: setattr(api.laboratory, "refusal", "the other end runs elsewhere"))
    page.get_by_role("button", name="Set window").click()

    expect(page.get_by_role("alert")).to_have_text("the other end runs elsewhere")
    link = api.hub.link("alice-bob")
    assert link is not None
    assert link.window_ps == 6000


def test_text_from_the_network_never_becomes_markup(visit: Open, api: ServedApi) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    network = sample_network()
    replace = msgspec.structs.replace

    def poison() -> None:
        for kind in ("links", "hops", "pools", "tunnels", "loops", "plans"):
            for view in getattr(network, kind):
                names = {
                    name: evil
                    for name in ("message", "reason", "protocol", "algorithm", "mode", "name")
                    if isinstance(getattr(view, name, None), str)
                }
                api.hub.set(replace(view, **names))
        node = network.nodes[0]
        instrument = sample_instrument(evil, evil, model=evil, error=evil, state=evil)
        api.hub.set(replace(node, name=evil, instruments=(instrument,)))
        event: Event = network.events[2]
        api.hub.tell(event.level, evil, evil)
        api.hub.maintain(evil, minutes=5, by=evil, reason=evil)
        api.hub.set(
            RecordingView(
                name=evil, is_running=False, started_s=1.78e9, duration_s=1.0,
                instruments=(evil,), tags=1, size_bytes=1, gaps=0, is_simulated=True,
            )
        )  # fmt: skip

    api.call(poison)
    muted = json.dumps({"minutes": 5, "reason": evil})
    assert api.ask("POST", "/api/v1/maintenance/alice-bob/start", muted)[0] == 200
    page = visit("/")
    for each in PAGES:
        page.goto(api.url + each.path)
        expect(page.locator("#live-word")).to_have_text("LIVE")
        if each.name not in ("settings", "users"):
            expect(page.locator("main")).to_contain_text("onerror")
        assert page.locator("main img, main script").count() == 0
        assert "owned" not in page.title()


def test_a_page_finds_back_to_a_node_that_was_killed(visit: Open, api: ServedApi) -> None:
    page = visit("/")
    network = sample_network()
    api.stop()
    expect(page.locator("#live-word")).to_have_text("STALE")
    stopped = msgspec.structs.replace(network.links[0], phase=LinkPhase.STOPPED)
    again = msgspec.structs.replace(network, links=(stopped, *network.links[1:]))

    with served(Site(snapshot=again, pages=routes(), port=api.port)):
        expect(page.locator("#live-word")).to_have_text("LIVE")
        expect(page.get_by_role("button", name="Start alice-bob")).to_be_visible()


def test_an_empty_network_is_shown_as_such(browser: object, visit: Open, api: ServedApi) -> None:
    empty = msgspec.structs.replace(
        sample_network(), nodes=(), links=(), hops=(), pools=(), tunnels=(), plans=(), loops=(),
        events=(),
    )  # fmt: skip
    with served(Site(snapshot=empty, pages=routes())) as bare:
        page = visit("/")
        page.goto(bare.url)
        expect(page.locator("#kpi-links")).to_have_text("0 / 0")
        expect(page.locator("main")).to_contain_text("This network has no link")

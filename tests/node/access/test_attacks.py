"""Every rule of the API's security, attacked over a real socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest
from fake_node import sample_snapshot
from served_api import COMMAND, ServedApi, Site, served

from qnx_hw.api.access import Right
from qnx_hw.api.schema import LinkPhase
from qnx_hw.node.access.gate import Limits
from qnx_hw.node.access.limits import Limit

PASSWORD = "correct horse battery"
STOP = "/api/v1/links/alice-bob/stop"


@pytest.fixture(name="api", scope="module")
def _api() -> Iterator[ServedApi]:
    with served(Site(snapshot=sample_snapshot())) as api:
        accounts = api.access.gate.accounts
        accounts.add_user("ann", PASSWORD, Right.ADMIN)
        accounts.add_user("olaf", PASSWORD, Right.OPERATE)
        accounts.add_user("vera", PASSWORD, Right.VIEW)
        yield api


class Browser:
    """A user's session as a browser holds it."""

    def __init__(self, api: ServedApi, name: str) -> None:
        self._api = api
        wish = {"name": name, "password": PASSWORD}
        status, me, headers = api.ask("POST", "/api/v1/login", wish)
        assert status == 200, me
        self.set_cookie = headers["Set-Cookie"]
        self.cookie = SimpleCookie(self.set_cookie)["__Host-qnx"].value
        self.csrf = me["csrf"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"__Host-qnx={self.cookie}", "X-QNX-Token": self.csrf}

    def ask(self, method: str, path: str, body: object = None, **changes: str | None) -> int:
        headers = {**self.headers, **{k.replace("_", "-"): v for k, v in changes.items()}}
        return self._api.ask(
            method,
            path,
            body,
            {name: value for name, value in headers.items() if value is not None},
        )[0]


def phase(api: ServedApi) -> LinkPhase:
    link = api.hub.link("alice-bob")
    assert link is not None
    return link.phase


@pytest.mark.parametrize(
    "path", ["/api/v1/state", "/api/v1/stream", "/api/v1/openapi.json", "/api/v1/me", "/api/v1/x"]
)
def test_nobody_sees_anything_without_logging_in(api: ServedApi, path: str) -> None:
    status, problem, headers = api.ask("GET", path)

    assert status == 401
    assert "log in" in problem["error"]
    assert headers["WWW-Authenticate"] == "Bearer"


def test_pages_lead_to_the_login(api: ServedApi) -> None:
    status, _, headers = api.ask("GET", "/settings")

    assert (status, headers["Location"]) == (303, "/login")


def test_the_cookie_is_bound_to_this_host_and_hidden_from_scripts(api: ServedApi) -> None:
    cookie = Browser(api, "ann").set_cookie

    assert cookie.startswith("__Host-qnx=")
    for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie


def test_each_login_gets_a_new_session_and_ends_the_old_one(api: ServedApi) -> None:
    first = Browser(api, "ann")
    wish = {"name": "ann", "password": PASSWORD}
    _, _, headers = api.ask("POST", "/api/v1/login", wish, first.headers)

    assert SimpleCookie(headers["Set-Cookie"])["__Host-qnx"].value != first.cookie
    assert first.ask("GET", "/api/v1/state") == 401


def test_a_made_up_cookie_opens_nothing(api: ServedApi) -> None:
    for cookie in ("x", "a" * 43, "' OR 1=1 --", ""):
        status, _, _ = api.ask("GET", "/api/v1/state", headers={"Cookie": f"__Host-qnx={cookie}"})
        assert status == 401


def test_logging_out_ends_the_session_at_the_server(api: ServedApi) -> None:
    ann = Browser(api, "ann")

    assert ann.ask("POST", "/api/v1/logout") == 200
    assert ann.ask("GET", "/api/v1/state") == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"X_QNX_Token": None},
        {"X_QNX_Token": "guess"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"X_QNX_Client": ""},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_a_command_forged_by_another_site_changes_nothing(
    api: ServedApi, changes: dict[str, str | None]
) -> None:
    ann = Browser(api, "ann")
    assert ann.ask("POST", "/api/v1/links/alice-bob/start") == 200

    assert ann.ask("POST", STOP, None, **changes) in (403, 415)
    assert phase(api) is LinkPhase.GENERATING
    assert ann.ask("POST", STOP, None, Sec_Fetch_Site="same-origin") == 200


def test_another_sessions_token_does_not_help(api: ServedApi) -> None:
    ann, vera = Browser(api, "ann"), Browser(api, "vera")

    assert ann.ask("POST", STOP, None, X_QNX_Token=vera.csrf) == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1", ""])
def test_another_name_for_this_address_is_refused(api: ServedApi, host: str) -> None:
    ann = Browser(api, "ann")

    assert ann.ask("GET", "/api/v1/state", Host=host) == 421


def test_rights_are_kept(api: ServedApi) -> None:
    vera, olaf = Browser(api, "vera"), Browser(api, "olaf")
    new_user = {"name": "eve", "password": PASSWORD, "right": "admin"}

    assert vera.ask("GET", "/api/v1/state") == 200
    assert vera.ask("POST", STOP) == 403
    assert olaf.ask("POST", STOP) == 200
    for path in ("/api/v1/users", "/api/v1/audit"):
        assert olaf.ask("GET", path) == 403
    assert olaf.ask("POST", "/api/v1/users", new_user) == 403
    assert olaf.ask("POST", "/api/v1/users/olaf", {"right": "admin"}) == 403
    assert olaf.ask("POST", "/api/v1/settings/revert", {"number": 1, "revision": ""}) == 403


def test_no_get_changes_anything(api: ServedApi) -> None:
    ann = Browser(api, "ann")
    assert ann.ask("POST", "/api/v1/links/alice-bob/start") == 200
    _, document, _ = api.ask("GET", "/api/v1/openapi.json", headers=ann.headers)
    commands = [path for path, each in document["paths"].items() if "get" not in each]

    assert len(commands) > 15
    for path in commands:
        filled = re.sub(r"\{\w+\}", "alice-bob", path)
        assert ann.ask("GET", filled) == 405
        assert ann.ask("HEAD", filled) == 405
    assert phase(api) is LinkPhase.GENERATING


def test_tokens_are_scoped_shown_once_and_end(api: ServedApi) -> None:
    olaf = Browser(api, "olaf")
    wish = {"name": "script", "right": "operate", "scopes": ["links"]}
    status, made, _ = api.ask("POST", "/api/v1/tokens", wish, olaf.headers)
    bearer = {"Authorization": f"Bearer {made['token']}"}

    assert status == 200
    assert api.ask("POST", STOP, None, bearer)[0] == 200
    assert api.ask("GET", "/api/v1/state", None, bearer)[0] == 403
    _, listed, _ = api.ask("GET", "/api/v1/tokens", None, olaf.headers)
    assert made["token"] not in str(listed)
    dump = "\n".join(api.access.database.iterdump())
    assert made["token"] not in dump
    assert olaf.cookie not in dump
    assert PASSWORD not in dump
    assert olaf.ask("POST", f"/api/v1/tokens/{made['view']['number']}/remove") == 200
    assert api.ask("POST", STOP, None, bearer)[0] == 401


def test_a_token_never_has_more_right_than_its_owner(api: ServedApi) -> None:
    vera = Browser(api, "vera")

    assert vera.ask("POST", "/api/v1/tokens", {"name": "x", "right": "admin"}) == 403
    olaf = Browser(api, "olaf")
    _, made, _ = api.ask("POST", "/api/v1/tokens", {"name": "x", "right": "operate"}, olaf.headers)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    ann = Browser(api, "ann")
    assert ann.ask("POST", "/api/v1/users/olaf", {"right": "view"}) == 200
    assert api.ask("POST", STOP, None, bearer)[0] == 403
    assert api.ask("POST", "/api/v1/tokens", {"name": "y"}, bearer)[0] == 403
    assert ann.ask("POST", "/api/v1/users/olaf", {"right": "operate"}) == 200


def test_the_last_admin_stays(api: ServedApi) -> None:
    ann = Browser(api, "ann")

    assert ann.ask("POST", "/api/v1/users/ann/remove") == 409
    assert ann.ask("POST", "/api/v1/users/ann", {"right": "view"}) == 409


def test_a_removed_users_stream_ends(api: ServedApi) -> None:
    ann = Browser(api, "ann")
    wish = {"name": "tom", "password": PASSWORD, "right": "view"}
    assert ann.ask("POST", "/api/v1/users", wish) == 200
    tom = Browser(api, "tom")
    _, made, _ = api.ask("POST", "/api/v1/tokens", {"name": "t"}, tom.headers)
    updates = api.client(made["token"]).stream()
    next(updates)

    assert ann.ask("POST", "/api/v1/users/tom/remove") == 200
    assert not [update for update in updates if type(update).__name__ == "Snapshot"]


def test_every_change_is_in_the_audit_and_no_password_is(api: ServedApi) -> None:
    ann = Browser(api, "ann")
    ann.ask("POST", "/api/v1/links/alice-bob/start")
    ann.ask("POST", STOP)
    Browser(api, "vera").ask("POST", STOP)
    api.ask("POST", "/api/v1/login", {"name": "ann", "password": "wrong"})

    _, page, _ = api.ask("GET", "/api/v1/audit", None, ann.headers)

    failed, refused, _, stopped = page["rows"][:4]
    assert (failed["who"], failed["status"], failed["after"]) == ("nobody", 401, "login as ann")
    assert (refused["who"], refused["status"]) == ("vera", 403)
    assert (stopped["who"], stopped["what"]) == ("ann", f"POST {STOP}")
    assert (stopped["before"], stopped["after"]) == ("generating", "stopped")
    assert stopped["address"] == "127.0.0.1"
    assert PASSWORD not in str(page)
    assert "wrong" not in str(page)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(api: ServedApi, method: str) -> None:
    assert Browser(api, "ann").ask(method, "/api/v1/state") in (403, 405)


def test_answers_forbid_inline_code_framing_and_caching(api: ServedApi) -> None:
    _, _, headers = api.ask("GET", "/api/v1/state", None, Browser(api, "ann").headers)

    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_guessing_passwords_and_tokens_is_slowed_down() -> None:
    limits = Limits(attempts=Limit(per_s=1e-6, burst=3))
    with served(Site(snapshot=sample_snapshot(), limits=limits)) as api:
        api.access.gate.accounts.add_user("ann", PASSWORD, Right.ADMIN)
        wish = {"name": "nobody", "password": "x"}
        answers = [api.ask("POST", "/api/v1/login", wish)[0] for _ in range(4)]
        bearer = {"Authorization": "Bearer qnx_guess"}
        status, _, headers = api.ask("GET", "/api/v1/state", None, bearer)

    assert answers == [401, 401, 401, 429]
    assert status == 429
    assert int(headers["Retry-After"]) > 0


def test_floods_are_slowed_down() -> None:
    limits = Limits(requests=Limit(per_s=1e-6, burst=8), commands=Limit(per_s=1e-6, burst=2))
    with served(Site(snapshot=sample_snapshot(), limits=limits)) as api:
        commands = [api.ask("POST", STOP)[0] for _ in range(3)]
        queries = [api.ask("GET", "/api/v1/state")[0] for _ in range(6)]

    assert commands == [200, 200, 429]
    assert queries == [200, 200, 200, 200, 200, 429]


def test_without_users_this_machine_may_do_everything_until_the_first_is_made() -> None:
    with served(Site(snapshot=sample_snapshot())) as api:
        assert api.ask("POST", STOP)[0] == 200
        first = {"name": "ann", "password": PASSWORD}
        assert api.ask("POST", "/api/v1/users", first | {"right": "view"})[0] == 400
        assert api.ask("POST", "/api/v1/users", first | {"password": "short"})[0] == 400
        assert api.ask("POST", "/api/v1/users", first | {"right": "admin"})[0] == 200
        assert api.ask("POST", STOP)[0] == 401
        assert Browser(api, "ann").ask("POST", STOP) == 200


def test_away_from_this_machine_nobody_is_let_in_without_a_user() -> None:
    with served(Site(snapshot=sample_snapshot(), is_loopback=False)) as api:
        assert api.ask("GET", "/api/v1/state")[0] == 401


@pytest.mark.parametrize("body", ["", "[]", "{", '"x"', '{"a": ' * 5000, "{}" + " " * 70_000])
def test_bodies_that_are_no_small_object_are_refused(api: ServedApi, body: str) -> None:
    status, problem, _ = api.ask("POST", STOP, body, Browser(api, "ann").headers | COMMAND)

    assert status in (400, 413)
    assert problem["error"]

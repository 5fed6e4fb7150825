"""Sessions and tokens end when they should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.api.access import AuditRow, Right
from qnx_hw.node.access.accounts import IDLE_S, LONGEST_SESSION_S, Accounts
from qnx_hw.node.access.audit import PAGE_ROWS, Audit
from qnx_hw.node.access.database import open_database
from qnx_hw.node.access.limits import Limit


class Clock:
    def __init__(self) -> None:
        self.now_s = 1e9

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="accounts")
def _accounts(clock: Clock) -> Iterator[Accounts]:
    database = open_database(":memory:")
    accounts = Accounts(database, clock, cost=1 << 4)
    accounts.add_user("ann", "correct horse battery", Right.ADMIN)
    yield accounts
    database.close()


def test_a_session_ends_after_an_hour_without_use(accounts: Accounts, clock: Clock) -> None:
    cookie = accounts.begin_session("ann")
    for _ in range(3):
        clock.now_s += IDLE_S - 1
        assert accounts.session(cookie) is not None
    clock.now_s += IDLE_S + 1

    assert accounts.session(cookie) is None


def test_a_session_ends_after_half_a_day_in_any_case(accounts: Accounts, clock: Clock) -> None:
    cookie = accounts.begin_session("ann")
    for _ in range(int(LONGEST_SESSION_S / IDLE_S)):
        clock.now_s += IDLE_S - 1
        accounts.session(cookie)
    clock.now_s += IDLE_S - 1

    assert accounts.session(cookie) is None


def test_a_token_ends_with_its_time(accounts: Accounts, clock: Clock) -> None:
    made = accounts.add_token("ann", "script", Right.VIEW, (), days=1.0)
    caller = accounts.token(made.token)
    assert caller is not None
    clock.now_s += 86_401.0

    assert accounts.token(made.token) is None
    assert not accounts.is_still_good(caller)


def test_a_new_password_ends_the_users_sessions(accounts: Accounts) -> None:
    cookie = accounts.begin_session("ann")
    accounts.change_user("ann", password="another long password")

    assert accounts.session(cookie) is None
    assert accounts.check("ann", "another long password")
    assert not accounts.check("ann", "correct horse battery")


def test_the_audit_is_read_page_by_page(clock: Clock) -> None:
    database = open_database(":memory:")
    audit = Audit(database, clock)
    for number in range(PAGE_ROWS + 5):
        audit.add(
            AuditRow(number=0, time_s=0.0, who="ann", address="", what=f"thing 100% {number}")
        )

    newest = audit.page()
    older = audit.page(newest.rows[-1].number)
    found = audit.page(words="100% 7")
    database.close()

    assert (len(newest.rows), newest.more) == (PAGE_ROWS, True)
    assert (len(older.rows), older.more) == (5, False)
    assert {row.what for row in found.rows} == {"thing 100% 7"} | {
        f"thing 100% 7{digit}" for digit in range(10)
    }


@given(st.lists(st.floats(0.0, 5.0), max_size=60))
def test_a_limit_is_never_exceeded(pauses_s: list[float]) -> None:
    clock = Clock()
    limit = Limit(per_s=0.5, burst=3.0, now=clock)
    passed = 0
    for pause_s in pauses_s:
        clock.now_s += pause_s
        passed += limit.wait_s("somebody") == 0.0

    assert passed <= 3.0 + 0.5 * sum(pauses_s) + 1e-6

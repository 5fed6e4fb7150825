"""`qnx users`: who may use the API and the dashboard of a network file's nodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw import config
from qnx_hw.api.access import Right

if TYPE_CHECKING:
    from qnx_hw.node.access.accounts import Accounts


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx users add lab.toml ann --right admin\n"
        "  qnx users list lab.toml\n  qnx users remove lab.toml ann\n\n"
        "The password is asked for, or read from standard input where that is no terminal."
    )
    parser.add_argument("action", choices=("list", "add", "password", "remove"))
    parser.add_argument("file", type=Path, metavar="FILE", help="network file")
    parser.add_argument("name", nargs="?", metavar="NAME", help="whom")
    parser.add_argument("--right", choices=[*Right], default=Right.VIEW, help="of a new user")
    parser.add_argument(
        "--node", action="append", metavar="NAME", help="as given to `qnx run --node`; repeat"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the list of users")


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say who is there now."""
    import msgspec

    from qnx_hw.errors import ConfigError
    from qnx_hw.node.access import Access
    from qnx_hw.node.console import console_folder

    if arguments.action != "list" and not arguments.name:
        raise ConfigError(f"whom? qnx users {arguments.action} FILE NAME")
    network = config.load(arguments.file)
    path = console_folder(network, arguments.node) / "access.sqlite"
    with Access.open(path, is_loopback=True) as access:
        accounts = access.gate.accounts
        _act(accounts, arguments)
        users = accounts.users()
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(users)) + b"\n")
    for user in users:
        print(f"{user.name}: {user.right}")
    if not users:
        print("no users: whoever sits at this machine may do everything")
    return 0


def _act(accounts: Accounts, arguments: argparse.Namespace) -> None:
    match arguments.action:
        case "add":
            accounts.add_user(arguments.name, _password(), Right(arguments.right))
        case "password":
            accounts.change_user(arguments.name, password=_password())
        case "remove":
            accounts.remove_user(arguments.name)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    import getpass

    from qnx_hw.errors import ConfigError

    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise ConfigError("the two passwords differ")
    return password

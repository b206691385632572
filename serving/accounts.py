"""Accounts: name, role and a token, which is shown once and stored as an Argon2id hash.

    python -m serving.accounts create NAME --role operator|reviewer|auditor|admin|monitor [--expires DAYS]
                                           [--district NAME]…
    python -m serving.accounts bind NAME [--district NAME]…
    python -m serving.accounts list
    python -m serving.accounts disable NAME
    python -m serving.accounts renew NAME [--expires DAYS]
    python -m serving.accounts first

A token is `dongseon_<id>_<secret>`: the id identifies the account, the secret has 256 random bits. `renew` replaces the
token and enables a disabled account; `renew`, `disable` and `bind` take effect with the next request. An operator or
reviewer who is bound to districts finds nothing of any other: neither cameras and sightings nor cases; `bind` without a
district gives all of them. `first` creates an admin and a reviewer, for a year, if there is no account yet. Settings:
section `serving` of params.yaml in the current folder.
"""

import argparse
from collections.abc import Sequence

from serving.access.accounts import (
    FIRST_EXPIRE_DAYS,
    Account,
    account_named,
    accounts,
    bind_account,
    create_account,
    create_first_accounts,
    disable_account,
    renew_account,
)
from serving.access.roles import Role
from serving.database import audit
from serving.database.commands import run_command
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Run the command of `argv`.

    Raises:
        InputError: if the settings or the name are invalid, or the database does not answer.
    """
    options = _parser().parse_args(argv)
    by = audit.command_account()
    with open_store(ServingSettings.from_params("serving").store_folder) as store, store.begin() as connection:
        match options.command:
            case "create":
                role = Role(options.role)
                token = create_account(connection, options.name, role, by, options.expires, options.district)
                _show(options.name, role, token)
            case "bind":
                bind_account(connection, options.name, options.district, by)
                print(f"{options.name} has {_districts(account_named(connection, options.name))}")
            case "renew":
                token = renew_account(connection, options.name, by, options.expires)
                _show(options.name, account_named(connection, options.name).role, token)
            case "disable":
                disable_account(connection, options.name, by)
                print(f"{options.name} is disabled")
            case "first":
                for name, role, token in (created := create_first_accounts(connection, by)):
                    _show(name, role, token)
                if created:
                    print("sign in on the page with the reviewer's token to search; keep both in a password manager")
                    print(f"both expire in {FIRST_EXPIRE_DAYS} days; python -m serving.accounts renew prolongs them")
            case _:
                for account in accounts(connection):
                    print(_line(account))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.accounts", description="Manage the accounts of the service."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create an account and print its token once")
    create.add_argument("--role", choices=list(Role), required=True)
    bind = commands.add_parser("bind", help="let an operator or reviewer find only what is of some districts, or all")
    disable = commands.add_parser("disable", help="refuse the account from the next request on")
    renew = commands.add_parser("renew", help="print a new token; the previous one becomes invalid")
    for command in (create, bind, disable, renew):
        command.add_argument("name")
    for command in (create, bind):
        command.add_argument(
            "--district", action="append", metavar="NAME", help="once for each district; default: all of them"
        )
    for command in (create, renew):
        command.add_argument("--expires", type=int, metavar="DAYS", help="days until the token expires; default: never")
    commands.add_parser("list", help="print all accounts with role, districts, creation and expiry")
    commands.add_parser("first", help="create an admin and a reviewer if there is no account yet")
    return parser


def _show(name: str, role: Role, token: str) -> None:
    print(f"token of {name} ({role}), shown only now: {token}")


def _line(account: Account) -> str:
    expiry = f"until {account.expires:%Y-%m-%d %H:%M} UTC" if account.expires else "no expiry"
    state = f"disabled {account.disabled:%Y-%m-%d %H:%M} UTC" if account.disabled else expiry
    since = f"since {account.created:%Y-%m-%d %H:%M} UTC"
    return "\t".join([account.name, account.role, _districts(account), since, state])


def _districts(account: Account) -> str:
    return "all districts" if account.districts is None else f"districts {', '.join(sorted(account.districts))}"


if __name__ == "__main__":
    run_command(main)

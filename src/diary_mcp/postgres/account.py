"""Which operating system account PostgreSQL runs under, and which one may connect to it."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass

from diary_mcp.domain.errors import DatabaseUnavailableError

_OWN_ACCOUNT = "diary-mcp"
_WAY_OUT = (
    "Run diary-mcp as an ordinary user, or use a PostgreSQL of your own with "
    "DIARY_MCP_DATABASE_URL."
)


@dataclass(frozen=True)
class ServerAccount:
    """The account of the server's processes, and how to start a program under it."""

    uid: int
    gid: int
    client: str
    """The operating system user who may connect: the one we run as."""
    command_prefix: tuple[str, ...] = ()

    def check_usable(self) -> None:
        """Try the account out, because PostgreSQL's own message would mislead.

        Raises:
            DatabaseUnavailableError: This process may not start anything under it.
        """
        if not self.command_prefix:
            return
        trial = subprocess.run(  # noqa: S603  # our own constant words
            [*self.command_prefix, "true"],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
        if trial.returncode != 0:
            raise DatabaseUnavailableError(
                "PostgreSQL refuses to run as root, and starting it under another account "
                f"(uid {self.uid}) failed ({trial.stderr.strip()}). {_WAY_OUT}"
            )


def server_account(made_by: int | None = None) -> ServerAccount:
    """The account of whoever we are; in place of root, whom PostgreSQL refuses, another one.

    That is `diary-mcp` where the system has such an account, else `nobody`, whom other programs
    may run as too. A cluster stays with the one of them whose it is (`made_by`).

    Raises:
        DatabaseUnavailableError: There is no account that could be used.
    """
    uid = os.geteuid()
    client = _account(uid).pw_name
    if uid != 0:
        return ServerAccount(uid, os.getegid(), client)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DatabaseUnavailableError(
            "PostgreSQL refuses to run as root, and the program setpriv (package util-linux), "
            f"which would start it under another account, is not installed. {_WAY_OUT}"
        )
    account = _account_for_root(made_by)
    # It could not reach a data directory under /root: this one capability lets it, and spares us
    # to open the directories above to everybody.
    prefix = (
        setpriv,
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    )
    return ServerAccount(account.pw_uid, account.pw_gid, client, prefix)


def _account_for_root(made_by: int | None) -> pwd.struct_passwd:
    nobody = _account("nobody")
    if made_by == nobody.pw_uid:
        return nobody
    try:
        return pwd.getpwnam(_OWN_ACCOUNT)
    except KeyError:
        return nobody


def _account(who: int | str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(who) if isinstance(who, int) else pwd.getpwnam(who)
    except KeyError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL needs an account that the system knows, and there is none for {who} "
            f"(it is not in /etc/passwd). {_WAY_OUT}"
        ) from error

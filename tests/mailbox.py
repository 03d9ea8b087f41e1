"""A real IMAP server for the tests: Debian's dovecot, unprivileged, on loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import email
import getpass
import grp
import imaplib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from tests.needs import needs

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0
STARTS_MAX = 3
PASSWORD = "imap-password"
NOBODY = "nobody"

_CONFIG = r"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
mail_location = maildir:{folder}/mail/%u
protocols = imap lmtp
listen = 127.0.0.1
{tls}
disable_plaintext_auth = no
auth_failure_delay = 0
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  mailbox "Sent Items" {{
    auto = create
    special_use = \Sent
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The server. Every address has a mailbox, with the same password. `imaps_port` is 0 without TLS."""

    imap_port: int
    lmtp_port: int
    imaps_port: int = 0

    def put(
        self, address: str, *mails: bytes, at: datetime, folder: str = "INBOX", flags: str | None = None
    ) -> None:
        """Put mails into a folder as if they had come at that time; which is made where there is none."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=START_SECONDS_MAX) as line:
            line.login(address, PASSWORD)
            line.create(f'"{folder}"')
            for raw in mails:
                done, said = line.append(f'"{folder}"', flags, at, raw)
                assert done == "OK", said

    def destroy(self, address: str, folder: str) -> None:
        """Delete a folder with all that is in it."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=START_SECONDS_MAX) as line:
            line.login(address, PASSWORD)
            done, said = line.delete(f'"{folder}"')
            assert done == "OK", said

    def flags(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """The flags of each mail in a folder."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=START_SECONDS_MAX) as line:
            line.login(address, PASSWORD)
            line.select(f'"{folder}"', readonly=True)
            _, found = line.fetch("1:*", "(FLAGS)")
            return [b" ".join(imaplib.ParseFlags(row)) for row in found if isinstance(row, bytes)]

    @contextlib.contextmanager
    def inbox(self, address: str) -> Iterator[imaplib.IMAP4]:
        """The inbox of an address, open for reading."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=START_SECONDS_MAX) as line:
            line.login(address, PASSWORD)
            line.select(readonly=True)
            yield line

    def mails(self, address: str) -> list[EmailMessage]:
        """What is in its inbox, in the order in which it came."""
        with self.inbox(address) as line:
            _, found = line.search(None, "ALL")
            return [_mail(line, number.decode()) for number in found[0].split()]

    def threads(self, address: str) -> list[list[int]]:
        """The threads of its inbox as the server sees them (RFC 5256, REFERENCES): mails by number."""
        with self.inbox(address) as line:
            _, found = line.thread("REFERENCES", "UTF-8", "ALL")
            return [[int(number) for number in re.findall(r"\d+", one)] for one in _top(found[0].decode())]


def _mail(line: imaplib.IMAP4, number: str) -> EmailMessage:
    _, parts = line.fetch(number, "(BODY.PEEK[])")
    part: Any = parts[0]
    message = email.message_from_bytes(part[1], policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _top(said: str) -> list[str]:
    """The outermost parentheses of an answer: a thread each, however it branches inside."""
    threads, depth = [""], 0
    for letter in said:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        threads[-1] += letter
        if depth == 0 and letter == ")":
            threads.append("")
    return [thread for thread in threads if thread.strip()]


@contextlib.contextmanager
def mailbox(papers: Path | None = None) -> Iterator[Mailbox]:
    """The server, started; skips the test where dovecot is missing (see `needs`). `papers`: a folder with the
    cert.pem and key.pem that it shows, where it is to speak TLS."""
    program = needs("dovecot")
    needs("/usr/lib/dovecot/lmtp")
    # Not below pytest's own folder, which is root's alone where root tests.
    folder = Path(tempfile.mkdtemp(prefix="mailbox-"))
    try:
        server, made = _start(program, folder, papers)
        try:
            yield made
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(program: str, folder: Path, papers: Path | None) -> tuple[subprocess.Popen[bytes], Mailbox]:
    """The server on two free ports: on others, where somebody took one of them meanwhile."""
    user = NOBODY if os.geteuid() == 0 else getpass.getuser()
    known = pwd.getpwnam(user)
    group = grp.getgrgid(known.pw_gid).gr_name
    as_user: dict[str, Any] = {}
    config = folder / "dovecot.conf"
    config.touch()
    if os.geteuid() == 0:
        shutil.chown(folder, user, group)
        shutil.chown(config, user, group)
        as_user = {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}
    tls = "ssl = no"
    if papers is not None:
        tls = f"ssl = yes\nssl_cert = <{folder / 'cert.pem'}\nssl_key = <{folder / 'key.pem'}"
        for name in ("key.pem", "cert.pem"):
            shutil.copy(papers / name, folder / name)
            shutil.chown(folder / name, user, group)
    for attempt in range(STARTS_MAX):
        made = Mailbox(_free_port(), _free_port(), _free_port() if papers is not None else 0)
        ports = {"imap": made.imap_port, "lmtp": made.lmtp_port, "imaps": made.imaps_port}
        whole = {"folder": folder, "user": user, "group": group, "password": PASSWORD, "tls": tls}
        config.write_text(_CONFIG.format(**whole, **ports))
        server = subprocess.Popen([program, "-F", "-c", str(config)], stderr=subprocess.DEVNULL, **as_user)
        try:
            _wait(server, made, folder / "log")
        except RuntimeError:
            _stop(server)
            if attempt == STARTS_MAX - 1:
                raise
        else:
            break
    return server, made


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS_MAX)
    server.kill()
    server.wait(STOP_SECONDS_MAX)


def _wait(server: subprocess.Popen[bytes], made: Mailbox, log: Path) -> None:
    """Until both ports answer. What the server says against its start is in the error."""
    pause = threading.Event()
    for _ in range(int(START_SECONDS_MAX / 0.05)):
        with contextlib.suppress(OSError):
            for port in (made.imap_port, made.lmtp_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if server.poll() is not None:
            break
        pause.wait(0.05)
    said = log.read_text("utf-8", "replace") if log.exists() else ""
    raise RuntimeError(f"dovecot did not start: {said[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

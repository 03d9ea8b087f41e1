"""Talking to the service manager: the datagrams of sd_notify(3) and the watchdog's interval, nothing else.

Kept without a dependency, since it is one socket and one datagram.
"""

from __future__ import annotations

import os
import socket

SEND_SECONDS_MAX = 1.0


def notify(state: str) -> bool:
    """Tell the service manager a state: `READY=1`, `RELOADING=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`;
    several on lines of their own.

    True where it was handed over; False where nobody asked for it (NOTIFY_SOCKET is not set) or the socket
    did not take it: the daemon's work never depends on it. An address that begins with "@" lives in the
    abstract namespace (sd_notify(3)).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(SEND_SECONDS_MAX)
            sender.connect(address)
            sender.sendall(state.encode())
    except OSError:
        return False
    return True


def watchdog_seconds() -> float | None:
    """How long the service manager waits for a `WATCHDOG=1` before it kills us; None where it does not.

    WATCHDOG_PID names the process that is meant: a child must not answer for its parent
    (sd_watchdog_enabled(3)).
    """
    meant = os.environ.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 else None

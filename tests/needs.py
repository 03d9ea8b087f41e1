"""What a test needs of the machine: a program of a Debian package, or a clear word that it is missing."""

from __future__ import annotations

import os
import shutil

import pytest

_PACKAGES = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "dovecot": "dovecot-imapd",
    "/usr/lib/dovecot/lmtp": "dovecot-lmtpd",
    "chromium": "chromium",
}


def needs(program: str) -> str:
    """The path of a program. Where it is missing the test is skipped and says which package brings it; with
    REQUIRE_ALL=1 it fails instead."""
    # Servers are where only root looks by itself.
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is not None:
        return path
    word = f"{program} is not installed; apt-get install {_PACKAGES.get(program, program)}"
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{word} (REQUIRE_ALL=1)")
    pytest.skip(word)

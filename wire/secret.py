"""Secrets: named in the config, read from the environment or from files, never shown.

The config says where a secret is, not what it is: `token = { env = "X_TOKEN" }`,
`token = { file = "/etc/response-monitor/x-token" }` or, under systemd's LoadCredential,
`token = { credential = "x-token" }`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SOURCES = ("env", "file", "credential")
_BYTES_MAX = 64 * 1024
# A secret that was pasted where its name belongs would be repeated by every error about it: names are held
# to the form of names, which a URL or most tokens do not have.
_NAMES = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}"),
    "credential": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"),
    "file": re.compile(r"[^\x00]{1,4096}"),
}


class SecretMissing(Exception):
    """The variable, file or credential that the config names is not there, empty, or unreadable."""


class Secret:
    """Where a secret is. `reveal()` reads it anew each time, so that a rotated file is noticed.

    Its repr, str, pickle and JSON never hold the value.
    """

    __slots__ = ("name", "source")

    def __init__(self, source: str, name: str) -> None:
        if source not in _SOURCES:
            raise ValueError(f"a secret comes from one of {', '.join(_SOURCES)}, not {source!r}")
        self.source = source
        self.name = name

    def reveal(self) -> str:
        """The value, without the line end that editors leave. Raises SecretMissing, which says what to do."""
        if self.source == "env":
            value = os.environ.get(self.name, "")
            if not value:
                raise SecretMissing(f"environment variable {self.name} is not set; set it to the secret")
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                # Bytes that are not UTF-8 arrive as surrogates, and could never be sent anywhere.
                raise SecretMissing(f"environment variable {self.name} is not UTF-8; set it anew") from None
            return value
        if self.source == "credential":
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if not folder:
                raise SecretMissing(
                    f"credential {self.name!r} needs systemd: add LoadCredential={self.name}:/path/to/it "
                    "to the unit (CREDENTIALS_DIRECTORY is not set)"
                )
            path = Path(folder) / self.name
        else:
            path = Path(self.name)
        try:
            with path.open("rb") as stream:
                content = stream.read(_BYTES_MAX + 1)
            value = content.decode("utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            # A ValueError is either of the decoder or of a path that holds a NUL; its text may hold bytes.
            not_utf8 = isinstance(error, UnicodeDecodeError)
            reason = getattr(error, "strerror", None) or ("not UTF-8" if not_utf8 else "not a path")
            raise SecretMissing(f"secret file {path} cannot be read: {reason}") from None
        if len(content) > _BYTES_MAX:
            raise SecretMissing(f"secret file {path} has more than {_BYTES_MAX} bytes: is it the right one?")
        if not value:
            raise SecretMissing(f"secret file {path} is empty; write the secret into it")
        return value

    def __repr__(self) -> str:
        return f"Secret({self.source}={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.source, self.name) == (other.source, other.name)

    def __hash__(self) -> int:
        return hash((self.source, self.name))

    @classmethod
    def _read(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, dict) and len(value) == 1:
            source, name = next(iter(value.items()))
            if source in _SOURCES and isinstance(name, str) and _NAMES[source].fullmatch(name):
                return cls(source, name)
        # The value itself may be a secret that somebody pasted here: never repeat it.
        raise ValueError(
            'secrets are not written into the config: expected { env = "NAME" }, { file = "/path" } '
            'or { credential = "name" }'
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(repr)
        )

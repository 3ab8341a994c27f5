"""API keys: made here, hashed in the settings, and compared in constant time.

A key is 256 random bits, so a plain SHA-256 of it tells nothing: there is no list of likely keys to try, which is what
the slow derivations for passwords are against. Those would cost every request, and strangers could make us pay.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import dataclasses
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence

SCOPES = ("read", "run", "write", "admin")

_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,128}):(?P<scopes>[a-z]+(?:\+[a-z]+)*):(?P<sha256>[0-9a-f]{64})")
_PREFIX = "gs_"


@dataclasses.dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key: not the key itself.

    Attributes:
        name: What the operator calls it.
        scopes: What it may do.
        digest: The SHA-256 of the key.
    """

    name: str
    scopes: frozenset[str]
    digest: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_setting(cls, entry: str) -> ApiKey:
        """Read ``NAME:SCOPE+SCOPE:SHA256``; errors never repeat the entry, which might be a key by mistake.

        Raises:
            ValueError: It is not of this form, or a scope is unknown.
        """
        match = _ENTRY.fullmatch(entry)
        if match is None:
            reason = "a key's entry is NAME:SCOPE+SCOPE:SHA256"
            raise ValueError(f"{reason}; `graphspec-server new-key NAME` makes a key and its entry")
        scopes = frozenset(match["scopes"].split("+"))
        if not scopes <= set(SCOPES):
            raise ValueError(f"the key {match['name']!r} has an unknown scope; there are {', '.join(SCOPES)}")
        return cls(match["name"], scopes, bytes.fromhex(match["sha256"]))

    def to_setting(self) -> str:
        """The entry of the settings."""
        return f"{self.name}:{'+'.join(scope for scope in SCOPES if scope in self.scopes)}:{self.digest.hex()}"


class KeyRing:
    """The keys of a server.

    Args:
        keys: What is known of each.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> ApiKey | None:
        """What is known of a key; compared with every one, so that the time taken tells nothing about any of them."""
        digest = digest_of(key)
        found = None
        for known in self._keys:
            if hmac.compare_digest(digest, known.digest):
                found = known
        return found


def digest_of(key: str) -> bytes:
    """What the settings hold of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def key_of(authorization: str, header: str) -> str | None:
    """The key that came with a request.

    Args:
        authorization: The header of that name: ``Bearer <key>``, or ``Basic`` with the key as the password, which is
            what clients send that know nothing of keys but are given a URL ``http://name:key@host``.
        header: The header ``X-API-Key``.
    """
    if not authorization:
        return header.strip() or None
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
    return None


def new_key(name: str, scopes: Iterable[str]) -> tuple[str, ApiKey]:
    """A new key, and what to keep of it."""
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey.from_setting(f"{name}:{'+'.join(scopes)}:{digest_of(key).hex()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``graphspec-server new-key``: prints a new key, once, and its entry for the settings."""
    parser = argparse.ArgumentParser(prog="graphspec-server new-key", description="Make an API key.")
    parser.add_argument("name", help="what to call it: letters, digits, '.', '_', '-'")
    parser.add_argument("--scopes", default="read,run", help=f"of {', '.join(SCOPES)}; by default read,run")
    given = parser.parse_args(arguments)
    try:
        key, known = new_key(given.name, re.split(r"[,+\s]+", given.scopes.strip()))
    except ValueError:
        parser.error(f"a name is of [A-Za-z0-9._-]{{1,128}}, and scopes are some of {', '.join(SCOPES)}")
    print(f"Send this key, which is shown this once and kept nowhere:\n\n    {key}\n")
    print("Add its entry to the server's keys, which are separated by commas:\n")
    print(f"    GRAPHSPEC_API_KEYS={known.to_setting()}")
    return 0

"""Sealed records: entries of the user's cache, each one file that is believed whole or not at all.

An entry has a digest over everything in it, kind and key included, and is written in one canonical form, so that any
changed byte makes it a miss. Without a key that finds accidents and careless edits; whoever can write the cache can
write such a seal too. With `$QUANTKIT_CACHE_KEY` set the seal is an HMAC, and entries without one of this key are
misses: then a shared cache is worth as much as the key is secret.
"""

import hashlib
import hmac
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from quantkit.errors import OutputError, QuantkitError
from quantkit.files import cache_folder, canonical_json, write_bytes
from quantkit.strict_json import parse_json

KEY = "QUANTKIT_CACHE_KEY"
SCHEMA = "quantkit/sealed/1"
_LOG = logging.getLogger(__name__)
Made = TypeVar("Made")


def entry_path(kind: str, key: str) -> Path:
    """Return where an entry is kept."""
    return cache_folder() / kind / f"{key}.json"


def read_sealed(kind: str, key: str) -> Any:
    """Return the content of an entry, or None when there is none that can be believed."""
    try:
        text = entry_path(kind, key).read_bytes()
        entry = parse_json(text.decode("utf-8"))
        content = entry["content"]
        return content if hmac.compare_digest(text, _sealed(kind, key, content)) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_sealed(kind: str, key: str, content: Any) -> None:
    """Keep an entry.

    Raises:
        OutputError: the cache cannot be written.
    """
    write_bytes(entry_path(kind, key), _sealed(kind, key, content))


def kept(
    kind: str,
    key: str,
    make: Callable[[], Made],
    *,
    read: Callable[[Any], Made],
    write: Callable[[Made], Any],
    cached: bool = True,
) -> Made:
    """Return what the cache has, or else make it and keep it.

    Args:
        kind: the folder of the cache.
        key: of all that decides the result.
        make: makes it.
        read: content → result; raises ValueError or a QuantkitError for what is none, which is then made again.
        write: result → content.
        cached: False: neither read nor written.
    """
    if not cached:
        return make()
    content = read_sealed(kind, key)
    if content is not None:
        try:
            return read(content)
        except (ValueError, TypeError, QuantkitError):
            pass
    made = make()
    try:
        write_sealed(kind, key, write(made))
    except OutputError as error:
        _LOG.warning("%s are not cached: %s", kind, error)
    return made


def _sealed(kind: str, key: str, content: Any) -> bytes:
    """Return the bytes of an entry."""
    entry = {"schema": SCHEMA, "kind": kind, "key": key, "content": content}
    return canonical_json({**entry, "seal": seal_of(canonical_json(entry))}) + b"\n"


def seal_of(body: bytes) -> str:
    """Return the seal of bytes: an HMAC with the key, or a digest where there is none."""
    secret = os.environ.get(KEY)
    if secret:
        return "hmac-sha256:" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return "sha256:" + hashlib.sha256(body).hexdigest()

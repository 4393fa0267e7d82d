"""Who we are to a registry: what `docker login` stored, read the way docker reads it.

`$DOCKER_AUTH_CONFIG` (the JSON itself, as CI systems give it), then `$DOCKER_CONFIG/config.json` or
`~/.docker/config.json`, then `$REGISTRY_AUTH_FILE` of podman and skopeo. Credentials belong to a host there, so a
recipe that names another registry never gets them.
"""

import base64
import binascii
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import RegistryError
from quantkit.strict_json import parse_json

_HELPER = re.compile(r"[A-Za-z0-9_.-]+")
_TOKEN_USER = "<token>"  # noqa: S105 - docker's word for: the secret is an identity token
_HELPER_SECONDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A user and a password, or an identity token."""

    user: str = ""
    password: str = ""
    identity_token: str = ""


def credentials_of(host: str) -> Credentials | None:
    """Return what is stored for a host, or None.

    Raises:
        RegistryError: a configuration file cannot be read, or its credential helper fails.
    """
    for where, config in _configurations():
        found = _from_helper(host, where, config) or _from_auths(host, where, config)
        if found is not None:
            return found
    return None


def _configurations() -> list[tuple[str, dict[str, Any]]]:
    found = []
    direct = os.environ.get("DOCKER_AUTH_CONFIG")
    if direct:
        found.append(("$DOCKER_AUTH_CONFIG", _object("$DOCKER_AUTH_CONFIG", direct)))
    folder = os.environ.get("DOCKER_CONFIG")
    paths = [(Path(folder) if folder else Path.home() / ".docker") / "config.json"]
    if auth_file := os.environ.get("REGISTRY_AUTH_FILE"):
        paths.append(Path(auth_file))
    for path in paths:
        try:
            found.append((str(path), _object(str(path), path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(f"{path}: cannot be read ({error}); mend it, or log in again") from None
    return found


def _object(where: str, text: str) -> dict[str, Any]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise RegistryError(f"{where}: is not JSON ({error}); log in again with `docker login`") from None
    return content if isinstance(content, dict) else {}


def _from_auths(host: str, where: str, config: dict[str, Any]) -> Credentials | None:
    auths = config.get("auths")
    entry = auths.get(host) if isinstance(auths, dict) else None
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return Credentials(identity_token=str(entry["identitytoken"]))
    try:
        user, colon, password = (
            base64.b64decode(str(entry.get("auth", "")), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        raise RegistryError(f"{where}: the entry of {host} is damaged; log in again") from None
    return Credentials(user=user, password=password.rstrip("\0")) if colon else None


def _from_helper(host: str, where: str, config: dict[str, Any]) -> Credentials | None:
    helpers = config.get("credHelpers")
    helper = helpers.get(host) if isinstance(helpers, dict) else None
    helper = helper or config.get("credsStore")
    if not helper:
        return None
    if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
        raise RegistryError(f"{where}: {helper!r} is no credential helper; log in again")
    program = f"docker-credential-{helper}"
    try:
        ran = subprocess.run(  # noqa: S603 - the helper that the user's own docker configuration names
            [program, "get"], input=host, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(
            f"{where}: its credential helper {program} cannot be run ({error}); log in again"
        ) from None
    if ran.returncode:
        return None  # the helper knows nothing of this host
    answer = _object(program, ran.stdout)
    user, secret = str(answer.get("Username", "")), str(answer.get("Secret", ""))
    return (
        Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user=user, password=secret)
    )

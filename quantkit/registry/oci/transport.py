"""HTTP to one OCI registry: who we are, what is tried again, and every answer that is no as one line.

`requests` and not the `oras` package: it is installed anyway, `oras` sets no `artifactType`, and hashing and
bounding every byte while it is read would be our own code either way. Waiting between tries is urllib3's `Retry`.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util.retry import Retry

import quantkit
from quantkit.errors import RegistryError
from quantkit.registry.oci.credentials import Credentials, credentials_of
from quantkit.registry.oci.location import Location
from quantkit.strict_json import parse_json

T = TypeVar("T")
CONNECT_SECONDS = 10
READ_SECONDS = 60
# Seconds waited before the tries: 0, 1, 2, 4 and 8, unless the registry says Retry-After.
POLICY = Retry(total=5, backoff_factor=0.5, backoff_max=30)
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_CHALLENGE = re.compile(r'([A-Za-z]+)="([^"]*)"')
_SMALL = 1 << 20
_CHUNK = 1 << 20
_CUT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError)


class Transient(Exception):
    """The registry failed in a way that may be gone a moment later."""

    def __init__(self, what: str, response: requests.Response | None = None) -> None:
        super().__init__(what)
        self.response = response


class _Bearer(AuthBase):
    """Sends what we know to the registry's own host, and to no other that it may lead to."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.header: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.header is not None and urlsplit(str(request.url)).netloc == self.host:
            request.headers["Authorization"] = self.header
        return request


@dataclass(kw_only=True, slots=True)
class Transport:
    """A connection to one registry. Not for several threads.

    Attributes:
        location: the registry.
        insecure: allow plain HTTP to a host that is not this machine.
    """

    location: Location
    insecure: bool = False
    _session: requests.Session = field(init=False)
    _bearer: _Bearer = field(init=False)

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": f"quantkit/{quantkit.__version__}", "Accept-Encoding": "identity"}
        )
        self._session.trust_env = not self.location.local
        self._bearer = _Bearer(self.location.api_host)

    @property
    def base(self) -> str:
        """The address of the API."""
        plain = self.location.local or self.insecure
        return f"{'http' if plain else 'https'}://{self.location.api_host}/v2/"

    def send(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send one request and return an answer with one of the expected status codes.

        Args:
            method: such as GET.
            path: below `/v2/`, or a whole address that the registry gave.
            expect: status codes that are answers; all others are errors.
            headers: besides those of every request.
            data: the body.
            stream: leave the body of the answer unread.

        Raises:
            Transient: the connection was cut, or the registry is at fault (5xx) or busy (429).
            RegistryError: the registry refuses, or is no registry.
        """
        address = path if "://" in path else self.base + path
        for attempt in (1, 2):
            try:
                response = self._session.request(
                    method,
                    address,
                    headers=headers,
                    data=data,
                    stream=True,
                    auth=self._bearer,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
            except requests.exceptions.SSLError as error:
                raise RegistryError(
                    f"{self.location}: its certificate is not trusted, or it speaks plain HTTP ({_reason(error)}); "
                    "trust its authority with REQUESTS_CA_BUNDLE, or allow plain HTTP with --insecure"
                ) from None
            except _CUT as error:
                raise Transient(_reason(error)) from None
            except requests.RequestException as error:
                raise RegistryError(f"{self.location}: cannot be asked ({_reason(error)})") from None
            if response.status_code in expect:
                if not stream:
                    response._content = self.read(response, _SMALL)
                return response
            if response.status_code == 401 and attempt == 1 and self._log_in(response):
                rewind = getattr(data, "rewind", None)
                if rewind is not None:
                    rewind()
                continue
            raise self._refusal(response, method)
        raise AssertionError("the second answer is returned or raised")

    def read(self, response: requests.Response, limit: int) -> bytes:
        """Read a whole body of at most `limit` bytes.

        Raises:
            Transient: it was cut.
            RegistryError: it is longer.
        """
        content = bytearray()
        for chunk in self.chunks(response):
            content += chunk
            if len(content) > limit:
                raise RegistryError(
                    f"{self.location}: its answer is longer than {limit:,} bytes; do not use it"
                )
        return bytes(content)

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield a body in pieces.

        Raises:
            Transient: it was cut.
        """
        try:
            yield from response.iter_content(_CHUNK)
        except _CUT as error:
            raise Transient(_reason(error)) from None
        finally:
            response.close()

    def persistently(self, action: Callable[[], T]) -> T:
        """Do something until it succeeds, waiting longer each time.

        Raises:
            RegistryError: it failed `POLICY.total` + 1 times, or for good.
        """
        policy = POLICY
        while True:
            try:
                return action()
            except Transient as error:
                raw = error.response.raw if error.response is not None else None
                try:
                    policy = policy.increment(error=HTTPError(str(error)))
                except MaxRetryError:
                    raise RegistryError(
                        f"{self.location}: does not answer as it should ({error}); is it running there? try again later"
                    ) from None
                policy.sleep(raw)

    def _log_in(self, response: requests.Response) -> bool:
        """Answer a challenge; return whether there is something new to try."""
        challenge = response.headers.get("WWW-Authenticate", "")
        response.close()
        kind = challenge.partition(" ")[0].lower()
        known = credentials_of(self.location.login)
        if kind == "basic" and known is not None:
            pair = base64.b64encode(f"{known.user}:{known.password}".encode()).decode()
            self._bearer.header = f"Basic {pair}"
            return True
        if kind != "bearer":
            return False
        self._bearer.header = f"Bearer {self._token(_challenge(challenge), known)}"
        return True

    def _token(self, challenge: dict[str, str], known: Credentials | None) -> str:
        realm = challenge.get("realm", "")
        if not realm.startswith("https://") and not (
            realm.startswith("http://") and (self.location.local or self.insecure)
        ):
            raise RegistryError(
                f"{self.location}: asks to log in at {realm!r}, which is not https; do not use it"
            )
        asked: dict[str, str] = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        try:
            if known is not None and known.identity_token:
                form = {
                    **asked,
                    "grant_type": "refresh_token",
                    "client_id": "quantkit",
                    "refresh_token": known.identity_token,
                }
                answer = self._session.post(realm, data=form, timeout=timeout, stream=True)
            else:
                auth = HTTPBasicAuth(known.user, known.password) if known else None
                answer = self._session.get(realm, params=asked, auth=auth, timeout=timeout, stream=True)
        except _CUT as error:
            raise Transient(_reason(error)) from None
        except requests.RequestException as error:
            raise RegistryError(f"{self.location}: cannot log in at {realm} ({_reason(error)})") from None
        if answer.status_code != 200:
            raise self._refusal(answer, "GET")
        try:
            content = parse_json(self.read(answer, _SMALL))
            token = content.get("token") or content.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isprintable():
            raise RegistryError(f"{self.location}: gave no token at {realm}; try again, or log in again")
        return token

    def _refusal(self, response: requests.Response, method: str) -> Exception:
        status, said = response.status_code, ""
        try:
            body = parse_json(self.read(response, _SMALL))
            said = "; ".join(str(error.get("message") or error.get("code")) for error in body["errors"])[:200]
        except (ValueError, KeyError, TypeError, AttributeError, Transient, RegistryError):
            pass
        what = f"{status} {response.reason or ''}".strip() + (f": {said}" if said else "")
        if status in _TRANSIENT:
            return Transient(what, response)
        if status in (401, 403):
            return RegistryError(
                f"{self.location}: does not let you ({what}); log in with `docker login {self.location.host}`"
            )
        if status == 405 and method == "DELETE":
            return RegistryError(
                f"{self.location}: does not delete ({what}); allow it in its configuration, or ask its operator"
            )
        return RegistryError(f"{self.location}: refuses ({what}); is it an OCI registry, and the name right?")


def _challenge(header: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in _CHALLENGE.findall(header)}


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a chain of wrapped errors, as one short line."""
    inner: BaseException | None = error
    last = error
    while inner is not None:
        last = inner
        causes = (getattr(inner, "reason", None), *inner.args)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
    text = " ".join(str(last).split()).rpartition(": ")[2]
    return text[:200] or type(last).__name__

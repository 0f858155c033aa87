"""One signed request to one address: pinned, bounded in time, redirects judged anew, the answer's body never read."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from crm.webhooks.addresses import Refused, Target, resolve

CONNECT_SECONDS, TOTAL_SECONDS = 5, 15
MAX_REDIRECTS = 3
# These say “send the same elsewhere”; the others would turn the POST into a GET.
_SAME_AGAIN = {301, 302, 307, 308}


@dataclass(frozen=True)
class Answer:
    """What came of a request. `status` is None when nobody answered; `error` is empty when it went well."""

    status: int | None
    error: str
    milliseconds: int

    @property
    def delivered(self) -> bool:
        return not self.error


def sign(signature_key: str, timestamp: str, body: bytes) -> str:
    """Return the `close-sig-hash` of a body: hex HMAC-SHA256 of the timestamp and the body."""
    return hmac.new(bytes.fromhex(signature_key), timestamp.encode() + body, hashlib.sha256).hexdigest()


def send(url: str, body: bytes, signature_key: str, *, verify_ssl: bool = True, delivery_id: str = "") -> Answer:
    """POST a JSON body, signed. Never raises: what goes wrong is in the answer."""
    started = time.monotonic()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json", "User-Agent": "Touchpoint-Webhooks/1", "Connection": "close",
        "close-sig-hash": sign(signature_key, timestamp, body), "close-sig-timestamp": timestamp,
        "touchpoint-delivery-id": delivery_id,
    }  # fmt: skip
    status, error = None, ""
    try:
        status, error = _follow(url, body, headers, verify_ssl, started + TOTAL_SECONDS)
    except Refused as refused:
        error = str(refused)
    except ssl.SSLError as problem:
        error = f"The certificate or the encryption was not accepted: {problem.reason or problem}"
    except TimeoutError:
        error = f"No answer within {TOTAL_SECONDS} seconds."
    except (OSError, http.client.HTTPException, ValueError) as problem:
        late = time.monotonic() - started >= TOTAL_SECONDS
        error = f"No answer within {TOTAL_SECONDS} seconds." if late else f"The connection failed: {_words(problem)}"
    return Answer(status, error[:500], int((time.monotonic() - started) * 1000))


def _words(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or type(problem).__name__


def _follow(
    url: str, body: bytes, headers: dict[str, str], verify_ssl: bool, deadline: float
) -> tuple[int | None, str]:
    for _ in range(MAX_REDIRECTS + 1):
        status, location = _ask(resolve(url), body, headers, verify_ssl, deadline)
        if status not in _SAME_AGAIN or not location:
            return status, "" if 200 <= status < 300 else f"The address answered {status}."
        following = urljoin(url, location)
        if url.startswith("https:") and urlsplit(following).scheme != "https":
            return status, "The address redirects from https to an address that is not."
        url = following
    return status, f"The address redirects more than {MAX_REDIRECTS} times."


def _ask(
    target: Target, body: bytes, headers: dict[str, str], verify_ssl: bool, deadline: float
) -> tuple[int, str | None]:
    """Send one request to a judged address; returns the status and where it redirects to."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection = _Pinned(target, verify_ssl, min(CONNECT_SECONDS, left))
    # A timeout of the socket starts anew with each byte; this one does not.
    alarm = threading.Timer(left, connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("POST", target.path, body, {"Host": target.host_header, **headers})
        response = connection.getresponse()
        return response.status, response.headers.get("Location")
    finally:
        alarm.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was judged, whatever the name means by now."""

    def __init__(self, target: Target, verify_ssl: bool, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self.target, self.verify_ssl = target, verify_ssl

    def connect(self) -> None:
        self.sock = socket.create_connection((self.target.ip, self.target.port), self.timeout)
        if self.target.scheme == "https":
            context = ssl.create_default_context()
            if not self.verify_ssl:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, server_hostname=self.target.host)
        self.sock.settimeout(TOTAL_SECONDS)

    def cut(self) -> None:
        """End it now, in the middle of whatever it does."""
        if sock := self.sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

"""Where a webhook may go. A name is looked up once, every address it has is judged, and the judged one is connected to."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

MAX_URL = 2000
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """The address may not be called, or does not exist; says why."""


@dataclass(frozen=True)
class Target:
    """Where to connect to (`ip`), and what to ask for there. `host` has no brackets."""

    scheme: str
    host: str
    port: int
    path: str
    ip: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def check_url(url: str) -> SplitResult:
    """Return the parts of a URL that may be called as far as its text says; raises `Refused`."""
    if not url or len(url) > MAX_URL:
        raise Refused(f"Give a URL of at most {MAX_URL} characters.")
    if any(ord(char) <= 32 or char in '"<>\\^`{|}' or ord(char) == 127 for char in url):
        raise Refused("The URL contains a blank or a character that does not belong there.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("This is not a URL.") from None
    if parts.scheme not in _PORTS:
        raise Refused("The URL must start with https:// or http://.")
    if not parts.hostname:
        raise Refused("The URL names no host.")
    if "@" in parts.netloc:
        raise Refused("Leave user and password out of the URL.")
    if port == 0:
        raise Refused("Port 0 cannot be called.")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise Refused("The URL's host is not a valid name.") from None
    return parts


def resolve(url: str) -> Target:
    """Return where to connect to. Raises `Refused` when one of the host's addresses is not public.

    The operating system reads decimal, octal and short forms of addresses the same way here as it would when connecting,
    so what is judged is what is called. `WEBHOOK_ALLOW_PRIVATE` lets everything pass.
    """
    parts = check_url(url)
    host = str(parts.hostname).rstrip(".")
    port = parts.port or _PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(
            host.encode("idna").decode(), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, UnicodeError):
        raise Refused(f"The host {host} could not be found.") from None
    addresses = [str(row[4][0]) for row in found]
    if not addresses:
        raise Refused(f"The host {host} could not be found.")
    if not settings.WEBHOOK_ALLOW_PRIVATE and not all(is_public(address) for address in addresses):
        raise Refused(f"{host} is a private address. Webhooks go to public addresses only.")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return Target(parts.scheme, host, port, path, addresses[0])


def is_public(address: str) -> bool:
    """Is this an address of the public internet? Addresses wrapped in IPv6 are unwrapped first."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and (ip in _NAT64 or int(ip) >> 32 == 0):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified

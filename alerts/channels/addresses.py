"""Which network addresses the console may send requests to.

Whoever edits a route chooses an address that this host then connects to, and reads its answer: without a check, that
would be a way into the network behind the host.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from database.messages import gettext as _

LENGTH_MAX = 2_000
_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(ValueError):
    """The address is unusable, or leads into a private network; the message says which."""


def check(url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> tuple[str, int]:
    """Return host and port of a web address, as far as it can be checked without a look-up.

    Raises:
        AddressRefused: it is none that is allowed; the message does not contain it.
    """
    refused = AddressRefused(_("It is no web address."))
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise refused from None
    is_plain = url.isprintable() and not any(mark in url for mark in ' "<>\\') and len(url) <= LENGTH_MAX
    if parts.scheme not in schemes or not (host and port and is_plain) or parts.username or parts.password:
        raise refused
    return host, port


def resolve(url: str, *, allows_private: bool) -> tuple[str, str, int]:
    """Return host, IP address and port of a web address; the caller connects to exactly this IP address.

    Raises:
        AddressRefused: see ``check``; or one of its IP addresses is loopback, private, link-local or reserved and that
            is not allowed.
        OSError: the name cannot be resolved.
    """
    host, port = check(url)
    found = [
        str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM) if entry[4]
    ]
    if not allows_private and not all(map(is_public, found)):
        # Also if only one of them is private: the next look-up may return them in another order.
        raise AddressRefused(_("%(host)s is not a public address.") % {"host": host})
    return host, found[0], port


def is_public(text: str) -> bool:
    """Whether an IP address is reachable from everywhere, and so belongs to nobody's private network."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if (inner := _inside(address)) is not None:
            return is_public(str(inner))
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that the IPv6 address stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)

"""Which addresses may be connected to. Lists come from strangers: a URL in them must not reach what only this machine can reach."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from internvid_pipeline.errors import AddressRefused, UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Prefixes of IPv6 that carry an IPv4 address, and where in the 128 bits it stands.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_public(address: Address) -> bool:
    """True for an address of the open internet: not private, loopback, link-local, unique local, shared (100.64/10), reserved, multicast
    or unspecified, and not one of these dressed as IPv6 (mapped, compatible, 6to4, Teredo, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local or address in _NAT64_LOCAL:
            return False
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class AddressPolicy:
    """allowed: networks (`10.2.0.0/16`) that may be connected to besides the open internet. Raises UsageError for what is none."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        try:
            self._allowed: list[Network] = [ipaddress.ip_network(text) for text in allowed]
        except ValueError as error:
            raise UsageError(f"allow_networks: {error}; write a network such as 127.0.0.0/8 or 10.2.0.0/16") from error

    def permits(self, address: Address) -> bool:
        """True where `address` may be connected to."""
        return is_public(address) or any(address.version == network.version and address in network for network in self._allowed)

    def resolve(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """`getaddrinfo` of a host whose every address is permitted. Raises AddressRefused, OSError where the name is not known.

        One forbidden address among several refuses the name: a server that answers with both is after the second.
        """
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except UnicodeError as error:  # labels that are empty or too long for IDNA
            raise AddressRefused(f"{host[:80]!r} is no host name: {error}") from error
        for entry in found:
            text = str(entry[4][0]).partition("%")[0]
            if not self.permits(ipaddress.ip_address(text)):
                raise AddressRefused(f"{host} is {text}, an address of a private network; network.allow_networks can permit it")
        return found

    def connect(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """A socket connected to one of the very addresses that were checked: asking the name a second time could give another."""
        error: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, place in self.resolve(host, port):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(timeout_s)
                opened.connect(place)
                return opened
            except OSError as refused:
                opened.close()
                error = refused
        raise error

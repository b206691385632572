"""Addresses by which clients are counted."""

from ipaddress import ip_address, ip_network

_UNKNOWN = "unknown"


def counted_address(host: str) -> str:
    """The IPv4 address `host`, or the IPv6 network of 64 bits, which one client has for itself.

    Whatever is no address, which only a proxy can send, counts as one client.

    Example:
        >>> counted_address("192.0.2.7"), counted_address("2001:db8::1:7"), counted_address("<script>")
        ('192.0.2.7', '2001:db8::/64', 'unknown')
    """
    try:
        address = ip_address(host.partition("%")[0])  # what follows % is any text
    except ValueError:
        return _UNKNOWN
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))

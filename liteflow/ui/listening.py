"""Where the dashboard listens, what opens it, and what its address is."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from secrets import token_urlsafe

from liteflow.errors import CommandLineError
from liteflow.ui.gate import Door
from liteflow.ui.server import Dashboard
from liteflow.views.shown import label

# In bytes: 256 bits.
_TOKEN = 32
_WAYS_OUT = "leave out --port, then one that is free is taken, or name another one"


def numeric(host: str) -> str:
    """Return the address of numbers that a host's name stands for.

    Raises:
        CommandLineError: It has none.

    >>> numeric("127.0.0.1")
    '127.0.0.1'
    """
    name = host.strip().removeprefix("[").removesuffix("]")
    try:
        # IPv4 first, which is what a browser tries that is given the numbers of it.
        found = sorted(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)) if name else []
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise CommandLineError(f"--host {label(host)!r} is no address of this machine; 127.0.0.1 is, always")
    return str(found[0][4][0])


def is_remote(address: str) -> bool:
    """Whether other machines may reach what listens at an address of numbers.

    >>> is_remote("0.0.0.0"), is_remote("127.0.0.1"), is_remote("::1")
    (True, False, False)
    """
    return not ipaddress.ip_address(address.partition("%")[0]).is_loopback


def listen(store: str, host: str, address: str, port: int, tell: Callable[[Exception], object]) -> Dashboard:
    """Return a server of the pages of a store that listens already; nobody is answered yet.

    Args:
        store: The path of the store, from the root.
        host: What the user calls the address.
        address: The same in numbers.
        port: 0 for one that is free.
        tell: Is told of an error that is a bug of ours.

    Raises:
        CommandLineError: It can't listen there.
    """
    remote = is_remote(address)
    names = {host, socket.gethostname(), socket.getfqdn()} if remote else set()

    def door(given: int) -> Door:
        token, cookie, ticket = (token_urlsafe(_TOKEN) for _ in range(3))
        return Door(given, token, cookie, ticket, frozenset(map(str.lower, names)), numeric=remote)

    try:
        return Dashboard((address, port), store, door, tell)
    except OSError as error:
        raise CommandLineError(not_listening(error, host, port)) from None


def not_listening(error: OSError, host: str, port: int) -> str:
    """Say why nothing can listen there, and what to do.

    >>> not_listening(PermissionError(errno.EACCES, "Permission denied"), "127.0.0.1", 80)
    'port 80 is for the administrator alone, as those below 1024 are; name a higher one, or leave out --port'
    """
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is used by another program; {_WAYS_OUT}"
        case errno.EACCES | errno.EPERM:
            why = "is for the administrator alone, as those below 1024 are"
            return f"port {port} {why}; name a higher one, or leave out --port"
        case errno.EADDRNOTAVAIL:
            return f"--host {label(host)} is no address of this machine; 127.0.0.1 is, always"
    return f"can't listen at {label(host)}, port {port}: {error.strerror or error}"


def base_of(dashboard: Dashboard, address: str) -> str:
    """Return the beginning of all addresses of a dashboard's pages.

    Args:
        dashboard: It listens.
        address: Where, in numbers.
    """
    # All addresses of this machine are none that a browser could go to.
    name = socket.gethostname() if ipaddress.ip_address(address.partition("%")[0]).is_unspecified else address
    return f"http://{f'[{name}]' if ':' in name else name}:{dashboard.door.port}"

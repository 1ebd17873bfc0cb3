"""A backend as the kit is given it: how it is made, what it raises, what it cannot do, and how it can be broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from backends.base import Unsupported
from backends.transport import Transport
from harness.world import World

__all__ = ["BackendSpec", "Capability", "KnownBug", "Unsupported", "described"]


@dataclass(frozen=True)
class KnownBug:
    """Something that a backend should be able to do and gets wrong.

    `reference` says where it is reported. `versions` are the versions (as `version()` answers) that have it, as of
    `fnmatch`; none means all. Where the check passes nevertheless, the declaration has to go.
    """

    reference: str
    versions: tuple[str, ...] = ()


Capability = Unsupported | KnownBug
"""What is said of a capability that is not simply there."""


@dataclass(frozen=True)
class BackendSpec:
    """A backend under test.

    `factory` is called with those of the keywords `socket_dir` (a private directory), `call_timeout_s` and `transport`
    that it has parameters for; a class will do. `error` is the base of everything that it raises on purpose; `None` lets
    the kit look for it. `capabilities` names operations or features (`fault.frozen`, `text.long`) that are not simply
    there. `transport_of` answers the transport of a backend, for `factory(transport=...)` to get another one around it.
    `binary` is the command that it runs, by name; `None` for one that runs nothing. `world` makes the kind of host that
    it lives on, where that is neither this one nor known by the factory's parameter `server`. `advice` says what to do
    where this host cannot run it.
    """

    factory: Callable[..., Any]
    error: type[Exception] | None = None
    capabilities: Mapping[str, Capability] = field(default_factory=lambda: MappingProxyType({}))
    transport_of: Callable[[Any], Transport] | None = None
    name: str = ""
    binary: str | None = "tmux"
    world: Callable[[], World] | None = None
    advice: str = ""


def described(capability: Capability | None) -> str:
    """How a certificate writes it; `None` is one that is simply there."""
    if capability is None:
        return "supported"
    if isinstance(capability, KnownBug):
        return f"known_bug: {capability.reference}"
    return f"unsupported: {capability.reason}"

"""Exceptions by name: every one made fresh, none of them harmless.

A name is that of a built-in exception, of one of the seam's errors, of a `subprocess` error, or of one of `HOSTILE`: the
shapes of exception that break those who record them. A catalog may know more.

A maker is given the message that the exception should carry, and may ignore it.
"""

from __future__ import annotations

import builtins
import errno
import inspect
import subprocess
from collections.abc import Callable, Mapping
from types import MappingProxyType

from backends import errors as seam_errors

__all__ = ["EXCEPTIONS", "HOSTILE", "BadStr", "Maker"]

Maker = Callable[[str], BaseException]
"""Makes one exception with that message, another one each time."""


class BadStr(Exception):
    """Its `str()` and `repr()` raise."""

    def __str__(self) -> str:
        raise RuntimeError("this exception cannot be shown")

    __repr__ = __str__


def _bad_str(message: str) -> BaseException:
    return BadStr(message)


def _surrogates(message: str) -> BaseException:
    return RuntimeError(f"{message} \udcff\ud800")


def _huge(message: str) -> BaseException:
    return RuntimeError(message.ljust(50_000_000, "x"))


def _cycle(message: str) -> BaseException:
    one, other = RuntimeError(message), ValueError(message)
    one.__cause__, other.__cause__ = other, one
    return one


def _group(message: str) -> BaseException:
    inner = ExceptionGroup(message, [ValueError(message), OSError(errno.EIO, message)])
    return ExceptionGroup(message, [inner, RuntimeError(message)])


HOSTILE: Mapping[str, Maker] = MappingProxyType(
    {
        "BadStr": _bad_str,
        "CyclicCause": _cycle,
        "HugeMessage": _huge,
        "LoneSurrogates": _surrogates,
        "NestedGroup": _group,
    }
)
"""What a recorder of crashes must survive: `str()` that raises, 50 MB, surrogates, cycles and groups."""


def _maker(kind: type[BaseException]) -> Maker:
    make = _UNUSUAL.get(kind)
    return make or (lambda message: kind(message))


_UNUSUAL: Mapping[type[BaseException], Maker] = {
    UnicodeDecodeError: lambda message: UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, message),
    UnicodeEncodeError: lambda message: UnicodeEncodeError("utf-8", "\udcff", 0, 1, message),
    UnicodeTranslateError: lambda message: UnicodeTranslateError("\udcff", 0, 1, message),
    BaseExceptionGroup: lambda message: BaseExceptionGroup(message, [SystemExit(message)]),
    ExceptionGroup: lambda message: ExceptionGroup(message, [ValueError(message)]),
    subprocess.TimeoutExpired: lambda message: subprocess.TimeoutExpired([message], 0.0),
    subprocess.CalledProcessError: lambda message: subprocess.CalledProcessError(1, [message]),
}
"""Exceptions whose constructor wants more than a message."""


def _known() -> Mapping[str, Maker]:
    named: list[type[BaseException]] = [
        subprocess.SubprocessError,
        subprocess.TimeoutExpired,
        subprocess.CalledProcessError,
    ]
    for module in (builtins, seam_errors):
        found = [value for _, value in inspect.getmembers(module, inspect.isclass)]
        named += [value for value in found if issubclass(value, BaseException) and not issubclass(value, Warning)]
    return MappingProxyType({**{kind.__name__: _maker(kind) for kind in named}, **HOSTILE})


EXCEPTIONS: Mapping[str, Maker] = _known()
"""Every exception that can be asked for by name without a catalog that knows more."""

"""The conformance kit as a class of tests, for a thin file in the repository of a backend's author.

::

    from harness.conformance import MultiplexerConformance
    from mypackage.mymux import MyMux

    class TestMyMux(MultiplexerConformance):
        multiplexer = MyMux

`multiplexer` is a class, a factory, a `BackendSpec`, or a pytest fixture that answers one of them.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import unittest
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

from backends.clock import SystemClock
from harness.conformance.kit import Kit, Opened, chosen, explained
from harness.conformance.listing import Item
from harness.conformance.results import Level, Outcome
from harness.conformance.spec import BackendSpec, Capability

__all__ = ["MultiplexerConformance", "judge"]


class MultiplexerConformance:
    """Every check of the kit as a test, up to `level`.

    `error` is the base of what the backend raises, `capabilities` what it cannot do or gets wrong, both as in `BackendSpec`.
    Checks can be neither overridden nor left out: what fails and may is declared in `capabilities`.
    """

    multiplexer: Any
    error: ClassVar[type[Exception] | None] = None
    capabilities: ClassVar[Mapping[str, Capability]] = {}
    level: ClassVar[Level] = Level.L4
    _opened: ClassVar[Opened | None] = None
    _ending: ClassVar[ExitStack | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that would hide checks."""
        super().__init_subclass__(**kwargs)
        hidden = sorted({"test_conformance", "pytest_generate_tests"} & set(vars(cls)))
        if hidden:
            raise TypeError(f"{cls.__name__} hides {hidden[0]}: declare what may fail in `capabilities` instead")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """See the pytest documentation: one test for each check."""
        if "conformance_item" in metafunc.fixturenames:
            items = chosen(self.level)
            metafunc.parametrize("conformance_item", items, ids=[item.check.id for item in items])

    def test_conformance(self, conformance_item: Item, request: Any) -> None:
        """The backend keeps the promise."""
        __tracebackhide__ = True
        kind = type(self)
        if kind._opened is None:
            kind._ending = ExitStack()
            kind._opened = kind._ending.enter_context(self._kit(request).opened())
        judge(conformance_item, kind._opened)

    @classmethod
    def teardown_class(cls) -> None:
        """End what the checks share."""
        if cls._ending is not None:
            cls._ending.close()
        cls._opened = cls._ending = None

    def _kit(self, request: Any) -> Kit:
        found = inspect.getattr_static(type(self), "multiplexer")
        if not isinstance(found, BackendSpec | type | staticmethod) and not inspect.isfunction(found):
            found = request.getfixturevalue("multiplexer")
        made = found.__func__ if isinstance(found, staticmethod) else found
        if not isinstance(made, BackendSpec):
            made = BackendSpec(made, self.error, self.capabilities, name=f"{made.__module__}:{made.__qualname__}")
        replay = f"seamripper conform --mux {made.name}"
        return Kit(made, SystemClock(), {}, importlib.metadata.version("seamripper"), replay)


def judge(item: Item, opened: Opened) -> None:
    """Carry out the check as a test: fail with everything that is known, skip what is unsupported or waived."""
    __tracebackhide__ = True
    result = opened.result(item)
    if result.outcome is Outcome.PASSED:
        return
    if result.outcome.keeps:
        raise unittest.SkipTest(f"{result.outcome.value}: {result.observed}")
    raise AssertionError(explained(item, result))

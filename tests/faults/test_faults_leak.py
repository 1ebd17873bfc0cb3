"""Above the guard: a dishonest backend lets raw errors out."""

from __future__ import annotations

import inspect
import subprocess

import pytest
from faulty_setting import SESSION, call_sample, planned

from backends.base import TerminalMultiplexer, Unsupported
from backends.operations import OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_leak_rule_lets_the_raw_error_out_of_every_operation(name: str) -> None:
    """What the guard would have translated or swallowed reaches the caller as it is."""
    setting = planned(f"leak.{name}=1*oserror(EIO)->1*timeout(1)->1*raise(RuntimeError)")
    mux = setting.injector.leaking(setting.mux)

    for raw in (OSError, subprocess.TimeoutExpired, RuntimeError):
        with pytest.raises(raw) as leaked:
            call_sample(mux, name)
        assert type(leaked.value) is raw

    assert setting.injector.reached[f"mux.{name}"] == 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_without_a_rule_the_proxy_answers_what_it_wraps(name: str) -> None:
    """Every operation is handed on, once."""
    setting = planned("")
    mux = setting.injector.leaking(setting.mux)
    call_sample(mux, name)

    assert setting.injector.reached == {f"leak.{name}": 1, f"mux.{name}": 1}
    assert [entry.layer for entry in setting.injector.trace] == ["mux"]


def test_a_lost_leak_comes_after_the_effect() -> None:
    """The window exists, and the caller got a bare exception."""
    setting = planned("leak.new_window=1*lost:raise(RuntimeError)")
    mux = setting.injector.leaking(setting.mux)

    with pytest.raises(RuntimeError, match=r"injected by leak\.new_window"):
        mux.new_window(SESSION, "leaked", "/", {}, "sleep 60")

    assert ("leaked",) in mux.list_windows(SESSION, ["window_name"])


def test_the_proxy_shares_the_seam_of_what_it_wraps() -> None:
    """Clock, budget, hook, observers and capabilities are one and the same."""
    setting = planned("")
    setting.mux.capabilities = {"version": Unsupported("for a test")}
    mux = setting.injector.leaking(setting.mux)
    seen: list[str] = []
    mux.observe(lambda call: seen.append(call.operation.name))

    setting.mux.version()

    assert seen == ["version"]
    assert mux.seam is setting.mux.seam
    assert mux.clock is setting.clock
    assert mux.capabilities is setting.mux.capabilities
    assert vars(setting.mux)["server"] is getattr(mux, "server", None)


def test_abandoning_the_proxy_abandons_what_it_wraps() -> None:
    """A stop reaches the backend through the proxy."""
    setting = planned("")
    given_up: list[bool] = []

    class Abandoned(type(setting.mux)):  # type: ignore[misc]  # a subclass of whatever the setting has
        """Notes that it was given up."""

        def abandon(self) -> None:
            """Note it."""
            given_up.append(True)

    setting.injector.leaking(Abandoned()).abandon()

    assert given_up == [True]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_proxy_has_the_signatures_of_the_seam(name: str) -> None:
    """Help and type checks see the operation, not a catch-all."""
    proxy = type(planned("").injector.leaking(planned("").mux))

    assert inspect.signature(getattr(proxy, name)) == inspect.signature(getattr(TerminalMultiplexer, name))

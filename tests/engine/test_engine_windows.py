"""The engine's session in the multiplexer: whose it is, what is in it, and what nobody could tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_setting import RUN, foreign_session, windows_of

from backends.clock import VirtualClock
from backends.errors import CommandRejected, TargetMissing, TransportError
from backends.fake import FakeMultiplexer
from faults import FaultPlan, Injector
from harness.engine.windows import RUN_OPTION, TOKEN_OPTION, SessionTaken, Windows, window_name


def under(faults: str) -> tuple[Windows, FakeMultiplexer]:
    """The windows of a run on a fake under that plan, and the same server without faults."""
    multiplexer = FakeMultiplexer(clock=VirtualClock())
    Injector(FaultPlan.parse(faults), clock=multiplexer.server.clock).attach(multiplexer)
    return windows_of(multiplexer), FakeMultiplexer(multiplexer.server)


def owner(multiplexer: FakeMultiplexer) -> str | None:
    """The run that the session is tagged with."""
    return multiplexer.session_options(RUN_OPTION).get(RUN)


def test_a_session_that_is_not_there_is_made_and_tagged() -> None:
    """Once, and then it is noted who answers: whoever asks again asks nobody."""
    windows, fake = under("")

    windows.ensure_session()
    windows.ensure_session()

    assert owner(fake) == RUN
    assert windows.claimed
    assert windows.multiplexer.seam.calls == 4


def test_a_session_of_another_run_is_left_alone() -> None:
    """Its name is taken."""
    windows, fake = under("")
    foreign_session(fake)

    with pytest.raises(SessionTaken):
        windows.ensure_session()

    assert owner(fake) == "somebody"
    assert not windows.claimed


@pytest.mark.parametrize("claimed", [True, False])
def test_an_untagged_session_is_ours_only_if_we_ever_asked_for_it(claimed: bool) -> None:
    """An answer may have been lost between its making and its tag."""
    windows, fake = under("")
    fake.new_session(RUN, "/sim")
    windows.claimed = claimed

    if claimed:
        windows.ensure_session()
    else:
        with pytest.raises(SessionTaken):
            windows.ensure_session()

    assert owner(fake) == (RUN if claimed else None)


def test_an_untagged_session_is_nobodys_once_ours_went_with_its_server() -> None:
    """What has its name on the next server was not asked for by us, although one of that name once was."""
    windows, fake = under("")
    windows.ensure_session()
    fake.server.restart()
    windows.lose()
    fake.new_session(RUN, "/sim")

    with pytest.raises(SessionTaken):
        windows.ensure_session()
    assert owner(fake) is None


@pytest.mark.parametrize(("event", "gone"), [("freeze", False), ("restart", True), ("kill", True)])
def test_a_server_is_gone_only_if_that_is_proven(event: str, gone: bool) -> None:
    """One that does not say who it is may be the same."""
    windows, fake = under("")
    windows.ensure_session()
    getattr(fake.server, event)()

    assert windows.server_is_gone() is gone


def test_a_lost_answer_to_new_session_is_found_out_by_asking() -> None:
    """The session is there the next time, untagged, and claimed."""
    windows, fake = under("new_session=1*lost:timeout")

    with pytest.raises(TransportError):
        windows.ensure_session()
    windows.ensure_session()

    assert owner(fake) == RUN


@pytest.mark.parametrize("silence", ["timeout", "oserror(ENOENT)", "undecodable"])
def test_who_owns_a_session_is_unknown_when_nobody_answers(silence: str) -> None:
    """A courtesy's sentinel is no answer: neither ours nor somebody else's."""
    windows, fake = under(f"session_options=1*{silence}")
    foreign_session(fake)
    windows.claimed = True

    with pytest.raises(TransportError):
        windows.ensure_session()
    with pytest.raises(SessionTaken):
        windows.ensure_session()


def test_a_refused_session_was_never_ours() -> None:
    """Somebody made one of that name since it was looked for: it is not claimed."""

    class Late(FakeMultiplexer):
        def has_session(self, name: str) -> bool:
            return False

    multiplexer = Late(clock=VirtualClock())
    foreign_session(multiplexer)
    windows = windows_of(multiplexer)

    with pytest.raises(CommandRejected, match="duplicate"):
        windows.ensure_session()

    assert not windows.claimed


def test_the_window_of_a_launch_is_found_by_its_name() -> None:
    """By the whole name: another launch of the same task is another window."""
    windows, _ = under("")
    windows.ensure_session()
    mine, other = window_name("task-1", "a" * 32), window_name("task-1", "b" * 32)
    window_id = windows.open(mine, "/sim", {}, "sleep 100")

    assert windows.find(mine) == window_id
    assert windows.find(other) is None


@pytest.mark.parametrize("faults", ["list_window_ids=timeout", "list_windows=timeout", "list_windows=truncate(1)"])
def test_a_window_that_cannot_be_looked_for_is_unknown_not_absent(faults: str) -> None:
    """Neither a silent listing nor names for only some of the windows prove anything."""
    windows, _ = under(faults)
    windows.ensure_session()
    windows.open("other", "/sim", {}, "sleep 100")

    with pytest.raises(TransportError):
        windows.find("wanted")


def test_in_a_session_that_is_proven_absent_there_is_no_window() -> None:
    """That is an answer."""
    windows, _ = under("")

    assert windows.listing().ids == frozenset()
    assert windows.find("wanted") is None


def test_a_listing_that_nobody_answers_is_none_and_says_why() -> None:
    """Not an empty one."""
    windows, _ = under("list_window_ids=1*timeout")
    windows.ensure_session()

    silent = windows.listing()
    assert silent.ids is None
    assert isinstance(silent.error, TransportError)
    assert windows.listing().ids


def test_a_mark_that_is_not_confirmed_is_told_and_can_be_repeated() -> None:
    """The token's option and the log are courtesies, whose silence is otherwise invisible."""
    windows, fake = under("pipe_pane=1*timeout")
    windows.ensure_session()
    window_id = windows.open("w", "/sim", {}, "sleep 100")

    with pytest.raises(TransportError):
        windows.mark(window_id, "token", Path("/log"))
    windows.mark(window_id, "token", Path("/log"))

    assert fake.show_window_option(window_id, TOKEN_OPTION) == "token"
    assert fake.server.windows[window_id].log == "/log"


def test_a_session_that_goes_under_a_launch_is_looked_for_again() -> None:
    """The next launch makes it anew."""
    windows, fake = under("")
    windows.ensure_session()
    fake.kill_session(RUN)

    with pytest.raises(TargetMissing):
        windows.open("w", "/sim", {}, "sleep 100")
    windows.ensure_session()

    assert owner(fake) == RUN


@pytest.mark.parametrize(
    ("faults", "told"), [("", True), ("kill_session=timeout", False), ("has_session=1*pass->timeout", None)]
)
def test_the_end_of_a_session_is_proven_denied_or_unknown(faults: str, told: bool | None) -> None:
    """True, false and nobody knows are three answers."""
    windows, _ = under(faults)
    windows.ensure_session()

    assert windows.kill_session() is told


@pytest.mark.parametrize("silence", ["", "session_options=1*timeout"])
def test_a_foreign_session_is_not_killed(silence: str) -> None:
    """Nor is one whose owner nobody could tell."""
    windows, fake = under(silence)
    foreign_session(fake)
    windows.claimed = True

    assert windows.kill_session() is (None if silence else True)
    assert fake.has_session(RUN)


def test_a_session_that_was_asked_for_is_killed_without_a_question() -> None:
    """So that a server that is frozen now does it when it goes on."""
    windows, fake = under("new_session=1*lost:timeout;has_session=1*pass->timeout;session_options=timeout")
    with pytest.raises(TransportError):
        windows.ensure_session()

    assert windows.kill_session() is None
    assert not fake.has_session(RUN)

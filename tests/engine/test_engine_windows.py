"""The engine's session in the multiplexer: whose it is, what is in it, and what nobody could tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_setting import RUN, foreign_session, windows_of

from backends.clock import VirtualClock
from backends.errors import (
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportError,
    TransportTimeout,
    TransportUnavailable,
)
from backends.fake import FakeMultiplexer
from backends.operations import ServerIdentity
from faults import FaultPlan, Injector
from harness.engine.windows import (
    NOWHERE,
    RUN_OPTION,
    TOKEN_OPTION,
    Listing,
    SessionTaken,
    Window,
    Windows,
    window_name,
)


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
    window = windows.open(mine, "/sim", {}, "sleep 100")

    assert windows.find(mine) == window
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
    window = windows.open("w", "/sim", {}, "sleep 100")

    with pytest.raises(TransportError):
        windows.mark(window, "token", Path("/log"))
    windows.mark(window, "token", Path("/log"))

    assert fake.show_window_option(window.id, TOKEN_OPTION) == "token"
    assert fake.server.windows[window.id].log == "/log"


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


def used(windows: Windows, window: Window) -> list[object]:
    """What comes of everything that is asked of a window, or done to it, by its id."""
    try:
        windows.mark(window, "token", "/log")
    except MultiplexerError as refused:
        marked: object = type(refused)
    else:
        marked = None
    typed = windows.type(window, "text")
    windows.kill(window)
    return [marked, typed and type(typed), windows.pids(window), windows.exit(window)]


def with_another_runs_server(known: bool = True) -> tuple[Windows, Window, FakeMultiplexer]:
    """The windows of a run, one of them, and the server on which another run has a window of its id by now."""
    windows, fake = under("" if known else "server_identity=timeout")
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")
    fake.server.restart()
    foreign_session(fake, "run-2")
    assert fake.new_window("run-2", "theirs", "/sim", {}, "cat") == window.id
    return windows, window, fake


def test_nothing_is_done_to_a_window_of_the_next_server_that_has_the_id_of_ours() -> None:
    """Not marked, typed into, killed or told of: who answers is asked before, and after what is told."""
    windows, window, fake = with_another_runs_server()

    assert used(windows, window) == [TargetMissing, TargetMissing, None, None]
    assert fake.server.windows[window.id].log is None
    assert fake.show_window_option(window.id, TOKEN_OPTION) == ""


class Elsewhere(FakeMultiplexer):
    """Another server answers to who it is, and whether ours still has its session is told by `told`."""

    other = False
    told: bool | MultiplexerError = True

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`."""
        return ServerIdentity(4711, 0) if self.other else super().server_identity()

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        if isinstance(self.told, MultiplexerError):
            raise self.told
        return self.told if self.other else super().has_session(name)


@pytest.mark.parametrize(
    ("told", "raised"),
    [(True, TransportUnavailable), (TransportTimeout("silent"), TransportTimeout), (False, TargetMissing)],
    ids=["there", "silent", "gone"],
)
def test_another_server_that_answers_is_no_proof_that_ours_is_gone(
    told: bool | MultiplexerError, raised: type[MultiplexerError]
) -> None:
    """Nothing is done either way; what became of the window is known only once its session is proven absent."""
    multiplexer = Elsewhere(clock=VirtualClock())
    windows = windows_of(multiplexer)
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")
    multiplexer.other, multiplexer.told = True, told

    assert used(windows, window) == [raised, raised, None, None]
    assert window.id in multiplexer.server.windows


@pytest.mark.parametrize("how", ["made", "lost", "renamed"])
def test_a_window_of_a_session_that_is_gone_is_nobodys_question(how: str) -> None:
    """Its id may be that of the newest window of ours by now: it is gone without being asked about."""
    windows, window, fake = with_another_runs_server(known=False)
    if how == "made":
        windows.forget()
        windows.ensure_session()
    elif how == "lost":
        windows.lose()
    else:
        windows.rename("run-2")
    asked = windows.multiplexer.seam.calls

    assert [*used(windows, window), windows.alive(window)] == [TargetMissing, TargetMissing, None, None, False]
    assert windows.multiplexer.seam.calls == asked
    assert window.id in fake.server.windows


class Serverless(FakeMultiplexer):
    """A backend that has no server that could be known, and says so."""

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`."""
        raise CommandRejected("there is none")


class Silent(FakeMultiplexer):
    """A backend that does not say whether it has one."""

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`."""
        return None


@pytest.mark.parametrize("kind", [Serverless, Silent])
def test_a_window_is_used_by_its_id_where_a_backend_has_no_server_to_tell_of(kind: type[FakeMultiplexer]) -> None:
    """It is the session's name alone that says whose it is."""
    fake = kind(clock=VirtualClock())
    windows = windows_of(fake)
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")

    assert windows.pids(window) == fake.window_pids(window.id)
    assert windows.type(window, "text") is None
    windows.kill(window)
    assert window.id not in fake.server.windows


def test_no_window_is_used_before_anybody_has_told_who_has_its_session() -> None:
    """An id may be another window's by now; with the first answer, and the session's tag beside it, it is used."""
    windows, fake = under("server_identity=4*timeout(1)")
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")
    error = windows.type(window, "text")
    unknown = windows.pids(window)
    windows.kill(window)

    assert isinstance(error, TransportUnavailable)
    assert (unknown, window.id in fake.server.windows) == (None, True)
    windows.listing()
    assert windows.pids(window) == fake.window_pids(window.id)


def test_who_has_a_session_is_learnt_only_from_who_has_ours() -> None:
    """The server that answers by then may be the next one, with a session of that name that somebody else made."""
    windows, fake = under("server_identity=1*timeout(1)")
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")
    fake.server.kill()
    fake.new_session(RUN, "/")
    theirs = fake.new_window(RUN, "w", "/sim", {}, "sleep 100")
    windows.listing()
    windows.kill(window)

    assert theirs == window.id
    assert theirs in fake.server.windows


def test_nothing_is_typed_or_killed_while_nobody_says_who_answers() -> None:
    """It may be another server by now; whoever asks will be asked again."""
    windows, fake = under("server_identity=1*pass->timeout")
    windows.ensure_session()
    window = windows.open("w", "/sim", {}, "sleep 100")

    assert used(windows, window) == [TransportTimeout, TransportTimeout, None, None]
    assert window.id in fake.server.windows


def test_a_listing_tells_nothing_of_windows_that_were_learnt_in_a_later_era() -> None:
    """And of an earlier one none is there, whatever has its id; of none that nobody answered."""
    listing = Listing(frozenset({"@1"}), era=1)

    assert [listing.shows(Window("@1", era)) for era in (0, 1, 2)] == [False, True, None]
    assert listing.shows(Window("@2", 1)) is False
    assert Listing(None, era=1).shows(Window("@1", 0)) is None
    assert listing.shows(NOWHERE) is False


def test_a_session_of_our_name_on_the_next_server_is_not_ours_because_it_has_no_tag() -> None:
    """Ours was made on the server that went; what is there now was asked for by somebody else."""
    windows, fake = under("")
    windows.ensure_session()
    windows.open("w", "/sim", {}, "sleep 100")
    fake.server.restart()
    fake.new_session(RUN, "/sim")
    windows.forget()

    with pytest.raises(SessionTaken):
        windows.ensure_session()
    assert owner(fake) is None


@pytest.mark.parametrize("used", [True, False])
def test_an_answer_that_was_lost_on_the_next_server_is_found_out_by_asking(used: bool) -> None:
    """The session that was asked for after ours went is ours, although it is on another server."""
    windows, fake = under("new_session=1*pass->1*lost:timeout")
    windows.ensure_session()
    if used:
        windows.open("w", "/sim", {}, "sleep 100")
    fake.server.restart()
    windows.forget()

    with pytest.raises(TransportError):
        windows.ensure_session()
    windows.ensure_session()

    assert owner(fake) == RUN


def test_windows_that_were_listed_are_others_than_those_with_their_ids_on_the_next_server() -> None:
    """None of them was opened by us, and one may be known to be ended."""
    windows, fake = under("")
    windows.ensure_session()
    before = windows.listing()
    fake.server.restart()
    windows.forget()
    windows.ensure_session()

    after = windows.listing()
    assert before.ids == after.ids
    assert not before.windows() & after.windows()

"""A session on its way to a window: it is asked for, and found again if the answer was lost."""

from __future__ import annotations

import shlex

from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportError
from backends.processes import Liveness
from harness.engine.core import Core
from harness.engine.living import Living
from harness.engine.profiles import agent_environment
from harness.engine.sessions import Phase, Session
from harness.engine.settling import Settling
from harness.engine.strays import Strays
from harness.engine.tasks import refused
from harness.engine.windows import SessionTaken, Window, Windows
from harness.record import SessionOutcome, TaskPhase

__all__ = ["Starting"]

_LOST_SESSIONS = 2
"""How often in one launch the multiplexer session may be gone again by the time it is needed.

Chosen: once, because the last window in it has just closed, and once more by chance; a third time somebody ends them.
"""
_ABSENT_LOOKS = 2
"""Listings in a row, a tick apart, that prove by not having the window that an unanswered launch came to nothing."""


class Starting:
    """Opens the windows of launches, each of them once."""

    def __init__(self, core: Core, windows: Windows, settling: Settling, living: Living, strays: Strays) -> None:
        self.core = core
        self.windows = windows
        self.settling = settling
        self.living = living
        self.strays = strays
        self.refusal: str | None = None
        """Why no launch of this run can be started, once the multiplexer has said no to its session again and again."""

    def start(self, session: Session) -> None:
        """Ask for the window of a launch."""
        core = self.core
        if session.heard:
            # A launch that was taken for absent has come to something after all.
            session.enter(Phase.UNCERTAIN, session.since)
            session.absent_seen = 0
            return
        core.checkpoint("session")
        try:
            self.windows.ensure_session()
        except TransportError:
            return
        except SessionTaken as taken:
            self._rename(taken)
            return
        except TargetMissing as error:
            self._look_again(session, error)
            return
        except CommandRejected as error:
            self._refuse(session, error, of_the_run=True)
            return
        self.windows.between()
        if session.phase is not Phase.STARTING:
            return
        core.checkpoint("open-window")
        launch = session.profile.launch(session.context)
        try:
            environment = {**agent_environment(session.context), **launch.env}
            command = shlex.join(launch.argv)
            window = self.windows.open(session.window_name, session.context.cwd, environment, command)
        except TransportError as error:
            session.enter(Phase.UNCERTAIN, session.since)
            session.absent_seen = 0
            core.journal("launch-unanswered", task=session.task.key, error=type(error).__name__)
        except TargetMissing as error:
            self._look_again(session, error)
        except CommandRejected as error:
            self._refuse(session, error)
        else:
            self._adopt(session, window)

    def _rename(self, taken: SessionTaken) -> None:
        core = self.core
        suffix = core.outside.entropy.suffix()
        core.state.mux_session = f"{core.state.run_id[: 63 - len(suffix)]}-{suffix}"
        self.windows.rename(core.state.mux_session)
        core.save()
        core.journal("session-renamed", reason=str(taken), session=self.windows.session)

    def _look_again(self, session: Session, error: TargetMissing) -> None:
        """The multiplexer session went while a window was being opened: it is made again in the next tick, a few times."""
        self.windows.forget()
        session.refusals += 1
        if session.refusals > _LOST_SESSIONS:
            self._refuse(session, error)

    def _refuse(self, session: Session, error: CommandRejected, of_the_run: bool = False) -> None:
        """Heed a no: one to the task gives it up in the end, one to the session of the whole run is no task's fault."""
        why = f"{session.task.key} could not be started{self.core.trouble(session.since)}"
        self.living.close(session, SessionOutcome.UNREACHABLE, error.message, counted_attempt=False)
        session.enter(Phase.GONE, self.core.now)
        self.windows.forget()
        session.state.phase = TaskPhase.PENDING
        if refused(session.state) >= self.core.plan.max_attempts:
            if of_the_run:
                self.refusal = why
            else:
                self.settling.defer(session.state, f"could not be started: {error.message}")
        self.core.save()

    def _adopt(self, session: Session, window: Window) -> None:
        core = self.core
        core.checkpoint("adopt")
        session.window = window
        session.attempt.window_id = window.id
        session.deadline_s = core.now + core.plan.session_timeout_s
        session.grown_s = None
        session.liveness = Liveness.ALIVE
        session.enter(Phase.LIVE, core.now)
        self.strays.know(window)
        core.journal("session-started", task=session.task.key, number=session.attempt.number, window=window.id)
        core.checkpoint("mark")
        self.living.mark(session)
        if session.marked and session.phase is Phase.LIVE:
            self.living.identify(session)

    def reconcile(self, session: Session) -> None:
        """Find out what came of a launch that nobody answered, before anything else is done for its task."""
        try:
            window = self.windows.find(session.window_name)
        except MultiplexerError:
            session.absent_seen = 0
            return
        if window is not None:
            self.core.journal("launch-adopted", task=session.task.key, window=window.id)
            self._adopt(session, window)
            return
        session.absent_seen += 1
        if session.absent_seen < _ABSENT_LOOKS:
            return
        self.core.journal("launch-absent", task=session.task.key)
        self.windows.forget()
        self.living.hearing.read_result(session)
        if session.heard or session.result is not None:
            # The agent did run: its window has come and gone, and a second launch would do its work twice.
            session.liveness = Liveness.DEAD
            session.enter(Phase.LIVE, self.core.now)
            self.living.act(session)
        else:
            session.enter(Phase.STARTING, session.since)

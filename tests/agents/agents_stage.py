"""Real command line agents in live tmux, with a model on the loopback instead of an account.

The command line of this project runs a plan as a user would, in a directory with a space in its name. Nothing of the user's
is read or written: home and configuration are the stage's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import tenacity
import tomli_w
from model_server import ModelServer

from backends.clock import SystemClock
from backends.processes import ProcessIdentity, SystemProcessTable
from backends.tmux import TmuxMultiplexer

__all__ = ["INSTALLED", "AgentsStage", "Outcome", "agents_stage"]

INSTALLED = os.environ.get("SEAMRIPPER_AGENTS", "")
"""Where `make agents` has installed the agents; empty where it was not asked for."""

PATIENCE_S = 60.0
"""Seconds that a real agent is given to get somewhere: a busy host needs ten times as long as an idle one."""

ABOUT: Mapping[str, dict[str, Any]] = {
    "claude": {"model": "sonnet", "env": {"CLAUDE_CODE_MAX_RETRIES": "1", "API_TIMEOUT_MS": "4000"}},
    "codex": {"model": "stub-model", "pass_env": ["STUB_KEY"]},
    "gemini": {
        "model": "gemini-2.5-flash",
        "files": {"settings.json": {"security": {"auth": {"selectedType": "gemini-api-key"}}}},
    },
    "copilot": {
        "env": {"COPILOT_OFFLINE": "true", "COPILOT_MODEL": "stub-model"},
        "pass_env": ["COPILOT_PROVIDER_BASE_URL", "COPILOT_PROVIDER_API_KEY"],
    },
}
"""What a plan says of each agent, so that it gives a model up in seconds."""

_PROVIDER = (
    'model_providers.stub={{name="stub",base_url="{url}/v1",wire_api="responses",env_key="STUB_KEY",'
    "request_max_retries=0,stream_max_retries=1,stream_idle_timeout_ms=4000}}"
)


class Outcome:
    """What came of a run: the exit code and the lines of the journal."""

    def __init__(self, code: int, run_dir: Path) -> None:
        self.code = code
        self.run_dir = run_dir
        self.journal = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text("utf-8").splitlines()]

    def sessions(self) -> list[str]:
        """How each session ended, in order."""
        return [line["outcome"] for line in self.journal if line["event"] == "session-ended"]

    def events(self) -> list[str]:
        """What the agents reported, in order; what was read in a transcript carries a `*`."""
        return [
            line["kind"] + ("*" if line.get("source") == "transcript" else "")
            for line in self.journal
            if line["event"] == "event"
        ]


class AgentsStage:
    """One root, one home, one model; `run` carries a plan out."""

    def __init__(self, base: Path, kind: str, model: ModelServer) -> None:
        self.base = base
        self.kind = kind
        self.model = model
        self.clock = SystemClock()
        self.processes = SystemProcessTable(self.clock)
        self.root = base / "the root"
        self.changes: dict[str, Any] = {}
        """What the plan's agent has in place of what `ABOUT` says."""
        self.environment = self._environment()
        for name in ("home", "claude", "codex", "copilot", "a project"):
            (base / name).mkdir()
        (base / "claude" / ".claude.json").write_text('{"hasCompletedOnboarding": true}', "utf-8")

    def _environment(self) -> dict[str, str]:
        """All that the command line and the agents get to see."""
        return {
            "PATH": f"{Path(INSTALLED).resolve()}/node_modules/.bin:{os.environ['PATH']}",
            "HOME": str(self.base / "home"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "CLAUDE_CONFIG_DIR": str(self.base / "claude"),
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_AUTH_TOKEN": "no-secret-of-anybody",
            "CODEX_HOME": str(self.base / "codex"),
            "STUB_KEY": "no-secret-of-anybody",
            "GEMINI_API_KEY": "no-secret-of-anybody",
            "GOOGLE_GEMINI_BASE_URL": self.model.url,
            "COPILOT_HOME": str(self.base / "copilot"),
            "COPILOT_PROVIDER_BASE_URL": f"{self.model.url}/v1",
            "COPILOT_PROVIDER_API_KEY": "no-secret-of-anybody",
            **({"IS_SANDBOX": "1"} if os.getuid() == 0 else {}),
        }

    def agent(self) -> dict[str, Any]:
        """The agent of the plan."""
        about = {"kind": self.kind, **ABOUT[self.kind], **self.changes}
        if self.kind == "codex":
            provider = _PROVIDER.format(url=self.model.url)
            about["args"] = ["-c", 'model_provider="stub"', "-c", provider]
        return about

    @contextmanager
    def begun(self, *prompts: str, **settings: Any) -> Iterator[Callable[[], Outcome]]:
        """Within, a plan of one task for each prompt runs; what it is called with waits for its end."""
        run = {
            **{"agent": "real", "project": str(self.base / "a project"), "session_timeout_s": 2 * PATIENCE_S},
            **{"max_attempts": 1, "retry_deferred": "never", "nudges": 0, "result_grace_s": 2, "stall_grace_s": 0},
            **settings,
        }
        tasks = [{"key": f"t{number}", "prompt": prompt} for number, prompt in enumerate(prompts, 1)]
        plan = self.base / "plan.toml"
        plan.write_text(tomli_w.dumps({"run": run, "task": tasks, "agents": {"real": self.agent()}}), "utf-8")
        argv = [sys.executable, "-P", "-m", "harness.cli", "run", str(plan), "--root", str(self.root), "--mux", "tmux"]
        with (self.base / "output").open("wb") as output:
            process = subprocess.Popen(argv, env=self.environment, cwd=self.base, stdout=output, stderr=output)
            try:
                yield lambda: Outcome(process.wait(3 * PATIENCE_S), self.run_dir())
            finally:
                process.terminate()
                process.wait()

    def run(self, *prompts: str, **settings: Any) -> Outcome:
        """Carry the plan out to its end."""
        with self.begun(*prompts, **settings) as ended:
            return ended()

    def run_dir(self) -> Path:
        """The one run below the root."""
        return next(path.parent for path in self.root.glob("*/state.json"))

    def token(self) -> str:
        """The launch token of the session that has begun."""
        attempt = next(self.root.glob("*/tasks/*/prompt.md")).read_text("utf-8")
        return attempt.partition('"token": "')[2].partition('"')[0]

    def carriers(self) -> list[ProcessIdentity]:
        """Every process of that launch that runs, found by what is in its environment."""
        return self.processes.carrying("SEAMRIPPER_TOKEN", self.token())

    def sleepers(self) -> list[ProcessIdentity]:
        """Every process whose argv is `sleep 987`, whoever it belongs to."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                identity = self.processes.identify(process.pid)
                if process.cmdline() == ["sleep", "987"] and identity is not None:
                    found.append(identity)
        return found

    def wait_until(self, ask: Callable[[], object]) -> None:
        """Until `ask` says yes; fails after a while, with what the run and its agent have said."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda answer: not answer),
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(PATIENCE_S),
            sleep=self.clock.sleep,
        )
        try:
            retrying(ask)
        except tenacity.RetryError:
            logs = [self.base / "output", *self.root.glob("*/logs/*.log")]
            said = "\n".join(path.read_text("utf-8", "backslashreplace")[-2000:] for path in logs)
            raise AssertionError(f"nothing came of it; model asked {self.model.requests}\n{said}") from None

    def multiplexer(self) -> TmuxMultiplexer:
        """The server that the run's windows are on."""
        return TmuxMultiplexer(root=self.root, environment=self.environment)

    def kill_window(self) -> None:
        """End the agent's window as a person would."""
        self.multiplexer().kill_window(self.window())

    def press_enter(self) -> None:
        """Answer a dialog with what it suggests."""
        self.multiplexer().send_text(self.window(), "")

    def window(self) -> str:
        """The id of the first task's window."""
        session = json.loads((self.run_dir() / "state.json").read_text("utf-8"))["mux_session"]
        rows = self.multiplexer().list_windows(session, ("window_id", "window_name"))
        return next(window_id for window_id, name in rows if name.startswith("t1-"))

    def heard(self, event: str) -> bool:
        """Whether the first task's agent has reported that event."""
        files = self.root.glob("*/events/**/*.json")
        return any(json.loads(path.read_text("utf-8"))["event"] == event for path in files)


@contextmanager
def agents_stage(kind: str, behaviour: str) -> Iterator[AgentsStage]:
    """A stage for one test, gone afterwards with everything that was started on it."""
    # Not below /tmp: Gemini CLI heeds no settings file below a directory that others can write to.
    base = Path(tempfile.mkdtemp(prefix="a stage ", dir=Path(INSTALLED).resolve()))
    try:
        with ModelServer(behaviour) as model:
            stage = AgentsStage(base, kind, model)
            try:
                yield stage
            finally:
                stage.multiplexer().shutdown()
    finally:
        shutil.rmtree(base, ignore_errors=True)

"""The dashboard as a person uses it, through Textual's pilot: what is on the screen, which keys are there, what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from made_up_runs import HOSTILE, MadeUpRuns
from screenshots import PICTURES, dashboard, picture
from textual.pilot import Pilot

from harness.dashboard.app import Dashboard, RunList
from harness.dashboard.panes import Outcome, Verb
from harness.dashboard.reader import RunView
from harness.record import TaskPhase

SIZES = [(80, 24), (120, 40)]
RUNNING, CRASHED = "20260101-140000-f6c8d0", "20260101-150000-07d9e2"


@dataclass
class Stage:
    """A dashboard of made-up runs; `done` lists what it launched."""

    runs: MadeUpRuns = field(default_factory=MadeUpRuns)
    outcome: Outcome = field(default_factory=lambda: Outcome(True, "as it was asked"))
    done: list[tuple[Verb, str]] = field(default_factory=list)

    def dashboard(self) -> Dashboard:
        """The application itself."""
        return Dashboard(
            self.runs.observer().look, root=self.runs.root, launch=self._launch, attach=lambda view: self.outcome
        )

    def _launch(self, verb: Verb, view: RunView) -> Outcome:
        self.done.append((verb, view.run_id))
        return self.outcome

    def play(self, story: Callable[[Screen], Awaitable[None]], size: tuple[int, int] = (120, 40)) -> None:
        """Tell a story in front of a screen of that size."""

        async def told() -> None:
            app = self.dashboard()
            async with app.run_test(size=size) as pilot:
                screen = Screen(app, pilot)
                await screen.settle()
                await story(screen)

        asyncio.run(told())


@dataclass
class Screen:
    """What somebody sees, and can press."""

    app: Dashboard
    pilot: Pilot[None]

    async def settle(self) -> None:
        """Let everything that was begun come to its end."""
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()
        await self.pilot.pause(0)

    async def press(self, *keys: str) -> None:
        """Press these keys, one after the other."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def choose(self, below: int) -> None:
        """Choose the run that stands so many below."""
        self.app.query_one(RunList).action_move(below)
        await self.settle()

    async def look_again(self) -> None:
        """Let the next refresh come."""
        self.app._look_again()
        await self.settle()

    @property
    def text(self) -> str:
        """Everything on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def keys(self) -> str:
        """The last line, where keys are offered."""
        return " ".join(self.text.splitlines()[-1].split())


@pytest.mark.parametrize("size", SIZES)
def test_every_status_is_on_the_screen_as_glyph_and_word(size: tuple[int, int]) -> None:
    """With its run's name and what else is to be known."""

    async def story(screen: Screen) -> None:
        text = screen.text
        for shown in (
            "✔ FINISHED 3/3",
            "■ STOPPED 2/3 orphaned",
            "‖ PAUSED",
            "✖ CRASHED",
            "↯ INTERRUPTED",
            "? UNKNOWN",
        ):
            assert shown in text
        assert "▶ RUNNING 1/2 ! asks" in text
        assert "20260101-090000-a10f3c" in text
        assert max(map(len, text.splitlines())) == size[0]

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story, size)


@pytest.mark.parametrize(
    ("below", "line", "keys"),
    [
        (0, "✖ engine crashed - see crash.txt - press e to resume", "e resume"),
        (1, "▶ running - press a to attach and answer", "a attach x stop"),
        (2, "? unknown", ""),
        (3, "↯ interrupted - press e to resume", "e resume"),
        (4, "‖ paused - press a to attach - press e to resume", "a attach e resume"),
        (5, "■ stopped - press e to resume", "e resume c clean up"),
        (6, "✔ finished", ""),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_each_key_is_offered_where_it_applies(size: tuple[int, int], below: int, line: str, keys: str) -> None:
    """And only there; the line about the status is whole at both sizes."""

    async def story(screen: Screen) -> None:
        await screen.choose(below)
        assert line in screen.text
        assert screen.keys == f"{keys} / filter ? help q quit".strip()

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story, size)


def test_a_key_that_does_not_apply_does_nothing() -> None:
    """Whatever its command would have done."""

    async def story(screen: Screen) -> None:
        await screen.press("x", "c", "y")
        assert "yes" not in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)
    assert stage.done == []


def test_a_resume_is_launched_at_once_and_its_outcome_is_told() -> None:
    """Of the run that is chosen."""

    async def story(screen: Screen) -> None:
        await screen.press("e")
        assert "as it was asked" in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)
    assert stage.done == [(Verb.RESUME, CRASHED)]


@pytest.mark.parametrize("key", ["down", "question_mark", "e"])
def test_what_came_of_a_command_is_let_go_at_the_next_key(key: str) -> None:
    """Whoever presses one has read it, and what comes of that key takes its place."""

    async def story(screen: Screen) -> None:
        await screen.press("e")
        assert "resumed at last" in screen.text
        stage.outcome = Outcome(True, "as it was asked")
        await screen.press(key)
        assert "resumed at last" not in screen.text
        assert ("as it was asked" in screen.text) is (key == "e")

    stage = Stage(outcome=Outcome(True, "resumed at last"))
    stage.runs.one_of_each()
    stage.play(story)


def test_what_came_of_a_command_is_let_go_after_a_while() -> None:
    """Half a minute, for those who press nothing."""

    async def story(screen: Screen) -> None:
        await screen.press("e")
        stage.runs.clock.sleep(29)
        await screen.look_again()
        assert "as it was asked" in screen.text
        stage.runs.clock.sleep(2)
        await screen.look_again()
        assert "as it was asked" not in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)


def test_it_leaves_when_it_is_told_to_before_its_first_screen() -> None:
    """A signal may come at any moment."""
    app = Stage().dashboard()

    async def has_left() -> bool:
        left, _ = await asyncio.wait([asyncio.ensure_future(app.run_async(headless=True))], timeout=60)
        return bool(left)

    app.leave()

    assert asyncio.run(has_left())
    assert app.failure is None


@pytest.mark.parametrize(("answer", "done"), [("y", 1), ("n", 0), ("escape", 0)])
@pytest.mark.parametrize(("key", "below"), [("x", 1), ("c", 5)])
def test_what_ends_something_is_asked_about_first(key: str, below: int, answer: str, done: int) -> None:
    """Only a yes is one."""

    async def story(screen: Screen) -> None:
        await screen.choose(below)
        await screen.press(key)
        assert "y  yes" in screen.text
        await screen.press(answer)
        assert "y  yes" not in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)
    assert [verb for verb, _ in stage.done] == [Verb.STOP if key == "x" else Verb.CLEANUP] * done


def test_the_error_of_a_command_is_shown_literally() -> None:
    """Its one line, whatever is in it."""

    async def story(screen: Screen) -> None:
        await screen.press("e")
        assert "error: \\x1b]52;c;aGk=\\x07\\x1b[31m[/bad][bold]x" in screen.text

    stage = Stage(outcome=Outcome(False, f"error: {HOSTILE}"))
    stage.runs.one_of_each()
    stage.play(story)


def test_a_filter_shows_the_runs_that_fit_until_it_is_ended() -> None:
    """What is typed is text, also where it is a key elsewhere."""

    async def story(screen: Screen) -> None:
        await screen.press("slash", *"crash", "enter")
        assert "1 of 7 runs fit 'crash'" in screen.text
        assert "FINISHED" not in screen.text
        await screen.press("slash", *"xe")
        assert "no run fits 'xe'" in screen.text
        await screen.press("escape")
        assert "FINISHED" in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)
    assert stage.done == []


def test_a_silent_multiplexer_takes_the_attach_away_and_nothing_else() -> None:
    """It is said since when, and the run stays RUNNING."""

    async def story(screen: Screen) -> None:
        await screen.press("down")
        stage.runs.fall_silent()
        await screen.look_again()
        assert "‼ multiplexer not answering since" in screen.text
        assert "▶ running  " in screen.text
        assert "press a" not in screen.text
        assert screen.keys == "x stop / filter ? help q quit"

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)


def test_runs_appear_change_and_vanish_and_the_chosen_one_stays_chosen() -> None:
    """Whatever happens above it in the list."""

    async def story(screen: Screen) -> None:
        await screen.press("down")
        stage.runs.make("zz-new", {"a": TaskPhase.PENDING}, driven=True)
        stage.runs.disk.remove_tree(f"/runs/{CRASHED}")
        await screen.look_again()
        text = screen.text
        assert "zz-new" in text
        assert CRASHED not in text
        assert ">▶ RUNNING 1/2 ! asks" in text
        stage.runs.disk.remove_tree(f"/runs/{RUNNING}")
        await screen.look_again()
        assert RUNNING not in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)


@pytest.mark.parametrize("size", SIZES)
def test_without_runs_it_says_how_to_begin_one(size: tuple[int, int]) -> None:
    """An empty root, and one that is not there yet."""

    async def story(screen: Screen) -> None:
        assert "no runs in /runs" in screen.text
        stage.runs.disk.remove_directory("/runs")
        await screen.press("down", "enter", "e")
        assert "`seamripper run PLAN` begins one" in screen.text
        assert screen.keys == "/ filter ? help q quit"

    stage = Stage()
    stage.play(story, size)


def test_more_runs_than_fit_are_walked_through() -> None:
    """From the newest to the oldest and back, a page at a time."""

    async def story(screen: Screen) -> None:
        assert "300 runs" in screen.text
        await screen.press("end")
        assert ">? UNKNOWN" in screen.text
        assert "r-000" in screen.text
        await screen.press("pageup", "k", "home")
        assert "r-299" in screen.text

    stage = Stage()
    for number in range(300):
        stage.runs.disk.mkdir(f"/runs/r-{number:03}")
        stage.runs.disk.write(f"/runs/r-{number:03}/plan.toml", b"")
    stage.play(story)


def test_a_terminal_that_changes_its_size_is_followed() -> None:
    """Narrow, wide, and far too small."""

    async def story(screen: Screen) -> None:
        for width, height in ((80, 24), (30, 5), (1, 1), (140, 50)):
            await screen.pilot.resize_terminal(width, height)
            await screen.settle()
        assert "✖ engine crashed" in screen.text

    stage = Stage()
    stage.runs.one_of_each()
    stage.play(story)


def test_nothing_that_was_said_reaches_the_terminal_as_a_command() -> None:
    """Escape sequences, markup and what turns text around, from every place that text comes from."""

    async def story(screen: Screen) -> None:
        for _ in range(2):
            text = screen.text
            assert "[/bad][bold]x[/bold]" in text
            assert not [char for char in text if not char.isprintable() and char != "\n"]
            text.encode()
            await screen.press("down")

    stage = Stage()
    stage.runs.one_of_each()
    stage.runs.crashed("r-hostile", HOSTILE)
    store, state = stage.runs.make(
        "r-" + HOSTILE.replace("/", "").replace("\0", "").replace("\ud800", "\udc80"), {HOSTILE: TaskPhase.ESCALATED}
    )
    state.project, state.tasks[0].reason = HOSTILE, HOSTILE
    store.save(state)
    store.attention(HOSTILE)
    stage.runs.log(store, HOSTILE.encode(errors="surrogatepass"))
    stage.play(story, (120, 60))


@pytest.mark.parametrize("size", SIZES)
def test_the_help_tells_every_key(size: tuple[int, int]) -> None:
    """And fits the screen."""

    async def story(screen: Screen) -> None:
        await screen.press("question_mark")
        assert "attach to the run's session" in screen.text
        assert "escape closes this" in screen.text
        assert [char for line in screen.text.splitlines() for char in line if char in "╭╮╰╯"] == list("╭╮╰╯")
        await screen.press("escape")
        assert "escape closes this" not in screen.text

    Stage().play(story, size)


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_in_the_readme_can_be_drawn_again(name: str) -> None:
    """From made-up runs, with the words that stand in their description, and nothing that is fetched from elsewhere."""
    runs = MadeUpRuns("/home/you/.local/state/seamripper")
    runs.one_of_each()

    drawn = asyncio.run(picture(dashboard(runs), *PICTURES[name])).replace("&#160;", " ")

    assert ("press a to attach and answer" if name == "dashboard" else "press e to resume") in drawn
    assert "url(http" not in drawn

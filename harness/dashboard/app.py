"""The full screen application: runs on the left, the chosen one on the right. It only observes, and launches commands.

All reading happens in a worker thread and all questions to a multiplexer in another, so the interface waits for neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Horizontal, VerticalScroll
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Footer, Input, Static
from textual.worker import WorkerFailed, get_current_worker

from harness.dashboard.observer import Snapshot
from harness.dashboard.panes import (
    HELP,
    ROW_HEIGHT,
    Outcome,
    Verb,
    detail,
    empty_detail,
    fitting,
    question,
    row,
    title,
    verbs,
)
from harness.dashboard.reader import RunView
from harness.dashboard.render import literal

__all__ = ["Dashboard", "RunList"]

_REFRESH_S = 1.0
_WIDE = 100
"""Columns from which on the list is given more room."""
_NOTICE_S = 30.0
"""Seconds for which it stays on the screen what came of a command, where no key is pressed."""


class _Colourless(LineFilter):
    """Takes every colour away, where Textual's own filters make greys of them; bold and reverse stay."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter.apply`."""
        return [Segment(text, style and _colourless(style), control) for text, style, control in segments]


_NOT_DIM = Style(dim=False)


@lru_cache(1024)
def _colourless(style: Style) -> Style:
    return style.without_color + _NOT_DIM + Style(meta=style.meta)


_COLOURLESS = (_Colourless(),)


class RunList(ScrollView, can_focus=True):
    """The runs, two lines each; only what is visible is drawn. The chosen run stays chosen while others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "move(-1000000)", "first", show=False),
        Binding("end", "move(1000000)", "last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"runs--chosen"}

    class Chosen(Message):
        """Another run is chosen, or none."""

    def __init__(self) -> None:
        super().__init__(id="runs")
        self._views: list[RunView] = []
        self._number = 0

    @property
    def chosen(self) -> RunView | None:
        """The run that keys act on."""
        return self._views[self._number] if self._views else None

    def fill(self, views: list[RunView]) -> None:
        """Show these runs; where the chosen one is gone, the one that took its place is chosen."""
        before = self.chosen
        names = [view.run_id for view in views]
        if before is not None and before.run_id in names:
            self._number = names.index(before.run_id)
        self._number = max(0, min(self._number, len(views) - 1))
        self._views = views
        self._resize()
        self.refresh()
        if _name_of(before) != _name_of(self.chosen):
            self.post_message(self.Chosen())

    def action_move(self, count: int) -> None:
        """Choose the run that stands so many below."""
        self._choose(self._number + count)

    def action_page(self, count: int) -> None:
        """Choose the run that stands so many pages below."""
        self._choose(self._number + count * max(1, self.size.height // ROW_HEIGHT))

    def on_click(self, event: events.Click) -> None:
        """Choose the run that was clicked at."""
        number = (event.y + self.scroll_offset.y) // ROW_HEIGHT
        if number < len(self._views):
            self._choose(number)

    def on_resize(self) -> None:
        """Keep the chosen run visible."""
        self._resize()
        self._show_chosen()

    def _choose(self, number: int) -> None:
        number = max(0, min(number, len(self._views) - 1))
        if number != self._number:
            self._number = number
            self._show_chosen()
            self.refresh()
            self.post_message(self.Chosen())

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._views) * ROW_HEIGHT)

    def _show_chosen(self) -> None:
        place = Region(0, self._number * ROW_HEIGHT, 1, ROW_HEIGHT)
        self.scroll_to_region(place, animate=False, force=True, immediate=True)

    def render_line(self, y: int) -> Strip:
        """See `Widget.render_line`."""
        number, line = divmod(y + self.scroll_offset.y, ROW_HEIGHT)
        width = self.scrollable_content_region.width
        if number >= len(self._views):
            return Strip.blank(width, self.rich_style)
        chosen = number == self._number
        text = row(self._views[number], width, chosen=chosen)[line]
        text.end = ""
        style = self.get_component_rich_style("runs--chosen") if chosen else self.rich_style
        strip = Strip(text.render(self.app.console)).adjust_cell_length(width)
        return strip.apply_style(style)


def _name_of(view: RunView | None) -> str | None:
    return None if view is None else view.run_id


class _Page(ModalScreen[bool]):
    """A text in the middle of the screen: to be read, or to be answered with `y` or `n`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n", "answer(False)", "no"),
        Binding("escape,q,question_mark,enter", "answer(False)", "close"),
    ]

    def __init__(self, text: str, *, asks: bool) -> None:
        super().__init__()
        self._text = f"{text}\n\ny  yes      n  no" if asks else f"{text}\n\nescape closes this"
        self._asks = asks

    def compose(self) -> ComposeResult:
        """See `Screen.compose`."""
        yield Static(Text(self._text), id="page")

    def action_answer(self, agreed: bool) -> None:
        """Go back, with the answer."""
        self.dismiss(agreed and self._asks)


class Dashboard(App[None]):
    """Shows what `look` answers; `launch` carries a command out, and `attach` hands the terminal to one."""

    TITLE = "seamripper"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    * { scrollbar-color: $primary; scrollbar-background: $background; scrollbar-color-hover: $primary; }
    Screen { background: $background; }
    #title { height: 1; padding: 0 1; background: $panel; }
    #runs { width: 26; overflow-x: hidden; scrollbar-size-vertical: 1; }
    #runs.wide { width: 40; }
    #runs:focus > .runs--chosen { background: $primary-darken-3; text-style: bold; }
    .runs--chosen { background: $panel; }
    #side { border-left: solid $panel; overflow-x: hidden; scrollbar-size-vertical: 1; }
    #side:focus { border-left: solid $primary; }
    #detail { width: 1fr; }
    #message { height: auto; max-height: 3; padding: 0 1; display: none; }
    #words { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    #words.asked { display: block; }
    _Page { align: center middle; background: $background 60%; }
    #page { width: auto; max-width: 90%; height: auto; padding: 0 2; background: $panel; border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", f"do('{Verb.ATTACH}')", "attach"),
        Binding("e", f"do('{Verb.RESUME}')", "resume"),
        Binding("x", f"do('{Verb.STOP}')", "stop"),
        Binding("c", f"do('{Verb.CLEANUP}')", "clean up"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("escape", "all", "all runs", show=False),
    ]

    def __init__(
        self,
        look: Callable[[str], Snapshot],
        *,
        root: str,
        launch: Callable[[Verb, RunView], Outcome],
        attach: Callable[[RunView], Outcome],
    ) -> None:
        super().__init__()
        self.ansi_theme_dark = SVG_EXPORT_THEME
        self._look = look
        self._root = root
        self._launch = launch
        self._hand_over = attach
        self._list = RunList()
        self._title = Static(Text("seamripper"), id="title")
        self._detail = Static(id="detail")
        self._side = VerticalScroll(self._detail, id="side", can_focus=True)
        self._message = Static(id="message")
        self._words = Input(placeholder="filter; enter keeps it, escape ends it", id="words", compact=True)
        self._snapshot = Snapshot()
        self._offered: frozenset[Verb] = frozenset()
        self._looking = False
        self._told_at: float | None = None
        self._loop_of_events: asyncio.AbstractEventLoop | None = None
        self._is_leaving = False
        self.is_away = False
        """Whether the terminal is in another's hands."""
        self.failure: BaseException | None = None
        """What was raised in here, if anything was."""

    def compose(self) -> ComposeResult:
        """See `App.compose`."""
        yield self._title
        yield Horizontal(self._list, self._side)
        yield self._message
        yield self._words
        yield Footer(show_command_palette=False)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """See `App.get_line_filters`; with NO_COLOR everything has the terminal's own colours."""
        return _COLOURLESS if self.no_color else super().get_line_filters()

    def leave(self) -> None:
        """Leave as soon as may be. For handlers of signals: it may come before the first screen, and while another waits."""
        self._is_leaving = True
        if self._loop_of_events is not None:
            self._loop_of_events.call_soon_threadsafe(self.exit)

    def on_mount(self) -> None:
        """Begin to look."""
        self._loop_of_events = asyncio.get_running_loop()
        if self._is_leaving:
            self.exit()
        self._list.focus()
        self._look_again()
        self.set_interval(_REFRESH_S, self._look_again)

    async def on_event(self, event: events.Event) -> None:
        """See `App.on_event`; whoever presses a key has read what came of the last one."""
        if isinstance(event, events.Key | events.MouseDown) and not event.is_forwarded and self._told_at is not None:
            self._say("")
        await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """Give the list more room where there is some."""
        self._list.set_class(event.size.width >= _WIDE, "wide")

    def on_run_list_chosen(self) -> None:
        """Show the run that was chosen, and read what else there is about it."""
        self._show_detail()
        self._side.scroll_home(animate=False)
        self._look_again()

    def on_input_changed(self) -> None:
        """Show the runs that fit."""
        self._show_runs()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go back to the list."""
        self._list.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key is there while it applies to the chosen run."""
        if action == "do":
            return not self._is_typing() and parameters[0] in verbs(self._chosen)
        return not self._is_typing() if action in ("filter", "help") else True

    def action_filter(self) -> None:
        """Let somebody type what runs are to be shown."""
        self._words.add_class("asked")
        self._words.focus()
        self.refresh_bindings()

    def action_all(self) -> None:
        """Show all runs again."""
        self._words.value = ""
        self._words.remove_class("asked")
        self._say("")
        self._list.focus()
        self.refresh_bindings()

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(_Page(HELP, asks=False))

    def action_do(self, verb: str) -> None:
        """Carry it out on the chosen run, once it was agreed to where that is asked for."""
        view = self._chosen
        if view is None or verb not in verbs(view):
            return
        asked = question(Verb(verb), view)
        if asked:
            self.push_screen(
                _Page(asked, asks=True), lambda agreed: self._carry_out(Verb(verb), view) if agreed else None
            )
        else:
            self._carry_out(Verb(verb), view)

    @property
    def _chosen(self) -> RunView | None:
        return self._list.chosen

    def _is_typing(self) -> bool:
        return isinstance(self.focused, Input)

    def _carry_out(self, verb: Verb, view: RunView) -> None:
        if verb is Verb.ATTACH:
            try:
                with self.suspend():
                    self.is_away = True
                    outcome = self._hand_over(view)
            except SuspendNotSupported:
                outcome = Outcome(False, "error: this terminal cannot be handed on")
            finally:
                self.is_away = False
            self._tell(outcome)
            return
        self._say(f"{verb} {literal(view.run_id, 60)} ...")

        def in_the_background() -> None:
            outcome = self._launch(verb, view)
            if not get_current_worker().is_cancelled:
                self.call_from_thread(self._tell, outcome)

        self.run_worker(in_the_background, thread=True, exit_on_error=True)

    def _tell(self, outcome: Outcome) -> None:
        if not self.screen_stack:
            return
        self._say(literal(outcome.line, 300), "green" if outcome.done else "bold red")
        self._told_at = self._snapshot.now
        self._look_again()

    def _say(self, line: str, style: str = "") -> None:
        self._told_at = None
        self._message.update(Text(line, style=style))
        self._message.display = bool(line)

    def _look_again(self) -> None:
        """Have a snapshot made, unless one is being made already."""
        if not self._looking and self.screen_stack:
            self._looking = True
            chosen = self._chosen
            watched = "" if chosen is None else chosen.run_id
            self.run_worker(lambda: self._look_from_thread(watched), thread=True, exit_on_error=True, group="look")

    def _look_from_thread(self, watched: str) -> None:
        snapshot = self._look(watched)
        if not get_current_worker().is_cancelled:
            self.call_from_thread(self.show, snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Show that snapshot in place of the last one."""
        self._looking = False
        if not self.screen_stack:
            # It has been left meanwhile.
            return
        self._snapshot = snapshot
        if self._told_at is not None and snapshot.now - self._told_at >= _NOTICE_S:
            self._say("")
        self._show_runs()
        chosen = self._chosen
        if chosen is not None and chosen.run_id != snapshot.watched:
            self._look_again()

    def _show_runs(self) -> None:
        words = self._words.value
        found = fitting(self._snapshot.views, words)
        self._list.fill(found)
        self._title.update(title(self._snapshot, self._root, len(found), words))
        self._show_detail()

    def _show_detail(self) -> None:
        chosen, snapshot = self._chosen, self._snapshot
        if chosen is None:
            self._detail.update(empty_detail(snapshot, self._root, self._words.value))
        else:
            details = snapshot.details if snapshot.watched == chosen.run_id else type(snapshot.details)()
            self._detail.update(detail(chosen, details))
        if verbs(chosen) != self._offered:
            self._offered = verbs(chosen)
            self.refresh_bindings()

    def _handle_exception(self, error: Exception) -> None:
        """Leave the screen as it was found; whoever runs this says what happened, as for every other command."""
        self.failure = self.failure or (error.error if isinstance(error, WorkerFailed) else error)
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self._return_code = 70
            self._close_messages_no_wait()

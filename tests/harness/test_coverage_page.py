"""The page of the fault coverage: whole, readable without scripts or network, and nothing on it is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from faults.coverage import NOT_REACHED, NOT_SELECTED, Coverage, Hit, Square
from harness.coverage_page import coverage_page

EVIL = "seamripper faults replay 'x' --plan 'new_window=exit(1, \"<script>alert(1)</script>&amp;\")'"
COVERAGE = Coverage(
    {
        Square("mux.new_window", "timeout", "before"): Hit(12, EVIL),
        Square("mux.new_window", "timeout", "after"): NOT_SELECTED,
        Square("mux.version", "timeout", "before"): NOT_REACHED,
        Square("mux.version", 'output("<b>")', "before"): "a <lie> that is an answer",
        Square("clock.tick", "jump(3600)", "before"): Hit(1, "again"),
    },
    {"live": "it needs a live process"},
    others=3,
)
VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """The elements of a page: each with its attributes and the text in it, and whether all of them are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """It must be the innermost one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """It belongs to every element that is open."""
        for tag in set(self.open):
            self.text[tag][-1] += data

    def classes(self) -> list[str]:
        """Those of the cells, without the key's."""
        return [str(attrs["class"]) for tag, attrs in self.found if tag == "td" and "class" in attrs][5:]


PAGE = Page(coverage_page(COVERAGE))


def test_the_page_is_whole_and_needs_nothing() -> None:
    """Every element is closed; no script, no address, nothing that would be loaded."""
    attributes = {name for _, attrs in PAGE.found for name in attrs}

    assert PAGE.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in PAGE.found}
    assert not {"src", "href", "onclick", "style"} & attributes
    assert "http" not in re.sub(r"http-equiv", "", coverage_page(COVERAGE))


def test_each_layer_has_its_grid_of_points_by_actions() -> None:
    """In each row every column has a cell, also where nothing can happen."""
    assert PAGE.text["h2"] == ["mux 1 of 4 cells (25 %)", "clock 1 of 1 cells (100 %)"]
    assert PAGE.classes() == ["yes", "no", "void", "far", "void", "never", "yes"]
    assert [text for text in PAGE.text["span"]] == [
        *("timeout before", "timeout after", 'output("<b>") before', "jump(3600) before")
    ]


def test_a_number_opens_the_line_that_does_it_again() -> None:
    """As text, whatever is in it; a pointer finds it too."""
    titles = [attrs["title"] for tag, attrs in PAGE.found if tag == "td" and "title" in attrs]

    assert PAGE.text["summary"] == ["12", "1"]
    assert PAGE.text["code"] == [EVIL, "again"]
    assert titles == [EVIL, NOT_SELECTED, NOT_REACHED, "a <lie> that is an answer", "again"]


def test_the_key_says_what_each_sign_means_and_how_many_there_are() -> None:
    """Every reason once, with what is beside the grid and what was left out."""
    (body,) = PAGE.text["body"]

    for told in (
        "2 of 5 cells (40 %)",
        NOT_SELECTED,
        NOT_REACHED,
        "a <lie> that is an answer",
        "3 more faults",
        "live: it needs",
    ):
        assert told in body


def test_dark_and_light_have_the_same_colours_by_name() -> None:
    """No colour is left over from the other scheme."""
    style = PAGE.text["style"][0]
    light, _, dark = style.partition("prefers-color-scheme: dark")

    assert set(re.findall(r"--[a-z]+(?=:)", light)) == set(re.findall(r"--[a-z]+(?=:)", dark))

"""The language of psmux, as pure functions: what is composed, what is quoted, and what an answer means."""

from __future__ import annotations

import base64
import hashlib

import pytest
from canned_tmux import completed
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import CommandRejected
from backends.judge import Meaning
from backends.psmux_dialect import (
    ATTACH,
    LAUNCH,
    SINK,
    attach_script,
    decoded_value,
    encoded_value,
    judge_psmux,
    launch_lines,
    launch_script,
    parse_version,
    powershell,
    quoted,
    session_gone,
    sink_script,
    split_psmux_target,
    window_gone,
    window_key,
)
from backends.psmux_double.pwsh_program import SCRIPTS, recognised

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(TEXT)
def test_a_value_comes_back_as_it_was_given(value: str) -> None:
    """Whatever is in it."""
    assert decoded_value(encoded_value(value)) == value


@given(TEXT)
def test_a_value_is_sent_as_a_word_that_no_parser_changes(value: str) -> None:
    """It is not empty, is no flag, and has nothing in it that is quoted, split or expanded."""
    word = encoded_value(value)

    assert word.isascii()
    assert word
    assert not word.startswith("-")
    assert not set(word) & set(" \t\n'\"`$#;|&<>(){}[]*?!~\\,")


@pytest.mark.parametrize(
    ("value", "word"), [("run-1:@2", "run-1:@2"), ("-v", "b64:LXY="), ("", "b64:"), ("b64:x", "b64:YjY0Ong=")]
)
def test_only_a_plain_value_is_kept_as_it_is(value: str, word: str) -> None:
    """One that begins like an encoded one is encoded."""
    assert encoded_value(value) == word


@pytest.mark.parametrize("word", ["b64:!", "b64:/w==", "b64:x"])
def test_a_value_that_somebody_else_set_stands_for_itself(word: str) -> None:
    """What looks encoded and is not is no error."""
    assert decoded_value(word) == word


def test_an_option_of_a_window_carries_its_number() -> None:
    """Other options than user options cannot be kept for one window."""
    assert window_key("@token", "@12") == "@token-w12"
    with pytest.raises(CommandRejected, match="begin with @"):
        window_key("monitor-bell", "@1")


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("run-1:@3", ("run-1", "@3")),
        ("=run-1", ("run-1", None)),
        ("=run-1:agent", ("run-1", "agent")),
        ("=run-1:", ("run-1", None)),
    ],
)
def test_a_target_names_its_session(target: str, parts: tuple[str, str | None]) -> None:
    """By name or by number within it."""
    assert split_psmux_target(target) == parts


@given(TEXT)
def test_a_quoted_word_is_read_back_by_the_double(word: str) -> None:
    """Every kind of quote that PowerShell knows is doubled."""
    if "\n" not in word and "\r" not in word:
        assert recognised(launch_script(word)) == ("launch", [word])


@pytest.mark.parametrize("quote", "'\u2018\u2019\u201a\u201b")
def test_every_quote_of_powershell_is_doubled(quote: str) -> None:
    """Any one of them would end the word."""
    assert quoted(f"a{quote}b") == f"'a{quote}{quote}b'"


def test_a_script_travels_as_one_word_of_base64() -> None:
    """As UTF-16, which is what PowerShell reads."""
    words = powershell("exit 'é'")

    assert words[:3] == ("pwsh", "-NoProfile", "-EncodedCommand")
    assert base64.b64decode(words[3]).decode("utf-16-le") == "exit 'é'"
    assert words[3].replace("+", "").replace("/", "").replace("=", "").isalnum()


def test_the_double_knows_exactly_the_scripts_that_are_generated() -> None:
    """A changed script is refused until somebody has looked at the double."""
    digests = {hashlib.sha256(script.encode()).hexdigest() for script in (LAUNCH, SINK, ATTACH)}

    assert digests == SCRIPTS.keys()
    assert recognised(sink_script("/a 'b'")) == ("sink", ["/a 'b'"])
    assert recognised(attach_script("/d", "run-1:@1")) == ("attach", ["/d", "run-1:@1"])
    assert recognised(launch_script("/x") + "# more") is None


def test_a_launch_has_no_word_in_clear_but_the_names_of_variables() -> None:
    """It is read by two languages: everything else is base64."""
    lines = launch_lines("/a b", ("x", ""), {"KEY": "v w"}, "/e/", ("run-1", "@back")).decode().splitlines()

    assert lines == ["cwd L2EgYg==", "exits L2Uv", "env KEY diB3", "arg eA==", "arg ", "park run-1 @back"]


@pytest.mark.parametrize("name", ["A;B", "", "1A", "A B", "A=B"])
def test_a_variable_that_is_no_name_is_refused(name: str) -> None:
    """It would be written where a name is read."""
    with pytest.raises(CommandRejected):
        launch_lines("/", ("x",), {name: "v"}, "/e/")


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("psmux: no server running on session 'run-1'", Meaning.ABSENT),
        ("psmux: no server running on session 'RUN-1'", Meaning.ABSENT),
        ("no server running on session 'run-10'", Meaning.UNAVAILABLE),
        ("can't find session: run-1", Meaning.ABSENT),
        ("can't find session", Meaning.ABSENT),
        ("psmux: no session 'run-1'", Meaning.ABSENT),
        ("psmux: can't find window: @3", Meaning.ABSENT),
        ("psmux: can't find window: @31", Meaning.REFUSED),
        ("psmux: Invalid session key", Meaning.UNAVAILABLE),
        ("psmux: connection timed out", Meaning.UNAVAILABLE),
        ("psmux: failed to create session 'run-1'", Meaning.UNAVAILABLE),
        ("psmux: session 'run-1' exited immediately (check shell command)", Meaning.UNAVAILABLE),
        ("psmux: ambiguous window id @1: present in sessions a, b", Meaning.REFUSED),
        ("", Meaning.UNAVAILABLE),
    ],
)
def test_a_line_on_stderr_means_what_the_table_says(line: str, meaning: Meaning) -> None:
    """Only what is known to prove absence does."""
    absence = session_gone("run-1") | window_gone("@3")

    for end in ("\n", "\r\n"):
        assert judge_psmux(completed(1, b"", line.encode() + end.encode()), absence).meaning is meaning


def test_an_error_on_stdout_is_read_as_one() -> None:
    """Status 0 and an empty stderr do not make it an answer."""
    said = completed(0, b"ERROR: can't find window: @3\n")

    assert judge_psmux(said, window_gone("@3")).meaning is Meaning.ABSENT
    assert judge_psmux(said).meaning is Meaning.REFUSED


def test_undecodable_output_is_shown_and_not_refused() -> None:
    """A pane may print anything: its bytes come as escapes."""
    assert judge_psmux(completed(0, b"a\xff\r\n")).text == "a\\xff\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("tmux 3.3.8\npsmux 3.3.8 (66cf613 2026-08-18)", (3, 3, 8)),
        ("psmux 4.10.2", (4, 10, 2)),
        ("tmux 3.3.8", None),
        ("tmux 3.6b", None),
        ("psmux x", None),
        ("", None),
    ],
)
def test_a_version_is_that_of_the_line_that_names_psmux(text: str, version: tuple[int, int, int] | None) -> None:
    """The first line says which tmux it likes to be taken for."""
    assert parse_version(text) == version

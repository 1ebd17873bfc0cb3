"""Which verbs a command line of tmux means, as tmux itself reads it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.tmux import TmuxMultiplexer
from faults.spellings import ALIASES, UNKNOWN, meant, spellings, verbs_in
from faults.verbs import TRANSPORT_VERBS

live = [
    pytest.mark.live,
    pytest.mark.skipif(not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here"),
]


@pytest.mark.parametrize(
    ("words", "verbs"),
    [
        ("ls", ["list-sessions"]),
        ("-L a -f /dev/null neww -n ls", ["new-window"]),
        ("-C attach -t a", ["attach-session"]),
        ("start ; neww -d ; lsw", ["start-server", "new-window", "list-windows"]),
        ("start; neww -d; lsw", ["start-server", "new-window", "list-windows"]),
        ("send-keys a\\; ls", ["send-keys"]),
        ("-uV ls", ["version"]),
        ("-S /tmp/s", ["new-session"]),
        ("has nonsense ; nonsense", ["has-session", UNKNOWN]),
        ("list", [UNKNOWN]),
        ("new-w", ["new-window"]),
        ("-- ls", ["list-sessions"]),
    ],
)
def test_the_verbs_of_a_command_line(words: str, verbs: list[str]) -> None:
    """Behind the global flags, by whatever name, one for each command of a sequence."""
    argv = ["tmux", *words.split()]
    found = verbs_in(argv)

    assert [verb for verb, _ in found] == verbs
    assert [at for _, at in found] == sorted({at for _, at in found})


@pytest.mark.parametrize("verb", TRANSPORT_VERBS)
def test_every_spelling_of_a_verb_means_it(verb: str) -> None:
    """Its name first of all; `version` is no word at all."""
    words = spellings(verb)

    assert (verb in words) is (verb != "version")
    assert {meant(word) for word in words} <= {verb}


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """That of a server with one session."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    name = str(directory / "s")
    subprocess.run(["tmux", "-S", name, "-f", "/dev/null", "new-session", "-d", "-s", "a", "cat"], check=True)
    try:
        yield name
    finally:
        subprocess.run(["tmux", "-S", name, "kill-server"], check=False)
        shutil.rmtree(directory)


def told(socket: str, *words: str) -> str:
    """What tmux answers, or complains."""
    done = subprocess.run(["tmux", "-S", socket, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


class TestLive:
    """What a real tmux says of its own words."""

    pytestmark = live

    def test_every_alias_of_tmux_is_known(self, socket: str) -> None:
        """Those of its commands, and those of the option that makes more."""
        listed = told(socket, "list-commands", "-F", "#{command_list_alias} #{command_list_name}").splitlines()
        pairs = {tuple(line.split()) for line in listed if not line.startswith(" ")}
        made = told(socket, "show-options", "-sv", "command-alias").splitlines()
        pairs |= {tuple(line.split()[0].split("=")) for line in made}

        assert {pair for pair in pairs if pair[1] in TRANSPORT_VERBS} == set(ALIASES.items())

    @pytest.mark.parametrize("word", ["list", "new", "new-w", "new-", "a", "s", "displ", "nonsense", "version", "lsw"])
    def test_a_word_means_what_tmux_takes_it_for(self, socket: str, word: str) -> None:
        """It complains about the arguments of what is meant, or about the word."""
        answer = told(socket, word, "-Q")

        assert meant(word) == UNKNOWN or answer.startswith(f"command {meant(word)}: unknown flag -Q"), answer
        assert answer.startswith(("unknown command", "ambiguous command")) is (meant(word) == UNKNOWN), answer

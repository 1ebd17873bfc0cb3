"""Where the private socket is, who may reach it, and which versions will do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from canned_tmux import canned, completed

from backends.errors import CommandRejected, TransportUnavailable
from backends.server_record import RECORD_NAME
from backends.tmux import TmuxMultiplexer, parse_version, private_directory, socket_directory


def socket_of(root: Path, runtime: Path) -> Path:
    """The directory for `root` in an environment with that runtime directory."""
    return socket_directory(root, {"XDG_RUNTIME_DIR": str(runtime)})


def test_each_root_has_its_own_short_directory(tmp_path: Path) -> None:
    """The same root by another spelling has the same one, another root another, and the path stays short."""
    (tmp_path / "a").mkdir()
    one = socket_of(tmp_path / "a", tmp_path)

    assert socket_of(tmp_path / "a" / ".." / "a", tmp_path) == one
    assert socket_of(tmp_path / "b", tmp_path) != one
    assert one.parent == tmp_path
    assert one.name.startswith(f"sm-{os.getuid()}-")
    assert len(one.name) < 40


def test_a_process_with_a_barer_environment_finds_the_same_server(tmp_path: Path) -> None:
    """Where a server is recorded, there it is looked for, whatever XDG_RUNTIME_DIR says."""
    one = socket_of(tmp_path / "a", tmp_path)
    elsewhere = Path("/tmp") / one.name
    elsewhere.mkdir()
    try:
        (elsewhere / RECORD_NAME).touch()
        assert socket_of(tmp_path / "a", tmp_path) == elsewhere
    finally:
        (elsewhere / RECORD_NAME).unlink()
        elsewhere.rmdir()


def test_without_a_runtime_directory_there_is_tmp(tmp_path: Path) -> None:
    """A runtime directory that does not exist is not used."""
    assert socket_of(tmp_path, tmp_path / "missing").parent == Path("/tmp")


def test_the_directory_is_made_private(tmp_path: Path) -> None:
    """Nobody else can enter it, and a second look accepts it."""
    private_directory(tmp_path / "new")
    private_directory(tmp_path / "new")

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("kind", "said"), [("open", "chmod 700"), ("link", "no directory"), ("file", "EEXIST")])
def test_a_directory_that_others_could_answer_in_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    """Group or world bits, a symbolic link and a plain file are no private directory."""
    place = tmp_path / "place"
    if kind == "open":
        place.mkdir(mode=0o755)
    elif kind == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "real")
    else:
        place.touch()

    with pytest.raises((CommandRejected, TransportUnavailable), match=said):
        private_directory(place)


def test_an_unsafe_directory_fails_the_question_and_says_why(tmp_path: Path) -> None:
    """Nothing is spawned, and the answer is never that something is absent."""
    tmp_path.chmod(0o755)
    mux = TmuxMultiplexer(tmp_path)

    with pytest.raises(CommandRejected, match="chmod 700"):
        mux.has_session("run-1")
    assert mux.list_sessions() == []


def test_a_socket_path_that_the_kernel_would_cut_is_refused() -> None:
    """A clear error at once, rather than `File name too long` at every question."""
    with pytest.raises(CommandRejected, match="shorter socket_dir"):
        TmuxMultiplexer(Path("/tmp") / ("x" * 96))


@pytest.mark.parametrize(
    ("line", "version", "available"),
    [
        ("tmux 3.0a", (3, 0, "a"), False),
        ("tmux 3.2", (3, 2, ""), False),
        ("tmux 3.2a", (3, 2, "a"), True),
        ("tmux 3.3a", (3, 3, "a"), True),
        ("tmux 3.10", (3, 10, ""), True),
        ("tmux next-3.8", (3, 8, ""), True),
        ("tmux openbsd-7.6", None, False),
        ("screen 4.9", None, False),
        ("", None, False),
    ],
)
def test_the_version_floor_is_kept(line: str, version: tuple[int, int, str] | None, available: bool) -> None:
    """3.2a is the oldest that has all that is used; what is no version of tmux is not available."""
    mux, _ = canned(lambda argv, stdin: completed(stdout=f"{line}\n".encode()))

    assert parse_version(line) == version
    assert mux.available() is available


def test_asking_for_the_version_makes_no_directory(tmp_path: Path) -> None:
    """To look whether a backend could be used leaves no trace."""
    assert TmuxMultiplexer(tmp_path / "s", binary="no-such-tmux").available() is False
    assert not (tmp_path / "s").exists()

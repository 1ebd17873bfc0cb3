"""The script of the matrix: a release is taken only as it was pinned, cells run apart, and nothing is left out unseen."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from test_workflows import MATRIX

from harness.conformance.psmux_probing import Findings, Seen, Verdict
from harness.conformance.results import Certificate, Host, Level, Outcome, Result, Subject

STUB = """#!/bin/sh
# Stands for an interpreter with seamripper in it: writes down what it was asked, and under which tmux.
shift 3
echo "$1 $(tmux -V 2>/dev/null) TMUX=${TMUX-unset} $*" >> "$LOG"
[ "$1" = report ] || [ "$(tmux -V)" != "tmux 3.4" ]
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an interpreter that only writes down, and two programs that say they are tmux."""
    for name, text in {
        "python": STUB,
        "tmux-3.4": "#!/bin/sh\necho tmux 3.4\n",
        "tmux-next": "#!/bin/sh\necho 'tmux next-3.8; ../x'\n",
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TMUX", "/tmp/somebody,1,0")
    return tmp_path


def test_an_archive_with_another_checksum_is_not_used() -> None:
    """Nothing of it is unpacked, and both checksums are said."""
    data = b"archive"
    right = hashlib.sha256(data).hexdigest()

    assert MATRIX.proven("tmux 3.4", data, right) == data
    with pytest.raises(MATRIX.Refused, match=f"tmux 3.4 has SHA-256 {right}, and 00 was expected"):
        MATRIX.proven("tmux 3.4", data, "00")


def test_each_tmux_is_certified_apart_and_all_are_merged(host: Path) -> None:
    """Each is the first on PATH in its cell, none sees the multiplexer around it, and a cell that failed is the exit code."""
    binaries = [str(host / "tmux-3.4"), str(host / "tmux-next"), str(host / "tmux-3.4")]
    code = MATRIX.main(["run", *binaries, "--out", str(host / "out"), "--python", str(host / "python")])
    first, second, merged = (host / "log").read_text("utf-8").splitlines()

    assert code == 1
    assert first.startswith(f"conform tmux 3.4 TMUX=unset conform --mux tmux --json {host}/out/tmux-3.4-")
    assert f"conform --mux tmux --json {host}/out/tmux-next-3.8-..-x-" in second
    assert merged.count(".json") == 2
    assert merged.endswith(f"-o {host}/out/matrix.html")
    assert MATRIX.main(["run", binaries[1], "--out", str(host), "--python", str(host / "python")]) == 0


@pytest.mark.parametrize("name", ["nothing", "", "log.txt"])
def test_what_is_no_program_is_one_line(host: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is run then."""
    (host / "log.txt").write_text("", "utf-8")
    code = MATRIX.main(["run", str(host / name), "--out", str(host / "out")])

    assert (code, capfd.readouterr().err) == (1, f"matrix: {host / name} is no program\n")


WHOLE = Certificate(
    "0.1.0",
    "0.1",
    Subject("psmux", "psmux 3.3.8"),
    Host("Windows", "11", "3.13.1"),
    {},
    Level.L2,
    (Result("SEAM-LIFE-001", "a title", Level.L2, Outcome.PASSED),),
)


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (WHOLE, ""),
        (dataclasses.replace(WHOLE, backend=Subject("tmux")), "it is about 'tmux', not about psmux"),
        (dataclasses.replace(WHOLE, backend=Subject("psmux", note="Double, not psmux")), "it is about a stand-in"),
        (dataclasses.replace(WHOLE, backend=Subject("psmux", "psmux 3.3.8 (double, not psmux)")), "about a stand-in"),
        (dataclasses.replace(WHOLE, results=()), "it has no check that needs the real program"),
        (
            dataclasses.replace(WHOLE, results=(dataclasses.replace(WHOLE.results[0], outcome=Outcome.NOT_RUN),)),
            "SEAM-LIFE-001 was not run",
        ),
    ],
)
def test_a_certificate_that_left_something_out_does_not_pass(
    certificate: Certificate, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither does one of something that stands for the real program."""
    path = tmp_path / "found.json"
    path.write_text(certificate.to_json(), "utf-8")
    code = MATRIX.main(["require", str(path), "--backend", "psmux"])

    assert code == (1 if says else 0)
    assert says in capfd.readouterr().err


LEVELS = {"SEAM-A-003": Level.L4}


def test_a_double_that_is_wrong_is_found_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each check that comes to something else is named, also one that only one of them has; left-out levels are not."""
    for name, outcomes in {
        "double": {"SEAM-A-001": Outcome.PASSED, "SEAM-A-002": Outcome.PASSED, "SEAM-A-003": Outcome.PASSED},
        "real": {"SEAM-A-001": Outcome.PASSED, "SEAM-A-002": Outcome.FAILED},
    }.items():
        results = tuple(
            Result(check, "a title", LEVELS.get(check, Level.L2), outcome) for check, outcome in outcomes.items()
        )
        (tmp_path / name).write_text(dataclasses.replace(WHOLE, results=results).to_json(), "utf-8")

    assert MATRIX.main(["agree", str(tmp_path / "double"), str(tmp_path / "double")]) == 0
    assert MATRIX.main(["agree", str(tmp_path / "double"), str(tmp_path / "real")]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "matrix: SEAM-A-002: 'failed' on the real one, 'passed' on the double",
        "matrix: SEAM-A-003: 'not checked' on the real one, 'passed' on the double",
    ]
    assert MATRIX.main(["agree", "--up-to", "3", str(tmp_path / "double"), str(tmp_path / "real")]) == 1
    assert "SEAM-A-003" not in capfd.readouterr().err


def test_divergences_are_compared_like_checks_and_only_in_one_profile(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was held against another version of psmux agrees by accident only."""
    seen = (Seen("shell", Verdict.AS_CATALOGUED), Seen("stall", Verdict.NOT_PROBED, "it hangs"))
    (tmp_path / "double").write_text(Findings("psmux 3.3.8", "3.3.8", seen).to_json(), "utf-8")
    other = (Seen("shell", Verdict.OTHERWISE, "once holds x"), seen[1])
    (tmp_path / "real").write_text(Findings("psmux 3.3.9", "master", other).to_json(), "utf-8")

    assert MATRIX.main(["agree", str(tmp_path / "double"), str(tmp_path / "double")]) == 0
    assert MATRIX.main(["agree", str(tmp_path / "double"), str(tmp_path / "real")]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "matrix: shell: 'otherwise' on the real one, 'as catalogued' on the double",
        "matrix: the profile: 'master' on the real one, '3.3.8' on the double",
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"backend": 3}', "{"])
def test_what_is_no_certificate_does_not_pass(text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line of each command."""
    (tmp_path / "found.json").write_text(text, "utf-8")

    assert MATRIX.main(["require", str(tmp_path / "found.json"), "--backend", "psmux"]) == 1
    assert MATRIX.main(["agree", str(tmp_path / "found.json"), str(tmp_path / "found.json")]) == 1
    assert capfd.readouterr().err.count("\n") == 2


def test_the_axes_are_outputs_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, as GitHub Actions reads them."""
    assert MATRIX.main(["plan"]) == 0
    names = [line.partition("=[")[0] for line in capsys.readouterr().out.splitlines()]

    assert names == ["tmux", "python", "psmux"]

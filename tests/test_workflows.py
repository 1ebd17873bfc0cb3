"""The workflows are safe, whole, and run only what is there."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from workflow_rules import RULES, Rule, Workflow, jobs, run_lines

from backends.psmux_catalogue import psmux_catalogue
from backends.psmux_double.psmux_program import USUAL
from backends.tmux import FLOOR, parse_version
from faults.catalog import LAYERS
from harness.cli import parser
from harness.conformance.psmux_probing import profile_of

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())


def script(name: str) -> ModuleType:
    """The script of that name in `.ci`, as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MATRIX: Any = script("matrix")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
READ: dict[str, Workflow] = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in WORKFLOWS}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_every_workflow_keeps_the_rules(rule: Rule) -> None:
    """And each rule refuses a workflow that does not."""
    found = {name: list(rule.against(workflow)) for name, workflow in READ.items()}

    assert list(rule.against(yaml.safe_load(rule.broken)))
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_an_action_has_one_pin_with_its_version_beside_it() -> None:
    """So that whoever updates it sees what it was, and updates it everywhere."""
    uses = [line for path in WORKFLOWS for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    pins = {re.fullmatch(r"[- ]*uses: ([\w-]+/[\w-]+)[\w/-]*@([0-9a-f]{40}) # v(\d+\.\d+\.\d+)", line) for line in uses}

    assert None not in pins
    named = {match.groups() for match in pins if match}
    assert len({name for name, *_ in named}) == len(named) >= 6


def test_what_the_workflows_run_is_there() -> None:
    """Every command line of ours is one that our parsers take."""
    ran = set()
    for words in (words for workflow in READ.values() for words in run_lines(workflow)):
        match words:
            case ["seamripper", *rest]:
                parser().parse_args(rest)
                ran.add(f"seamripper {rest[0]}")
            case ["make", target, *_]:
                assert f"\n{target}: " in MAKEFILE
                ran.add(f"make {target}")
            case [_, ".ci/matrix.py", *rest]:
                MATRIX._arguments([word if word != '"$VERSION"' else "3.4" for word in rest])
                ran.add(rest[0])
            case [name, *_] if name.startswith(".ci/"):
                assert (ROOT / name).stat().st_mode & 0o111
                ran.add(name)

    assert ran == {
        *(
            "seamripper conform",
            "seamripper divergences",
            "seamripper report",
            ".ci/run",
            "make sweep",
            "make live",
            "make transports",
            "make mutants",
        ),
        "make alike",
        *("plan", "build-tmux", "fetch-psmux", "run", "require", "agree"),
    }


def test_the_commands_of_the_documentation_are_there() -> None:
    """Each line of its blocks is one that our parsers take."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line.split() for block in blocks for line in block.splitlines()]

    assert {words[0] for words in lines} == {".ci/matrix.py", "seamripper"}
    for name, *rest in lines:
        (parser().parse_args if name == "seamripper" else MATRIX._arguments)(rest)


def test_each_cell_hands_its_certificate_to_the_page() -> None:
    """Every job that certifies uploads what the last one merges, also where it failed; and none is left out."""
    found = jobs(READ["matrix.yml"])
    cells = {name for name, job in found.items() if "certificate-" in str(job["steps"]) and name != "page"}

    assert cells - {"agreement"} == {"linux", "macos", "windows", "double"} == set(found["page"]["needs"])
    for name in found["page"]["needs"]:
        upload = found[name]["steps"][-1]
        assert upload["with"]["name"].startswith("certificate-")
        assert (upload["if"], upload["with"]["if-no-files-found"]) == ("${{ !cancelled() }}", "error")
        whole = any(".ci/matrix.py require" in step.get("run", "") for step in found[name]["steps"])
        assert whole is (name != "double")


def test_the_real_psmux_and_its_double_are_held_against_the_catalogue_and_each_other() -> None:
    """Both are probed and uploaded, also where something is otherwise, and one last job compares what was found."""
    found = jobs(READ["matrix.yml"])
    compared = "\n".join(step.get("run", "") for step in found["agreement"]["steps"])

    assert set(found["agreement"]["needs"]) == {"double", "windows"}
    for name, artifact in {"windows": "divergences-windows-psmux", "double": "divergences-linux-psmux-double"}.items():
        steps = found[name]["steps"]
        at = next(index for index, step in enumerate(steps) if "seamripper divergences" in step.get("run", ""))
        assert steps[at]["run"].endswith("seamripper divergences --json psmux-divergences.json\n")
        assert steps[at + 1]["with"]["name"] == artifact
        assert {steps[at]["if"], steps[at + 1]["if"]} == {"${{ !cancelled() }}"}
        assert f"found/{artifact}/psmux-divergences.json" in compared


def test_the_double_is_held_against_the_release_that_is_pinned() -> None:
    """By itself it has the habits of the psmux that the job on Windows fetches."""
    version = list(MATRIX.DATA["psmux"]["sha256"])[-1]
    said = f"tmux {version}\npsmux {version}"

    assert profile_of(said, psmux_catalogue()) == USUAL


def test_every_night_everything_is_tried_and_what_fails_is_uploaded() -> None:
    """Each layer that is swept, and both searches that are made by chance."""
    found = jobs(READ["nightly.yml"])

    assert sorted(found["sweep"]["strategy"]["matrix"]["layer"]) == sorted(set(LAYERS) - {"live"})
    for search in found["chance"]["strategy"]["matrix"]["search"]:
        assert (ROOT / "scenarios" / f"test_{search}.py").exists()
    for job in found.values():
        *_, script, upload = job["steps"]
        assert "out/" in script["run"]
        assert (upload["if"], upload["with"]["path"]) == ("${{ failure() }}", "out/")


def test_every_option_of_a_search_is_one_of_the_plugin() -> None:
    """A night that ends with wrong usage has tried nothing."""
    options = (ROOT / "harness" / "plugin" / "options.py").read_text("utf-8")
    used = set(re.findall(r"--mux-[a-z-]+", (ROOT / ".github/workflows/nightly.yml").read_text("utf-8")))

    assert used == {"--mux-sweep", "--mux-seed", "--mux-timeline"}
    assert [option for option in used if f'"{option}"' not in options] == []


def test_the_page_can_be_read_by_everybody() -> None:
    """What a command writes is its user's alone, and pages are served only if everybody may read them."""
    scripts = [step.get("run", "") for step in jobs(READ["matrix.yml"])["page"]["steps"]]
    written = next(index for index, script in enumerate(scripts) if "report merge" in script)

    assert scripts[written + 1] == "chmod -R a+rX site"


def test_windows_runs_one_check_after_the_other_on_data_of_its_own() -> None:
    """No matrix, a directory of its own, and every step has an end."""
    job = jobs(READ["matrix.yml"])["windows"]
    scripts = "\n".join(step.get("run", "") for step in job["steps"])

    assert "strategy" not in job
    assert "PSMUX_DATA_DIR=" in scripts
    assert "Remove-Item Env:TMUX, Env:TMUX_PANE, Env:PSMUX_SESSION" in scripts
    assert [step for step in job["steps"] if "run" in step and "timeout-minutes" not in step] == []


def test_the_matrix_runs_over_what_the_project_declares() -> None:
    """Every Python of the classifiers, every tmux from the floor on, each release with a checksum."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = [parse_version(f"tmux {version}") for version in MATRIX.DATA["tmux"]["sha256"]]
    pythons = MATRIX.DATA["python"]

    assert [f"Programming Language :: Python :: {version}" for version in pythons] == [
        line for line in project["classifiers"] if re.search(r":: 3\.\d", line)
    ]
    assert project["requires-python"] == f">={pythons[0]}"
    assert versions[0] == FLOOR
    assert None not in versions
    assert versions == sorted(version for version in versions if version)
    for name in ("tmux", "psmux"):
        assert all(re.fullmatch(r"[0-9a-f]{64}", found) for found in MATRIX.DATA[name]["sha256"].values())
        assert MATRIX.DATA[name]["url"].startswith(f"https://github.com/{name}/{name}/releases/download/")

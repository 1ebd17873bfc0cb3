"""The catalogue of divergences: whole as it is shipped, and refused in one line where it is broken."""

from __future__ import annotations

import pytest

from backends.psmux_catalogue import CatalogueError, parse_catalogue, psmux_catalogue
from backends.psmux_probes import Look, Probe, Run

ENTRY = """
profiles = ["3.3.8"]
[[divergence]]
id = "one"
subject = "s"
versions = "all"
profiles = ["3.3.8"]
source = "s"
tmux = "t"
psmux = "p"
backend = "b"
double = "d"
probe = "p"
"""


def test_the_catalogue_that_is_shipped_is_whole() -> None:
    """Every entry is readable, and every profile shows some."""
    catalogue = psmux_catalogue()

    assert len(catalogue.divergences) >= 25
    assert all(catalogue.shown_by(profile) for profile in catalogue.profiles)


def test_what_cannot_be_imitated_is_in_no_profile() -> None:
    """An entry that says `not imitated` and names a profile would make the double look better than it is."""
    entries = psmux_catalogue().divergences.values()
    wrong = [one.id for one in entries if not one.imitated and one.profiles]

    assert wrong == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("profiles = [", "no TOML"),
        ("", "profiles must be a list of words"),
        ('profiles = ["3.3.8"]\ndivergence = []', "at least one"),
        ('profiles = ["3.3.8"]\ndivergence = [1]', "entry 1 is no table"),
        (ENTRY.replace("subject", "subjekt"), "did you mean subject?"),
        (ENTRY.replace('subject = "s"\n', ""), "subject must be a text"),
        (ENTRY.replace('tmux = "t"', "tmux = 3"), "tmux must be a text"),
        (ENTRY.replace('psmux = "p"', 'psmux = " "'), "psmux must be a text"),
        (ENTRY.replace('id = "one"', 'id = "No good"'), "id must be words"),
        (ENTRY + "[[" + ENTRY.partition("[[")[2], "a second divergence one"),
        (ENTRY.replace('versions = "all"\nprofiles = ["3.3.8"]', 'versions = "all"\nprofiles = ["3.3"]'), "unknown"),
        (ENTRY.replace('profiles = ["3.3.8"]\n[[', 'profiles = ["3.3.8", "3.3.8"]\n[['), "twice"),
        (ENTRY.replace('versions = "all"\nprofiles = ["3.3.8"]', 'versions = "all"\nprofiles = "x"'), "list of words"),
        ("more = 1\n" + ENTRY, "unknown key 'more'"),
    ],
)
def test_a_broken_catalogue_is_refused_in_one_line(text: str, complaint: str) -> None:
    """The line names the entry and what is wrong with it."""
    with pytest.raises(CatalogueError) as refused:
        parse_catalogue(text)

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value).replace("\\n", "")


STEP = '{ run = ["-V"] }'


@pytest.mark.parametrize(
    ("probe", "complaint"),
    [
        ("{ given = [], shwon = [] }", "entry 1 (one): probe: has an unknown key 'shwon'"),
        ("{ given = [] }", "probe: `shown` must have steps: the profiles ask for it"),
        (f"{{ shown = [{STEP}], absent = [{STEP}] }}", "`absent` must not have steps"),
        ("{ shown = 3 }", "shown must be a list of steps"),
        ("{ shown = [3] }", "step 1 of shown must be a table with either `run` or `file`"),
        ('{ shown = [{ run = ["-V"], file = "x" }] }', "either `run` or `file`"),
        ('{ shown = [{ run = ["-V"], exit = 1 }] }', "unknown field `exit`"),
        ('{ shown = [{ run = ["-V"], status = "1" }] }', "Expected `int`, got `str`"),
        ('{ shown = [{ run = ["-V"], out = "(" }] }', "'(' is no pattern"),
        ('{ shown = [{ run = ["-t", "<pane>"] }] }', "shown: nothing is called <pane> there"),
        ('{ shown = [{ file = "x" }] }', "says neither what the file holds nor what it lacks"),
    ],
)
def test_a_broken_probe_is_refused_in_one_line(probe: str, complaint: str) -> None:
    """The line names the entry, the step and what is wrong with it."""
    with pytest.raises(CatalogueError) as refused:
        parse_catalogue(ENTRY.replace('probe = "p"', f"probe = {probe}"))

    assert complaint in str(refused.value)
    assert str(refused.value).startswith("entry 1 (one): probe: ")
    assert "\n" not in str(refused.value)


def test_a_probe_says_what_is_due_where_the_divergence_is_and_where_it_is_not() -> None:
    """What was kept in `given` is known in both, and the steps of the other are left out."""
    other = ENTRY.replace('profiles = ["3.3.8"]\n[[', 'profiles = ["3.3.8", "master"]\n[[')
    given = '{ run = ["-V"], keep = "said" }'
    text = f'{{ given = [{given}], shown = [{STEP}], absent = [{{ file = "<said>", lacks = "x" }}] }}'
    probe = parse_catalogue(other.replace('probe = "p"', f"probe = {text}")).divergences["one"].probe

    assert isinstance(probe, Probe)
    assert probe.steps(True) == (Run(("-V",), keep="said"), Run(("-V",)))
    assert probe.steps(False)[1:] == (Look("<said>", lacks="x"),)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    """A double of a version that nobody has described shows nothing in particular."""
    with pytest.raises(CatalogueError, match=r"known are 3\.3\.6, 3\.3\.8, master"):
        psmux_catalogue().shown_by("3.3.9")

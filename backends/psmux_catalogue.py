"""Where psmux is not tmux, as data: the one list behind the backend's tests, the double and the probes on Windows."""

from __future__ import annotations

import dataclasses
import difflib
import pkgutil
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from backends.psmux_probes import Probe, ProbeError, parse_probe

__all__ = ["NOT_IMITATED", "Catalogue", "CatalogueError", "Divergence", "parse_catalogue", "psmux_catalogue"]

NOT_IMITATED = "not imitated"
"""How `Divergence.double` begins where the double cannot show it."""


class CatalogueError(ValueError):
    """What was read is no catalogue; one line says which entry and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """One thing that psmux does and tmux does not, or the other way round.

    `versions` are the versions of psmux, in words; `profiles` are those of the double's profiles that show it, none where
    it cannot be imitated. `source` says who has seen it, `(?)` that it was seen in one place only. `tmux` and `psmux` say
    what each does, `backend` how `PsmuxMultiplexer` lives with it, and `double` how the double imitates it. `probe` shows it
    on a living psmux, or is the reason why nothing can.
    """

    id: str
    subject: str
    versions: str
    profiles: tuple[str, ...]
    source: str
    tmux: str
    psmux: str
    backend: str
    double: str
    probe: Probe | str

    @property
    def imitated(self) -> bool:
        """Whether the double shows it at all."""
        return not self.double.startswith(NOT_IMITATED)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every divergence by its id, and the profiles (versions of psmux) that the double can have."""

    profiles: tuple[str, ...]
    divergences: Mapping[str, Divergence]

    def shown_by(self, profile: str) -> frozenset[str]:
        """The ids of what the double shows in that profile."""
        if profile not in self.profiles:
            raise CatalogueError(f"unknown profile {profile!r:.40}: known are {', '.join(self.profiles)}")
        return frozenset(d.id for d in self.divergences.values() if profile in d.profiles and d.imitated)


def psmux_catalogue() -> Catalogue:
    """The catalogue that is shipped."""
    data = pkgutil.get_data("backends", "data/psmux-divergences.toml")
    return parse_catalogue((data or b"").decode("utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """The catalogue that `text` (TOML) is. Raises `CatalogueError` for anything else."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as broken:
        raise CatalogueError(f"no TOML: {broken}") from None
    _refuse_unknown("the catalogue", raw, ("profiles", "divergence"))
    profiles = _words("the catalogue", "profiles", raw.get("profiles"))
    entries = raw.get("divergence")
    if not profiles or not isinstance(entries, list) or not entries:
        raise CatalogueError("the catalogue needs `profiles` and at least one `[[divergence]]`")
    found: dict[str, Divergence] = {}
    for number, entry in enumerate(entries, 1):
        one = _divergence(number, entry, profiles)
        if one.id in found:
            raise CatalogueError(f"entry {number}: a second divergence {one.id}")
        found[one.id] = one
    return Catalogue(profiles, found)


_FIELDS = tuple(field.name for field in dataclasses.fields(Divergence))


def _divergence(number: int, entry: object, profiles: tuple[str, ...]) -> Divergence:
    if not isinstance(entry, dict):
        raise CatalogueError(f"entry {number} is no table")
    where = f"entry {number}" + (f" ({entry['id']!s:.40})" if "id" in entry else "")
    _refuse_unknown(where, entry, _FIELDS)
    shown = _words(where, "profiles", entry.get("profiles"))
    for profile in shown:
        if profile not in profiles:
            raise CatalogueError(f"{where}: unknown profile {profile!r:.40}: known are {', '.join(profiles)}")
    texts = {name: _text(where, name, entry.get(name)) for name in _FIELDS if name not in ("profiles", "probe")}
    if not re.fullmatch(r"[a-z][a-z0-9-]*", texts["id"]):
        raise CatalogueError(f"{where}: id must be words of a-z and 0-9 with - between them")
    probe = _probe(where, entry.get("probe"), shown=bool(shown), absent=len(shown) < len(profiles))
    return Divergence(profiles=shown, probe=probe, **texts)


def _probe(where: str, raw: object, *, shown: bool, absent: bool) -> Probe | str:
    """The probe, or why there is none; it says what is due in exactly those profiles that there are."""
    if not isinstance(raw, dict):
        return _text(where, "probe", raw)
    try:
        probe = parse_probe(raw)
    except ProbeError as wrong:
        raise CatalogueError(f"{where}: probe: {wrong}") from None
    for name, steps, due in (("shown", probe.shown, shown), ("absent", probe.absent, absent)):
        if bool(steps) != due:
            why = "the profiles ask for it" if due else "no profile is of that kind"
            raise CatalogueError(f"{where}: probe: `{name}` must {'' if due else 'not '}have steps: {why}")
    return probe


def _refuse_unknown(where: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise CatalogueError(f"{where} has an unknown key {key!r:.40}: {hint}")


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CatalogueError(f"{where}: {name} must be a text that says something")
    return value


def _words(where: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise CatalogueError(f"{where}: {name} must be a list of words")
    if len(set(value)) != len(value):
        raise CatalogueError(f"{where}: {name} names something twice")
    return tuple(value)

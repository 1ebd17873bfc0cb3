"""What is known to fail and may, for a time: a file of waivers, each with its reason and the day on which it ends."""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.conformance.results import Check, Level

__all__ = ["Waiver", "WaiverError", "waivers_of"]

_KEYS = ("check", "reason", "reference", "expires")


@dataclass(frozen=True)
class Waiver:
    """Says of one check that it fails, why, where that is reported, and until which day that is put up with."""

    check: str
    reason: str
    reference: str
    expires: datetime.date | None = None

    @property
    def told(self) -> str:
        """The waiver in a result."""
        return f"{self.reference} ({self.reason})"


class WaiverError(ValueError):
    """A file of waivers says something that cannot be; one line."""


def waivers_of(text: str, checks: Iterable[Check], today: datetime.date) -> Mapping[str, Waiver]:
    """The waivers of a TOML text `[[waiver]]` by the id of their check.

    Raises `WaiverError` for a check that there is not, one of L1, one that is waived twice, a key that there is not, a
    reason that is missing, and a day that is over.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise WaiverError(f"no TOML: {wrong}") from None
    _refuse_unknown(document, ("waiver",), "the file")
    known = {check.id: check for check in checks}
    found: dict[str, Waiver] = {}
    listed = document.get("waiver", [])
    if not isinstance(listed, list):
        raise WaiverError("write each waiver under [[waiver]], with double brackets")
    for entry in listed:
        waiver = _waiver(entry)
        _refuse_impossible(waiver, known, today)
        if waiver.check in found:
            raise WaiverError(f"{waiver.check} is waived twice: take one away")
        found[waiver.check] = waiver
    return found


def _waiver(entry: Any) -> Waiver:
    if not isinstance(entry, dict):
        raise WaiverError("a waiver is a table with check, reason and reference")
    _refuse_unknown(entry, _KEYS, f"the waiver of {entry.get('check', '?')!s:.40}")
    texts = {name: entry.get(name) for name in ("check", "reason", "reference")}
    for name, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise WaiverError(f"the waiver of {entry.get('check', '?')!s:.40} lacks `{name}`: say it in words")
    expires = entry.get("expires")
    if expires is not None and type(expires) is not datetime.date:
        raise WaiverError(f"the waiver of {texts['check']}: `expires` is a day, as in 2027-01-31")
    return Waiver(str(texts["check"]), str(texts["reason"]), str(texts["reference"]), expires)


def _refuse_impossible(waiver: Waiver, known: Mapping[str, Check], today: datetime.date) -> None:
    if waiver.check not in known:
        near = difflib.get_close_matches(waiver.check, known, 1)
        raise WaiverError(f"there is no check {waiver.check!a:.60}" + (f": did you mean {near[0]}?" if near else ""))
    if known[waiver.check].level is Level.L1:
        raise WaiverError(f"{waiver.check} is about honesty (L1), which cannot be waived: correct the backend")
    if waiver.expires is not None and waiver.expires < today:
        raise WaiverError(f"the waiver of {waiver.check} ended on {waiver.expires}: correct the backend, or renew it")


def _refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise WaiverError(f"{where} has an unknown key {key!a:.60}: {hint}")

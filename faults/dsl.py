"""The text form of a plan, read rule by rule.

::

    plan     = rule *( ";" rule )
    rule     = point [ "[" arg "=" glob *( "," arg "=" glob ) "]" ] "=" term *( "->" term )
    term     = [ count "*" | percent "%*" ] [ "lost:" ] action
    action   = keyword [ "(" value *( "," value ) ")" ]

Which keywords there are and what values they take stands in `faults.actions`. White space may stand between any two parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING
from json import JSONDecodeError, JSONDecoder

from faults.actions import ACTIONS, Action, Form, check_value, form_of, optional, parameters
from faults.errors import FaultPlanError, nearest_name
from faults.rule import ARGUMENT, BARE_GLOB, POINT, Fault, Places, Term
from faults.triggers import Always, Percent, Times, Trigger

__all__ = ["read_rules"]

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,20}|[()]")
"""What stands at a place, as far as it would be taken for one thing."""
_TRIGGER = re.compile(r"([0-9]{1,400}(?:\.[0-9]{1,400})?)[ \t\r\n]*(%?)[ \t\r\n]*\*")
_KEYWORD = re.compile(r"[A-Za-z_]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_STRINGS = JSONDecoder()


def read_rules(text: str) -> Iterator[tuple[Fault, Places]]:
    """The rules of a plan in order, each with where it stands; none for blank text.

    Raises `FaultPlanError` with the position of the first thing that does not fit the grammar.
    """
    reader = _Reader(text)
    if reader.at_end():
        return
    while True:
        yield reader.rule()
        if reader.at_end():
            return
        reader.expect(";", "';' or the end of the plan")


class _Reader:
    """A position in a text, and one method for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def expect(self, symbol: str, due: str | None = None) -> None:
        if not self._taken(symbol):
            raise self._unexpected(due or f"{symbol!r}")

    def rule(self) -> tuple[Fault, Places]:
        point_at = self._at
        point = self._match(POINT, "the name of a point")
        if point in ACTIONS and not (self._peek("=") or self._peek("[")):
            raise FaultPlanError(f"{point!r} is what happens; say first at which point, as in POINT={point}", point_at)
        where: dict[str, str] = {}
        where_at: dict[str, int] = {}
        if self._taken("["):
            self._filters(where, where_at)
        self.expect("=", "'=' and what happens there")
        terms = [self._term()]
        terms_at = [terms[0][0]]
        while self._taken("->"):
            at, term = self._term()
            if terms[-1][1].trigger.endless:
                raise FaultPlanError(f"{str(term)!r} can never be reached: the term before it has no count", at)
            terms.append((at, term))
            terms_at.append(at)
        fault = Fault(point, tuple(term for _, term in terms), where)
        return fault, Places(point_at, where_at, tuple(terms_at))

    def _filters(self, where: dict[str, str], where_at: dict[str, int]) -> None:
        while True:
            at = self._at
            name = self._match(ARGUMENT, "the name of an argument")
            if name in where:
                raise FaultPlanError(f"argument {name!r} is filtered twice", at)
            self.expect("=")
            where[name] = self._string() if self._peek('"') else self._match(BARE_GLOB, "a glob")
            where_at[name] = at
            if not self._taken(","):
                self.expect("]", "',' or ']'")
                return

    def _term(self) -> tuple[int, Term]:
        at = self._at
        trigger = self._trigger()
        lost = self._taken("lost:")
        action = self._action()
        try:
            return at, Term(action, trigger, lost)
        except FaultPlanError as wrong:
            raise FaultPlanError(wrong.message, at) from None

    def _trigger(self) -> Trigger:
        found = _TRIGGER.match(self._text, self._at)
        if found is None:
            return Always()
        at, self._at = self._at, found.end()
        self._skip()
        number, percent = found.groups()
        try:
            if percent:
                return Percent(float(number))
            return Times(int(number) if number.isdigit() else -1)
        except FaultPlanError as wrong:
            message = wrong.message if percent else f"a count must be a whole number from 1 on, not {number}"
            raise FaultPlanError(message, at) from None

    def _action(self) -> Action:
        at = self._at
        keyword = self._match(_KEYWORD, "an action")
        kind = ACTIONS.get(keyword)
        if kind is None:
            raise FaultPlanError(f"unknown action {keyword!r}", at, nearest=nearest_name(keyword, ACTIONS))
        values = self._values(kind) if self._taken("(") else {}
        missing = [one.name for one in parameters(kind) if one.default is MISSING and one.name not in values]
        if missing:
            raise FaultPlanError(f"{keyword} needs its {' and '.join(missing)} in brackets", at)
        return kind(**values)

    def _values(self, kind: type[Action]) -> dict[str, object]:
        values: dict[str, object] = {}
        due = parameters(kind)
        if not due:
            raise self._unexpected(f"nothing: {kind.keyword} takes no values")
        for position, one in enumerate(due):
            if position:
                if optional(one) and self._peek(")"):
                    break
                self.expect(",")
            at = self._at
            values[one.name] = self._value(form_of(one))
            try:
                check_value(kind.keyword, form_of(one), values[one.name])
            except FaultPlanError as wrong:
                raise FaultPlanError(wrong.message, at, nearest=wrong.nearest) from None
        self.expect(")")
        return values

    def _value(self, form: Form) -> object:
        if form is Form.TEXT:
            return self._string()
        if form.is_seconds:
            return float(self._match(_NUMBER, form.value))
        if form.is_number:
            return int(self._match(_WHOLE, form.value))
        return self._match(_NAME, form.value)

    def _string(self) -> str:
        if not self._peek('"'):
            raise self._unexpected("a JSON string")
        try:
            value, self._at = _STRINGS.raw_decode(self._text, self._at)
        except JSONDecodeError as wrong:
            raise FaultPlanError(f"not a JSON string: {wrong.msg}", wrong.pos) from None
        self._skip()
        return str(value)

    def _match(self, pattern: re.Pattern[str], due: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._unexpected(due)
        self._at = found.end()
        self._skip()
        return found.group()

    def _taken(self, symbol: str) -> bool:
        if not self._peek(symbol):
            return False
        self._at += len(symbol)
        self._skip()
        return True

    def _peek(self, symbol: str) -> bool:
        return self._text.startswith(symbol, self._at)

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _unexpected(self, due: str) -> FaultPlanError:
        following = _WORD.match(self._text, self._at)
        rest = following.group() if following else self._text[self._at : self._at + 20]
        return FaultPlanError(f"expected {due}, found {ascii(rest) if rest else 'the end'}", self._at)

"""Secrets stay out of the record, by value and by shape."""

import json

import msgspec
import pytest

from backends.errors import printable
from harness.record import CrashContext, build_crash_record, crash_text
from harness.record.plain import encode
from harness.record.redact import Redactor

CANARIES = [f"can{number:03d}ary/{number * 7919:x}=" for number in range(200)]


@pytest.mark.parametrize(
    "value",
    ["simple123456", "with \"quotes\" and 'more'", "back\\slash\\es", "tab\tand\x1bescape", "ünï-cödé",
     "lone\udc80surrogate", "line one is long\nline two is long"],
)  # fmt: skip
def test_a_value_is_removed_in_every_spelling(value: str) -> None:
    """As it is, as `repr` and JSON write it, and as the printable form writes it."""
    redactor = Redactor({"SECRET_THING": value})
    spellings = [value, repr(value), msgspec.json.encode(value.encode("utf-8", "backslashreplace").decode()).decode()]

    for spelling in [*spellings, printable(value), value.splitlines()[0]]:
        shown = redactor.text(f"before {spelling} after")
        assert "<env SECRET_THING>" in shown
        assert value[:8] not in shown


@pytest.mark.parametrize(
    "value", ["with \"quotes\" and 'more'", "back\\slash\\es", "tab\tand\x1bescape", 'ünï"cödé', "lone\udc80surrogate"]
)
def test_a_spelling_is_removed_whole(value: str) -> None:
    """Neither its first nor its last character is left."""
    redactor = Redactor({"X": value})
    encodable = value.encode("utf-8", "backslashreplace").decode()
    quoted = [repr(value), json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(encodable)]

    for spelling in [*(one[1:-1] for one in quoted), value, encodable, printable(value)]:
        assert redactor.text(f"({spelling})") == "(<env X>)", spelling


def test_a_long_value_is_removed_as_it_is_printed() -> None:
    """With all of its characters; what is no spelling of it stays."""
    value = "\x1b'\"" + "s" * 5000

    assert Redactor({"X": value}).text(printable(value, 9000), 9000) == "<env X>"
    assert Redactor({"X": value}).text("usually null") == "usually null"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("x" * 100, 100, "x" * 100),
        ("x" * 101, 100, "x" * 100 + "... (101 characters in all)"),
        ("s" * 50 + "y" * 100, 100, "<env X>" + "y" * 93 + "... (150 characters in all)"),
        ("s" * 500, 100, "... (500 characters in all)"),
    ],
)
def test_a_text_is_shown_up_to_its_limit(text: str, limit: int, shown: str) -> None:
    """And how long it was, if anything is missing; no part of a secret stands where it was cut."""
    assert Redactor({"X": "s" * 50}).text(text, limit) == shown


def test_a_text_has_four_thousand_characters_unless_told_otherwise() -> None:
    """What goes beyond is counted."""
    assert Redactor({}).text("x" * 5000) == "x" * 4000 + "... (5000 characters in all)"


def test_what_looks_like_a_secret_is_replaced_and_nothing_around_it() -> None:
    """The name that it is given to stays."""
    shown = Redactor({}).text("see sk-ant-api03-abcdefghijklmnop, DB_PASSWORD='hunter22'")

    assert shown == "see <secret>, DB_PASSWORD='<secret>'"


def test_values_on_the_allow_list_and_short_ones_stay() -> None:
    """A path or a locale is no secret, and five characters tear words apart."""
    redactor = Redactor({"HOME": "/home/someone", "LC_ALL": "C.UTF-8", "SHORT": "abcde", "EMPTY": "", "CI": "truetrue"})

    assert redactor.text("/home/someone C.UTF-8 abcde truetrue") == "/home/someone C.UTF-8 abcde truetrue"


@pytest.mark.parametrize(
    "secret",
    ["sk-ant-api03-abcdefghijklmnop", "ghp_abcdefghijklmnopqrst1234", "github_pat_11ABCDEFG0123456789", "AKIAIOSFODNN7EXAMPLE",
     "xoxb-1234567890-abcdef", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "glpat-abcdefghijklmnopqrst",
     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig-nature"],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "key is {}.", '"{}"', "Bearer {}", "MY_API_KEY={}", "https://user:{}@host/x"])
def test_secrets_of_a_known_shape_are_removed(secret: str, around: str) -> None:
    """A token is known by how it looks, wherever it stands."""
    shown = Redactor({}).text(around.format(secret))

    assert secret not in shown
    assert "<secret>" in shown


@pytest.mark.parametrize(
    "text",
    ["DB_PASSWORD=hunter22", "export AWS_SECRET_ACCESS_KEY=abcd/efgh",
     '{"api_key": "abcdef12"}', '{\\"password\\": \\"abcdef12\\"}',
     "Authorization: Basic abcdef12==", "authorization: Bearer abcdef12", "x-api-key: abcdef12", "password = 'abcdef12'",
     "-----BEGIN RSA PRIVATE KEY-----\nabcdef12\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nabcdef12"],
)  # fmt: skip
def test_assigned_secrets_and_private_keys_are_removed(text: str) -> None:
    """What is called a key, token or password is one."""
    shown = Redactor({}).text(text)

    assert not any(part in shown for part in ("hunter22", "abcd/efgh", "abcdef12"))


@pytest.mark.parametrize(
    "text",
    ["def task_key(key): return key", "the monkey=3", "basic authentication", "sk-", "tokens: 3", "unset MY_KEY="],
)
def test_ordinary_words_stay(text: str) -> None:
    """Code and prose that only mention keys are left alone."""
    assert Redactor({}).text(text) == text


def test_a_secret_is_called_by_its_variable_or_by_what_it_is() -> None:
    """A name is bounded, and a value that was given has none."""
    redactor = Redactor({"N" * 100: "value-of-a-variable", "M" * 80: "another-value"}, ["a given secret"])

    assert redactor.text("value-of-a-variable") == f"<env {'N' * 80}... (20 more characters)>"
    assert redactor.text("another-value, a given secret") == f"<env {'M' * 80}>, <secret>"


def test_only_values_of_six_characters_and_lines_of_twelve_are_looked_for() -> None:
    """Also where a shorter one comes first, and a line of a longer value is looked for without its indent."""
    redactor = Redactor({"A": "five5", "B": "sixsix", "C": "  eleven-long\n  twelve-chars\ntwelve-chars "})

    assert redactor.text("five5 sixsix") == "five5 <env B>"
    assert redactor.text("eleven-long twelve-chars") == "eleven-long <env C>"


def test_a_value_within_another_does_not_give_it_away() -> None:
    """The longest is removed first, whichever was named first."""
    for pair in (("inner-value", "outer inner-value end"), ("outer inner-value end", "inner-value")):
        redactor = Redactor(dict(zip("AB", pair, strict=True)))
        shown = redactor.text("outer inner-value end; inner-value")

        assert shown == ("<env B>; <env A>" if pair[0] == "inner-value" else "<env A>; <env B>")


def test_a_line_that_holds_part_of_a_value_is_left_alone() -> None:
    """Only the whole of it is a secret."""
    redactor = Redactor({"X": "the-value"})

    for line in (b'{"reason":"the-valu"}', b'{"reason":"he-value"}', b'{"reason":  "t"}'):
        assert redactor.line(line) is line
    assert redactor.line(b'{"reason":  "the-value"}') == b'{"reason":"<env X>"}'


@pytest.mark.parametrize("before", range(0, 60, 3))
def test_a_secret_across_the_limit_leaves_no_half(before: int) -> None:
    """Where text is cut, no part of a secret longer than a few characters is left at the end."""
    secret = "s3cr3t-value-of-thirty-letters"
    text = ("ab" * 3 + secret) * 3 + "." * before + secret + "y" * 500

    for limit in range(40, 200, 7):
        shown = Redactor({"X": secret}).text(text, limit)
        assert not any(secret[:size] in shown for size in range(6, len(secret)))


def test_a_long_secret_costs_no_ordinary_text() -> None:
    """However long the longest secret is, text up to the limit is shown."""
    shown = Redactor({"X": "s" * 5000}).text("word " * 2000, 100)

    assert shown == "word " * 20 + "... (10000 characters in all)"


@pytest.mark.parametrize(
    "text", ["KEY" * 7000, "eyJ-" * 5000, "://a:" * 5000, "A_" * 9000 + "KEY", "-----BEGIN PRIVATE KEY-----" * 900]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    """No pattern runs away on text made to make it."""
    assert len(Redactor({}).text(text, 20_000)) < 21_000


def test_secrets_among_plain_data_are_removed_by_name() -> None:
    """What a key says is a token, is one, whatever it looks like."""
    shown = Redactor({"X": "value-one"}).tree(
        {"token": "t1", "launch_token": "t2", "task": ["value-one"], "key": "1-1"}
    )

    assert shown == {"token": "<secret>", "launch_token": "<secret>", "task": ["<env X>"], "key": "1-1"}


def test_a_tree_is_bounded_text_by_text_and_in_all() -> None:
    """Four thousand characters of each unless told otherwise; after four hundred thousand nothing is shown any more."""
    redactor = Redactor({})

    assert redactor.tree({"k": "x" * 5000}) == {"k": "x" * 4000 + "... (5000 characters in all)"}
    assert redactor.tree(["x" * 50], 10) == ["x" * 10 + "... (50 characters in all)"]
    texts = ["x" * 4000] * 99 + ["x" * 3999, "y", "z", "z"]
    assert redactor.tree(texts) == [*texts[:-2], "...", "..."]


def test_a_secret_sounding_key_counts_wherever_it_stands() -> None:
    """Also in a list of a list; what is no text is told by its parts."""
    shown = Redactor({}).tree(
        {"list": [[{"api_key": "k", "tokens": "t", "password": {"x": "y"}}]], "credentials": ["c"]}
    )

    assert shown == {"list": [[{"api_key": "<secret>", "tokens": "t", "password": {"x": "y"}}]], "credentials": ["c"]}


def test_only_free_text_of_a_line_is_changed() -> None:
    """A name that must survive is left as it is, even if the environment has the same value."""
    redactor = Redactor({"PROJECT": "/sim/thing"})
    line = encode({"project": "/sim/thing", "reason": "in /sim/thing", "tasks": [{"feedback": "at /sim/thing"}]})

    assert msgspec.json.decode(redactor.line(line)) == {
        "project": "/sim/thing",
        "reason": "in <env PROJECT>",
        "tasks": [{"feedback": "at <env PROJECT>"}],
    }
    assert redactor.line(b'{"reason":"other"}') == b'{"reason":"other"}'


def test_two_hundred_canaries_are_in_no_crash_record() -> None:
    """Environment, prompts, messages, notes, calls, events and extras leave no canary behind."""
    redactor = Redactor({f"VALUE_{number}": canary for number, canary in enumerate(CANARIES[:150])}, CANARIES[150:])
    exc = ValueError(" ".join(CANARIES))
    exc.__cause__ = KeyError(CANARIES)
    exc.add_note("\n".join(CANARIES))
    context = CrashContext(seam_calls=CANARIES, faults=CANARIES, extra={CANARIES[0]: CANARIES}, server=CANARIES[1])

    record = build_crash_record(
        exc, context, journal=[{"event": "x", "text": one} for one in CANARIES], redactor=redactor
    )

    written = encode(record).decode() + crash_text(record) + repr(record)
    assert not [canary for canary in CANARIES if canary in written]

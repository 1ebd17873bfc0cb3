"""The launchers of the shim: programs of `/bin/sh` that stand for a multiplexer, and what they note of the calls they pass on.

A call that no rule can concern is noted in a list, a line each, and is the real program by `exec`. Where it cannot be noted (a
full disk, a limit of the length of files), it asks as any other, so that it is counted all the same.
"""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from faults.spellings import UNKNOWN, VALUE_FLAGS, meant, spellings

__all__ = ["COMPILED", "PASSED", "SOURCE", "launcher", "passed_in"]

PASSED = "passed"
"""The list of the calls that were passed on. That its user may execute it says that some could not be counted at all."""
COMPILED = "call.pyc"
"""What is run to ask: `faults.shim_call`."""
SOURCE = Path(__file__).with_name("shim_call.py")
"""The same for whoever has begun to ask when the shim is over and its directory goes."""
_BEGIN = f"""\
import marshal, sys
try:
    with open(sys.argv[1] + "/{COMPILED}", "rb") as file:
        code = marshal.loads(file.read()[16:])
except OSError:
    with open({str(SOURCE)!r}, "rb") as file:
        code = compile(file.read(), "shim_call", "exec")
exec(code, {{"__name__": "__main__"}})"""
_VERSION = "VERSION"
"""What a launcher notes for the flag `-V`; as a word, `version` is no verb."""
_END = "."
"""The last word of a whole line: a disk that has become full cuts lines short."""


def passed_in(noted: bytes) -> Counter[str]:
    """How often each point was reached by calls that were noted."""
    lines = (line.split() for line in noted.decode("ascii", "replace").split("\n"))
    words = (word for line in lines if line[-1:] == [_END] for word in line[:-1])
    return Counter(f"transport.{'version' if word == _VERSION else meant(word)}" for word in words)


def launcher(directory: Path, name: str, real: str, concerned: list[str] | None, interpreter: str) -> str:
    """The text of a program called `name` that stands for `real`.

    It asks where one of the verbs `concerned` may be meant (`None`: always), as `faults.spellings` reads them. Its variables
    are called so that none of them is in anybody's environment.
    """
    where, program = shlex.quote(str(directory)), shlex.quote(real)
    call = " ".join(map(shlex.quote, (interpreter, "-I", "-S", "-X", "utf8", "-c", _BEGIN)))
    # Whoever began before the shim's end and comes here after it is passed on.
    there = f"[ -f {shlex.quote(str(directory / COMPILED))} ]"
    ask = f'{there} && exec {call} {where} {program} "${{LC_CTYPE+x}}${{LC_CTYPE-}}" {name} "$@"'
    if concerned is None:
        return f'{_HEAD}{ask}\nexec {program} "$@"\n'
    words = sorted(word for verb in concerned for word in spellings(verb))
    asking = f"case $_shim_word in {'|'.join(words)}) _shim_asks=1 ;; esac" if words else ":"
    scan = _SCAN
    asks_version = "1" if "version" in concerned else ""
    for mark, text in (
        *(("FLAGS", VALUE_FLAGS), ("ASKING", asking)),
        *(("VERSION", _VERSION), ("ASKS_VERSION", asks_version), ("UNKNOWN", UNKNOWN)),
    ):
        scan = scan.replace(f"@{mark}@", text)
    note = _NOTE.replace("@LIST@", f"{where}/{PASSED}")
    return f'{_HEAD}{scan}{note}case $_shim_asks in 1) {ask} ;; esac\nexec {program} "$@"\n'


_HEAD = """\
#!/bin/sh
# Made by `seamripper shim`, and removed when its command has ended.
"""

_SCAN = """\
_shim_verbs= _shim_asks= _shim_at=flags
_shim_note() {
  @ASKING@
  case $_shim_word in ''|*[!a-z-]*) _shim_word=@UNKNOWN@ ;; esac
  _shim_verbs="$_shim_verbs $_shim_word"
}
for _shim_word do
  case $_shim_at in flags)
    case $_shim_word in
      --) _shim_at=command; continue ;;
      -?*)
        _shim_rest=${_shim_word#-}
        _shim_head=${_shim_rest%%[@FLAGS@]*}
        case $_shim_head in *V*) _shim_verbs=@VERSION@ _shim_asks=@ASKS_VERSION@; break ;; esac
        case $_shim_rest in "$_shim_head"?) _shim_at=value ;; esac
        continue ;;
    esac
    _shim_at=command ;;
  value) _shim_at=flags; continue ;;
  esac
  _shim_ends=
  case $_shim_word in
    *\\\\\\;) ;;
    *\\;) _shim_ends=1; _shim_word=${_shim_word%?} ;;
  esac
  case $_shim_at/$_shim_ends/$_shim_word in
    command/1/) ;;
    command/*) _shim_note; _shim_at=words ;;
  esac
  case $_shim_ends in 1) _shim_at=command ;; esac
done
case $_shim_verbs in '') _shim_word=new-session; _shim_note ;; esac
"""

# Each begins on a line of its own, whatever was cut short before it. Who may write no file of that length is told by a signal,
# which is ignored meanwhile; `trap -` leaves one ignored that was ignored before.
_NOTE = f"""\
case $_shim_asks in '')
  trap '' XFSZ
  printf '\\n%s {_END}\\n' "$_shim_verbs" 2>/dev/null >>@LIST@ || _shim_asks=1
  trap - XFSZ ;;
esac
"""

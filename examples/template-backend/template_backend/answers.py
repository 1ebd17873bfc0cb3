"""What the end of a client means."""

from backends.errors import TransportGarbled, TransportUnavailable
from backends.processes import Completed

SIGNATURE = ("display-message", "-p", "signed\t#{pid}")
"""The last command of every question: a server that gets as far as to sign has answered all that was asked before."""


def said(done: Completed) -> tuple[str, int]:
    """What was answered, and the pid of the server that signed it. Whatever is not signed is no answer, not even a no."""
    if done.status != 0 or done.stderr:
        complaint = done.stderr.decode("utf-8", "backslashreplace").strip()
        raise TransportUnavailable(f"the client ended with status {done.status}: {complaint:.200}")
    text, _, signature = done.stdout.decode().removesuffix("\n").rpartition("signed\t")
    if not signature.isdecimal() or text[-1:] not in ("", "\n"):
        raise TransportGarbled("an answer without its signature")
    return text, int(signature)

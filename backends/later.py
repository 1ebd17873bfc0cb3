"""What is loaded when it is first called, so that no command waits for what only another one needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["later"]


def later(reference: str) -> Callable[..., Any]:
    """The function or class that `reference`, a literal `module:name`, stands for; its module is loaded when it is called."""
    module, _, name = reference.partition(":")

    def called(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    return called

"""Lets all tests import what is broken on purpose."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "broken"))

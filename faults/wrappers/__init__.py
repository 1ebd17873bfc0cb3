"""The injection points: each module stands in one place of the system and asks the ledger what shall happen there."""

from __future__ import annotations

from faults.wrappers.clock import FaultyClock
from faults.wrappers.disk import FaultyDisk, file_kind
from faults.wrappers.leak import LET_OUT, leaking
from faults.wrappers.mux import MuxPoint
from faults.wrappers.transport import FaultyTransport

__all__ = ["LET_OUT", "FaultyClock", "FaultyDisk", "FaultyTransport", "MuxPoint", "file_kind", "leaking"]

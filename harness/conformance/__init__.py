"""The conformance kit: whether somebody's backend keeps the contract of the seam, check by check."""

from harness.conformance.results import Certificate, Level, Outcome
from harness.conformance.spec import BackendSpec, KnownBug, Unsupported
from harness.conformance.suite import MultiplexerConformance

__all__ = ["BackendSpec", "Certificate", "KnownBug", "Level", "MultiplexerConformance", "Outcome", "Unsupported"]

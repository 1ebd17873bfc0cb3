"""Chance as an argument: the one module that may draw tokens and ids."""

from __future__ import annotations

import random
import secrets
from abc import ABC, abstractmethod

__all__ = ["Entropy", "SeededEntropy", "SystemEntropy"]


class Entropy(ABC):
    """Draws unpredictable (or, seeded, reproducible) names."""

    @abstractmethod
    def token(self) -> str:
        """128 bits as 32 hexadecimal digits; the proof that an event belongs to a launch."""

    @abstractmethod
    def suffix(self) -> str:
        """24 bits as 6 hexadecimal digits; keeps names of runs and files apart."""


class SystemEntropy(Entropy):
    """The operating system's randomness."""

    def token(self) -> str:
        """See `Entropy.token`."""
        return secrets.token_hex(16)

    def suffix(self) -> str:
        """See `Entropy.suffix`."""
        return secrets.token_hex(3)


class SeededEntropy(Entropy):
    """The same names for the same seed, for simulated runs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self) -> str:
        """See `Entropy.token`."""
        return f"{self._random.getrandbits(128):032x}"

    def suffix(self) -> str:
        """See `Entropy.suffix`."""
        return f"{self._random.getrandbits(24):06x}"

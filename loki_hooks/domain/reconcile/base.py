"""What all steps have in common: the word for it, what it is about, and under which name its failure is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class StreamStep:
    """A step about one stream, in whose record its failure is kept."""

    word: ClassVar[str]
    stream: str

    @property
    def key(self) -> str:
        """Under which name its failure is kept."""
        return self.word

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        return self.stream

    def __str__(self) -> str:
        return f"{self.stream}: {self.word}"


@dataclass(frozen=True)
class MainStep(ABC):
    """A step about the integration branch, or about what is no stream yet. Its failure is kept in the record of ``main``."""

    word: ClassVar[str]
    stream: ClassVar[str] = ""

    @property
    @abstractmethod
    def target(self) -> str:
        """What tells it from other steps of its kind: a commit, a tree, a path."""

    @property
    def key(self) -> str:
        """Under which name its failure is kept."""
        return f"{self.word} {self.target}"

    @property
    def subject(self) -> str:
        """What it is about, for people; '' for the integration branch."""
        return ""

    def __str__(self) -> str:
        return f"{self.subject or 'the integration branch'}: {self.word}"

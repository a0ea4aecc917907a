"""Prompts of an exact number of tokens, no two of which begin alike."""

import random
from pydoc_data import topics


def sample_text(size=400_000):
    """English text that every Python has."""
    text = "\n".join(topics.topics[key] for key in sorted(topics.topics))
    return text.encode("ascii", "ignore").decode()[:size]


class Prompts:
    """Hands out windows of a tokenized text; each begins at another place, and differently.

    Windows are sent as token ids, so that every server gets exactly the tokens asked for.
    """

    def __init__(self, server, seed=1):
        self._ids = server.post("/tokenize", {"content": sample_text()})["tokens"]
        self._random = random.Random(seed)
        self._starts = set()

    def one(self, length):
        """A window of `length` tokens whose first four are unlike those of all others."""
        for _ in range(100_000):
            start = self._random.randrange(len(self._ids) - length)
            first = tuple(self._ids[start:start + 4])
            if first not in self._starts:
                self._starts.add(first)
                return self._ids[start:start + length]
        raise RuntimeError(f"{len(self._starts)} prompts are used up; give a longer text")

    def several(self, count, length):
        return [self.one(length) for _ in range(count)]

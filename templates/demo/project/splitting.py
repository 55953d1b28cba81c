"""Find the words in a text."""

import re

_WORD = re.compile(r"\w+(?:'\w+)?")


def split_words(text):
    """Return the words of the text in their order, without punctuation."""
    return _WORD.findall(text)

"""Count the words of a text."""

from collections import Counter

from splitting import split_words


def count_words(text):
    """Return how often each word is in the text."""
    return Counter(split_words(text))


def top_words(text, most):
    """Return the most frequent words, the most frequent one first."""
    return [word for word, _ in count_words(text).most_common(most)]

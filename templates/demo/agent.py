"""The demo's agent: a script that does in its worktree what a coding agent would do there.

Started by loki-hooks in the worktree of a stream as `python agent.py NAME`. It edits files, commits, tells what it
does, and ends with 0. It knows three tasks; the third one it gets wrong, as sure of itself as with the others.
"""

import subprocess
import sys
from pathlib import Path

SHARE = '''"""Say which part of a text a word is."""

from tally import count_words


def share(text, word):
    """Return which part of the text's words is this word, from 0 to 1."""
    counts = count_words(text)
    return counts[word] / max(1, sum(counts.values()))
'''

TEST_SHARE = """import unittest

from share import share


class ShareTest(unittest.TestCase):
    def test_a_word_that_is_half_of_the_text(self):
        self.assertEqual(share("yes no yes no", "yes"), 0.5)

    def test_an_empty_text_has_no_part(self):
        self.assertEqual(share("", "yes"), 0)


if __name__ == "__main__":
    unittest.main()
"""

COUNT = '''def count_words(text):
    """Return how often each word is in the text."""
    return Counter(split_words(text))
'''

COUNT_WITH_CASE = '''def count_words(text, ignore_case=False):
    """Return how often each word is in the text, in lower case if case is to be ignored."""
    return Counter(split_words(text.lower() if ignore_case else text))
'''

TEST_EMPTY = """    def test_an_empty_text_has_no_words(self):
"""

TEST_CASE = """    def test_case_can_be_ignored(self):
        self.assertEqual(count_words("To be, to be", ignore_case=True), {"to": 2, "be": 2})

"""

# Name of the stream: the commit's message, and the edits. An edit is a file, what is there ("": a new file), what
# shall be there.
TASKS = {
    "share": (
        "Add share(), which part of a text a word is",
        [("share.py", "", SHARE), ("tests/test_share.py", "", TEST_SHARE)],
    ),
    "case": (
        "Let count_words() ignore case",
        [("tally.py", COUNT, COUNT_WITH_CASE), ("tests/test_tally.py", TEST_EMPTY, TEST_CASE + TEST_EMPTY)],
    ),
    "speed": (
        "Split words faster, without a regular expression",
        [("splitting.py", "_WORD.findall(text)", "text.split()")],
    ),
}


def main():
    message, edits = TASKS[sys.argv[1]]
    for name, old, new in edits:
        path = Path(name)
        text = path.read_text(encoding="utf-8") if old else ""
        if old not in text:
            sys.exit(f"{name} is not what I expected")
        path.write_text(text.replace(old, new, 1) if old else new, encoding="utf-8")
        print("wrote", name, flush=True)
        subprocess.run(["git", "add", "--", name], check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", message], check=True)
    print("committed:", message, flush=True)


if __name__ == "__main__":
    main()

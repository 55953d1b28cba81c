import unittest

from tally import count_words, top_words


class TallyTest(unittest.TestCase):
    def test_each_word_is_counted(self):
        self.assertEqual(count_words("to be or not to be"), {"to": 2, "be": 2, "or": 1, "not": 1})

    def test_an_empty_text_has_no_words(self):
        self.assertEqual(count_words(""), {})

    def test_the_most_frequent_word_comes_first(self):
        self.assertEqual(top_words("yes no yes", 1), ["yes"])


if __name__ == "__main__":
    unittest.main()

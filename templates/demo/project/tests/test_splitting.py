import unittest

from splitting import split_words


class SplittingTest(unittest.TestCase):
    def test_blanks_separate_words(self):
        self.assertEqual(split_words("to be  or\nnot"), ["to", "be", "or", "not"])

    def test_punctuation_is_no_word(self):
        self.assertEqual(split_words("To be, or not?"), ["To", "be", "or", "not"])

    def test_an_apostrophe_is_part_of_a_word(self):
        self.assertEqual(split_words("That's it"), ["That's", "it"])


if __name__ == "__main__":
    unittest.main()

"""WordPiece, as in BERT."""

import functools
import math
import unicodedata
from collections import Counter

from dlcourse.text.merges import learn
from dlcourse.text.tokenizer import Tokenizer, check_size, check_texts, number

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST = 100  # longer words are [UNK]: matching takes time quadratic in the length


def gain(n, n_a, n_b, total):
    """What merging n neighbours a b adds to the log-likelihood of single tokens, a and b unlike (eq-merge-gain)."""
    parts = xlogx(n_a - n) - xlogx(n_a) + xlogx(n_b - n) - xlogx(n_b)
    return xlogx(n) + parts - xlogx(total - n) + xlogx(total)


def xlogx(x):
    return x * math.log(x) if x else 0.0


SCORES = {
    "likelihood": lambda n, n_a, n_b, total: n * (math.log(n * total / (n_a * n_b)) - 1),
    "exact": gain,
    "count": None,
    "ratio": lambda n, n_a, n_b, total: n / (n_a * n_b),
}
CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPieceTokenizer(Tokenizer):
    """Words cut into known pieces, from the left, the longest first; pieces inside a word begin with ##
    (Schuster & Nakajima 2012; as used by Devlin et al. 2019).

    Words are what `basic` gives. A word that can't be cut is [UNK], so encoding is not exact: upper case, accents, spaces and
    unknown characters are lost. `lower=False` keeps case and accents."""

    kind = "wordpiece"

    def __init__(self, vocab, special=SPECIAL, lower=True):
        super().__init__(vocab, special)
        if "[UNK]" not in self.vocab:
            raise ValueError("the vocabulary has no [UNK]: list it among the special tokens")
        self.lower = lower
        self._pieces = functools.lru_cache(2**16)(self._match)

    @classmethod
    def train(
        cls, texts, vocab_size, special=SPECIAL, lower=True, score="likelihood", min_frequency=2
    ):
        """Merge pieces of words until there are `vocab_size` tokens: special ones first, then characters, then the merges.

        score="likelihood": the pair that gains most, n_ab (log(n_ab N / (n_a n_b)) - 1) (eq-wordpiece-score); "exact": the same
        gain not to first order but as it is (eq-merge-gain); "count": the most frequent one, as BPE and as the library
        `tokenizers` trains its WordPiece; "ratio": the largest n_ab / (n_a n_b), often
        given as the score of WordPiece, which makes much longer sequences. Ties and `min_frequency` as in BPETokenizer.train."""
        if score not in SCORES:
            raise ValueError(f"unknown score {score!r}: choose one of {', '.join(SCORES)}")
        counts = Counter(word for text in check_texts(texts) for word in basic(text, lower))
        spelled = {tuple(_spell(word)): n for word, n in counts.items()}
        tokens = sorted({c for word in counts for c in word})
        tokens += sorted({piece for word in spelled for piece in word[1:]})
        check_size(
            vocab_size,
            len(special) + len(tokens),
            "the special tokens and the characters of the texts",
        )
        index = {token: i for i, token in enumerate(tokens)}
        words = {tuple(index[piece] for piece in word): n for word, n in spelled.items()}
        learn(words, tokens, vocab_size - len(special), _join, SCORES[score], min_frequency)
        return cls(number(tokens, special), special, lower)

    def _encode(self, text):
        return [i for word in basic(text, self.lower) for i in self._pieces(word)]

    def _match(self, word):
        """Greedy, the longest piece first; [UNK] where nothing fits."""
        unknown, ids, start = [self.vocab["[UNK]"]], [], 0
        if len(word) > LONGEST:
            return unknown
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.vocab), None)
            if end is None:
                return unknown
            ids.append(self.vocab[prefix + word[start:end]])
            start = end
        return ids

    def _decode(self, ids):
        return " ".join(self.tokens[i] for i in ids).replace(" ##", "")

    def _options(self):
        return {"lower": self.lower}


def _spell(word):
    return [word[0], *("##" + c for c in word[1:])]


def _join(a, b):
    return a + b.removeprefix("##")


def basic(text, lower=True):
    """BERT's first cut: words between spaces; punctuation and Chinese characters are words of their own.

    Control characters go; with `lower` capitals and accents do, too."""
    text = "".join(c for c in text if not _is_control(c))
    text = "".join(f" {c} " if _is_chinese(c) else c for c in text)
    if lower:
        text = "".join(
            c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn"
        )
        text = "".join(c.lower() for c in text)  # letter by letter: no final sigma
    return "".join(f" {c} " if _is_punctuation(c) else c for c in text).split()


def _is_control(c):
    return c == "\ufffd" or (unicodedata.category(c)[0] == "C" and c not in "\t\n\r")


def _is_chinese(c):
    return any(first <= ord(c) <= last for first, last in CHINESE)


def _is_punctuation(c):
    """Unicode's, and what ASCII counts as such: $+<=>^`|~."""
    return unicodedata.category(c)[0] == "P" or c in "$+<=>^`|~"

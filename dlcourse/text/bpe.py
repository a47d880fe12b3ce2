"""Byte-level byte-pair encoding, as in GPT-2."""

import functools
import re
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

from dlcourse.text.merges import learn, merge
from dlcourse.text.tokenizer import Tokenizer, check_size, check_texts, number


def _spellings():
    """A printable character for each byte, GPT-2's: itself where it is visible, else U+0100 and on. A space becomes Ġ."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {b: chr(0x100 + i) for i, b in enumerate(hidden)}


SPELLING = _spellings()  # in GPT-2's order of numbers
BYTE = {character: byte for byte, character in SPELLING.items()}


class BPETokenizer(Tokenizer):
    """Byte-pair encoding over the bytes of UTF-8 (Sennrich, Haddow and Birch 2016; on bytes, Radford et al. 2019).

    The 256 bytes are tokens, so nothing is unknown and decode(encode(text)) == text for any text. With no merges, vocab_size=256,
    a token is a byte. `merges` is a list of pairs of spellings, the first learned first; spaces are spelled Ġ, and other bytes
    without a visible character likewise. Raises ValueError for a merge of unknown tokens."""

    kind = "bpe"

    def __init__(self, vocab, merges, special=()):
        super().__init__(vocab, special)
        if missing := [s for s in SPELLING.values() if s not in self.vocab]:
            raise ValueError(
                f"the byte {BYTE[missing[0]]} has no token: a byte-level vocabulary begins with all 256"
            )
        self.merges = [tuple(pair) for pair in merges]
        self._rank, self._new = {}, {}
        for rank, pair in enumerate(self.merges):
            if len(pair) != 2:
                raise ValueError(f"merge {rank} is {[*pair]}: a merge is a pair of spellings")
            a, b = pair
            if unknown := [t for t in (a, b, a + b) if t not in self.vocab]:
                raise ValueError(
                    f"merge {rank} joins {a!r} and {b!r}, but {unknown[0]!r} is no token: take merges and vocabulary of one training"
                )
            ids = self.vocab[a], self.vocab[b]
            self._rank.setdefault(ids, len(self._rank))  # a merge that comes again counts once
            self._new[ids] = self.vocab[a + b]
        self._bytes = [t.encode() if t in self.special else _bytes_of(t) for t in self.tokens]
        self._single = [self.vocab[SPELLING[byte]] for byte in range(256)]
        self._word = functools.lru_cache(2**16)(self.encode_word)  # most words come again

    @classmethod
    def train(cls, texts, vocab_size, special=(), min_frequency=2):
        """Merge the most frequent pair until there are `vocab_size` tokens: special ones first, then the bytes, then the merges.

        Of equally frequent pairs the one with the smaller numbers is first. Pairs that occur less than `min_frequency` times stay apart."""
        check_size(vocab_size, 256 + len(special), "the special tokens and the 256 bytes")
        counts = Counter(word for text in check_texts(texts) for word in split(text))
        tokens = list(SPELLING.values())
        index = {byte: i for i, byte in enumerate(SPELLING)}
        words = {tuple(index[b] for b in word.encode()): n for word, n in counts.items()}
        pairs = learn(words, tokens, vocab_size - len(special), str.__add__, least=min_frequency)
        merges = [(tokens[a], tokens[b]) for a, b in pairs]
        return cls(number(tokens, special), merges, special)

    def _encode(self, text):
        return [i for word in split(text) for i in self._word(word)]

    def encode_word(self, word):
        """The tokens of one word: of all pairs in it the one learned first is merged, until none is left."""
        ids = [self._single[byte] for byte in word.encode()]
        while len(ids) > 1:
            first = min(pairwise(ids), key=lambda pair: self._rank.get(pair, len(self._rank)))
            if first not in self._rank:
                break
            ids = merge(ids, first, self._new[first])
        return ids

    def _decode(self, ids):
        """Bytes that are no whole character (a sampled or cut sequence) become U+FFFD."""
        return b"".join(self._bytes[i] for i in ids).decode("utf-8", errors="replace")

    def _options(self):
        return {"merges": self.merges}


def _bytes_of(token):
    if wrong := [c for c in token if c not in BYTE]:
        raise ValueError(
            f"the spelling {token!r} is no bytes ({wrong[0]!r}): spell tokens byte by byte as GPT-2 does, or list it as special"
        )
    return bytes(BYTE[c] for c in token)


def split(text):
    """GPT-2's first cut: contractions, words, numbers, punctuation, each with one space before it, and what else is space.

    Merges do not cross these cuts. "".join(split(text)) == text."""
    return _pattern().findall(text)


@functools.cache
def _pattern():
    """'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

    Python's re has no \\p: [^\\W\\d_] are the letters with the numbers that are no digits (Nl, No), which are taken out of it."""
    others = _ranges("Nl", "No")
    letter, digit = rf"(?:(?![{others}])[^\W\d_])", rf"[\d{others}]"
    # Python's \s holds U+001C to 1F, too
    space = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    rest = rf"(?:(?![{others}])(?:[^\w{space}]|_))"
    return re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d| ?{letter}+| ?{digit}+| ?{rest}+|[{space}]+(?![^{space}])|[{space}]+"
    )


def _ranges(*categories):
    """The characters of these Unicode categories, as a set in a regular expression."""
    codes = [c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) in categories]
    known = set(codes)
    starts = [c for c in codes if c - 1 not in known]
    ends = [c for c in codes if c + 1 not in known]
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in zip(starts, ends, strict=True))

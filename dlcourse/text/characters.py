"""One token a character."""

from collections import Counter

from dlcourse.text.tokenizer import Tokenizer, check_size, check_texts, number


class CharTokenizer(Tokenizer):
    """Every character is a token, numbered by code point. A character that training never met is refused, or becomes `unknown`."""

    kind = "characters"

    def __init__(self, vocab, special=(), unknown=None):
        super().__init__(vocab, special)
        self.unknown = unknown
        if unknown is not None and unknown not in self.special:
            raise ValueError(f"unknown={unknown!r} is no special token: name it in special, too")
        if long := [t for t in self.tokens if len(t) != 1 and t not in self.special]:
            raise ValueError(f"the token {long[0]!r} is not one character: list it as special")

    @classmethod
    def train(cls, texts, vocab_size=None, special=(), unknown=None):
        """The characters of the texts. With `vocab_size` the most frequent ones are kept, and `unknown` stands for the rest."""
        if unknown is not None and unknown not in special:
            special = (*special, unknown)
        counts = Counter()
        for text in check_texts(texts):
            counts.update(text)
        kept = sorted(counts)
        if vocab_size is not None:
            needed = len(special) + (len(counts) if unknown is None else 0)
            check_size(vocab_size, needed, "the special tokens and the characters of the texts")
            by_frequency = sorted(counts, key=lambda c: (-counts[c], c))
            kept = sorted(by_frequency[: vocab_size - len(special)])
        return cls(number(kept, special), special, unknown)

    def _encode(self, text):
        if self.unknown is not None:
            rest = self.vocab[self.unknown]
            return [self.vocab.get(c, rest) for c in text]
        try:
            return [self.vocab[c] for c in text]
        except KeyError as error:
            raise ValueError(
                f"the character {error} was not in the texts of the training: train with it, or with unknown='<unk>'"
            ) from None

    def _decode(self, ids):
        return "".join(self.tokens[i] for i in ids)

    def _options(self):
        return {"unknown": self.unknown}

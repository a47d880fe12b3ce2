"""What all tokenisers share: the numbers of the tokens, special tokens, files, and what they refuse."""

import json
import re
from pathlib import Path

FORMAT = 1


class Tokenizer:
    """Text into tokens, whole numbers 0 ... V-1, and back.

    `vocab` leads from the spelling of a token to its number, `tokens[i]` is the spelling of token i, `len` is V.
    Special tokens stand for no text (end of text, padding, mask). Raises ValueError for a vocabulary with holes."""

    kind = None  # the name in files

    def __init__(self, vocab, special=()):
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError(
                f"the numbers of the {len(vocab)} tokens are not 0 to {len(vocab) - 1}, each once: number them without holes"
            )
        if missing := [token for token in special if token not in vocab]:
            raise ValueError(
                f"the special token {missing[0]!r} is not in the vocabulary: give it a number there"
            )
        self.tokens = tuple(sorted(vocab, key=vocab.get))
        self.vocab = {token: i for i, token in enumerate(self.tokens)}
        self.special = tuple(special)

    def __len__(self):
        return len(self.tokens)

    def __repr__(self):
        return f"{type(self).__name__}({len(self):,} tokens)"

    def encode(self, text, special=False):
        """The tokens of a text, a list of whole numbers.

        `special=True` reads special tokens that are spelled out in the text as such. By default they are ordinary text: what
        users write must not end a text or mask a word. Raises ValueError for what is not text, and for lone surrogates."""
        check_text(text)
        if not (special and self.special):
            return self._encode(text)
        # the longest that fits: a name stands before those with which it begins
        names = sorted(self.special, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
        ids = []
        for i, part in enumerate(parts):  # text and special tokens alternate
            ids += [self.vocab[part]] if i % 2 else self._encode(part)
        return ids

    def decode(self, ids):
        """The text of tokens. Raises ValueError for a number that is no token."""
        ids = [int(i) for i in ids]
        if wrong := [i for i in ids if not 0 <= i < len(self)]:
            raise ValueError(
                f"token {wrong[0]}, but this tokeniser has 0 to {len(self) - 1}: decode with the tokeniser that encoded"
            )
        return self._decode(ids)

    def pieces(self, text):
        """The spelling of each token of a text."""
        return [self.tokens[i] for i in self.encode(text)]

    def save(self, path):
        """Write the tokeniser as JSON."""
        data = {"format": FORMAT, "kind": self.kind, "special": self.special, **self._options()}
        data["vocab"] = self.vocab
        Path(path).write_bytes(json.dumps(data, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. Raises ValueError for a file of another version or kind, and for one that is not whole."""
        data = read(path)
        if data["kind"] != cls.kind:
            raise ValueError(
                f"{path} holds a tokeniser of the kind {data['kind']!r}, not {cls.kind!r}: dlcourse.text.load reads every kind"
            )
        try:
            return cls(
                **{name: value for name, value in data.items() if name not in ("format", "kind")}
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not whole ({error}): save the tokeniser again") from error

    def _options(self):
        """What a kind has besides vocabulary and special tokens."""
        return {}


def read(path):
    """The JSON object of a tokeniser file of this version."""
    try:
        data = json.loads(Path(path).read_bytes().decode())
    except ValueError as error:  # JSON and UTF-8
        raise ValueError(f"{path} is no tokeniser file ({error}): write one with save()") from error
    if not isinstance(data, dict) or not {"format", "kind", "vocab"} <= set(data):
        raise ValueError(
            f"{path} is no tokeniser file: it lacks format, kind or vocab; write one with save()"
        )
    if data["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {data['format']!r}, and this version of dlcourse reads {FORMAT}: train and save the tokeniser again"
        )
    return data


def number(tokens, special):
    """{spelling: number} of special tokens, then all others, in this order."""
    if wrong := [name for name in special if not isinstance(name, str) or not name]:
        raise ValueError(f"a special token is a name such as '<end>', not {wrong[0]!r}")
    vocab = {token: i for i, token in enumerate([*special, *tokens])}
    if len(vocab) < len(special) + len(tokens):
        twice = next(
            name for i, name in enumerate(special) if name in tokens or name in special[:i]
        )
        raise ValueError(
            f"the special token {twice!r} is there twice: give it a name that no other token has"
        )
    return vocab


def check_text(text):
    """Raises ValueError for what is not a text of Unicode characters."""
    if not isinstance(text, str):
        raise ValueError(
            f"a text is a str, not {type(text).__name__}: decode bytes with .decode('utf-8') first"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise ValueError(
            f"character {error.start} is half a surrogate pair (U+{code:04X}), which is no text: read the file with the right encoding"
        ) from None


def check_texts(texts):
    """A list of texts, from anything that gives several."""
    if isinstance(texts, str):
        raise ValueError(
            "texts is one str, which would be read letter by letter: pass a list, [text]"
        )
    texts = list(texts)
    for text in texts:
        check_text(text)
    return texts


def check_size(size, least, what):
    if isinstance(size, bool) or not isinstance(size, int) or size < least:
        raise ValueError(
            f"vocab_size={size!r}, but {what} are {least} already: ask for at least {least}"
        )

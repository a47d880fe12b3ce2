"""Sentences with a label each (intent, polarity), with a tag for each word (entities, parts of speech), or with both."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data import files
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.files import FileSet

PAD, IGNORED = 0, -100


class Sentence(NamedTuple):
    """Words, the label of the whole or None, and a tag for each word or None."""

    words: tuple[str, ...]
    label: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Sentences:
    """Three parts of sentences; `labels` and `tags` are all that occur, sorted, and their places are the class numbers."""

    name: str
    train: tuple[Sentence, ...]
    validation: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    source: str
    licence: str

    def texts(self):
        """The sentences of the training part, to train a tokeniser on."""
        return [" ".join(sentence.words) for sentence in self.train]

    def classify(self, tokenizer, start, stop, length=None):
        """The Dataset of x (N, T) tokens, "start words stop 0 0 ...", and y (N,) class numbers, places in `labels`."""
        self._check(self.labels, "labels")
        return self._dataset(tokenizer, start, stop, length, self.labels, tagged=False)

    def tag(self, tokenizer, start, stop, length=None):
        """The Dataset of x (N, T) as in `classify` and y (N, T), places in `tags`: a word's tag stands at its first token.

        All other positions have -100 and do not count, so that a word counts once, however many tokens it takes."""
        self._check(self.tags, "tags")
        return self._dataset(tokenizer, start, stop, length, self.tags, tagged=True)

    def __repr__(self):
        sizes = " / ".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"Sentences({self.name}: {sizes} sentences, {len(self.labels)} labels, {len(self.tags)} tags)"

    def _check(self, classes, what):
        if not classes:
            raise ValueError(
                f"{self.name} has no {what}: take a data set that has, or the other of classify and tag"
            )

    def _dataset(self, tokenizer, start, stop, length, classes, tagged):
        number = {name: i for i, name in enumerate(classes)}
        pieces = [
            [(word_pieces(sentence.words, tokenizer), sentence) for sentence in part]
            for part in (self.train, self.validation, self.test)
        ]
        longest = max(sum(map(len, words)) + 2 for part in pieces for words, _ in part)
        length = _fitting(longest, length, "sentence")
        parts = []
        for part in pieces:
            x = np.full((len(part), length), PAD, np.int64)
            y = np.full(x.shape if tagged else len(part), IGNORED, np.int64)
            for i, (words, sentence) in enumerate(part):
                tokens = [start, *(token for word in words for token in word), stop]
                x[i, : len(tokens)] = tokens
                y[i] = (
                    first_pieces(words, [number[tag] for tag in sentence.tags], length)
                    if tagged
                    else number[sentence.label]
                )
            parts.append(Split(x, y))
        return Dataset(self.name, *parts, classes, self.source, self.licence)


def word_pieces(words, tokenizer):
    """The tokens of each word; of one that the tokeniser takes for nothing but control characters, its [UNK], so that a tag keeps its place.

    Raises ValueError for such a word where there is no [UNK]."""
    unknown = [token for name, token in getattr(tokenizer, "vocab", {}).items() if name == "[UNK]"]
    pieces = [tokenizer.encode(word) or unknown for word in words]
    for word, tokens in zip(words, pieces, strict=True):
        if not tokens:
            raise ValueError(
                f"the word {word!r} becomes no token at all, so its tag has no place: use a tokeniser with an unknown token"
            )
    return pieces


def first_pieces(pieces, classes, length):
    """(T,) int64: each word's class at its first token, which stand one behind the other from position 1; -100 elsewhere."""
    y = np.full(length, IGNORED, np.int64)
    starts = 1 + np.cumsum([0, *map(len, pieces)])[:-1]
    y[starts] = classes
    return y


# ---------------------------------------------------------------- the sets

SETS = {
    "sst2": FileSet(
        ("sst2",),
        ("train.tsv", "dev.tsv"),
        "github.com/clairett/pytorch-sentiment-classification (data/SST2)",
        "SST-2 as sentences",
        "none stated: not to be redistributed",
    ),
    "sms-spam": FileSet(
        ("sms-spam", "sms_spam"),
        ("SMSSpamCollection",),
        "archive.ics.uci.edu/dataset/228",
        "the SMS Spam Collection",
        "CC BY 4.0",
    ),
    "snips": FileSet(
        ("snips",),
        tuple(
            f"{part}/{name}"
            for part in ("train", "valid")
            for name in ("seq.in", "seq.out", "label")
        ),
        "github.com/MiuLab/SlotGated-SLU (data/snips)",
        "Snips",
        "CC0",
    ),
    "wnut17": FileSet(
        ("wnut17",),
        ("wnut17train.conll", "emerging.dev.conll"),
        "github.com/leondz/emerging_entities_17",
        "WNUT-17",
        "CC BY 4.0",
    ),
    "ud-ewt": FileSet(
        ("ud-ewt", "ud_en_ewt"),
        (
            "en_ewt-ud-train.conllu|en_ewt-train-rebuilt.form_upos.tsv.gz",
            "en_ewt-ud-dev.conllu",
        ),
        "github.com/UniversalDependencies/UD_English-EWT",
        "the English Web Treebank",
        "CC BY-SA 4.0",
    ),
}


def load(name):
    """The Sentences `name`; see `dlcourse.data.load`."""
    paths = files.find(SETS[name])
    read = {
        "sst2": lambda: [_sst2(path) for path in paths],
        "sms-spam": lambda: [_sms(paths[0])],
        "snips": lambda: [_snips(*paths[:3]), _snips(*paths[3:])],
        "wnut17": lambda: [_conll(path) for path in paths],
        "ud-ewt": lambda: [_treebank(path) for path in paths],
    }[name]()
    if len(read) == 1:
        train, validation, test = apart(read[0], seed=0, shares=(0.7, 0.1))
    else:
        held = {sentence.words for sentence in read[1]}
        (train, validation), test = (
            apart([s for s in read[0] if s.words not in held], 0, (0.9,)),
            read[1],
        )
    every = [*train, *validation, *test]
    labels = sorted({sentence.label for sentence in every if sentence.label is not None})
    tags = sorted({tag for sentence in every for tag in sentence.tags or ()})
    counts = " and ".join(f"{len(part):,}" for part in read)
    source = f"{SETS[name].title}, {counts} sentences in its files"
    return Sentences(
        name,
        tuple(train),
        tuple(validation),
        tuple(test),
        tuple(labels),
        tuple(tags),
        source,
        SETS[name].licence,
    )


def apart(sentences, seed, shares):
    """Lists of sentences in an order drawn from `seed`, cut at the shares; sentences of the same words stay in one part."""
    groups = {}
    for sentence in sentences:
        groups.setdefault(sentence.words, []).append(sentence)
    groups = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(groups))
    sizes = np.cumsum([len(groups[i]) for i in order])
    cuts = np.searchsorted(sizes, np.cumsum(shares) * sizes[-1]) + 1
    return [[sentence for i in part for sentence in groups[i]] for part in np.split(order, cuts)]


def _sst2(path):
    return [
        Sentence(
            tuple(text.split()), _one_of(label, {"0": "negative", "1": "positive"}, path, number)
        )
        for number, (text, label) in enumerate(files.rows(path, columns=2), 1)
    ]


def _sms(path):
    return [
        Sentence(tuple(text.split()), _one_of(label, {"ham": "ham", "spam": "spam"}, path, number))
        for number, (label, text) in enumerate(files.rows(path, columns=2), 1)
    ]


def _snips(words, tags, label):
    """seq.in, seq.out and label, line by line."""
    columns = [files.read(path).removesuffix("\n").split("\n") for path in (words, tags, label)]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise ValueError(
            f"{words.parent} has {lengths[0]:,} sentences, {lengths[1]:,} rows of tags and {lengths[2]:,} labels: a file is cut off, so fetch all three again"
        )
    sentences = []
    for number, (text, row, name) in enumerate(zip(*columns, strict=True), 1):
        if len(text.split()) != len(row.split()) or not name.strip():
            raise files.refusal(tags, number, f"a tag for each of {len(text.split())} words", row)
        sentences.append(Sentence(tuple(text.split()), name.strip(), tuple(row.split())))
    return sentences


def _conll(path):
    """A word and its tag a line with a tab between them, an empty line (or a lone tab) after each sentence."""
    return _sentences(path, lambda line: line.split("\t"))


def _treebank(path):
    """Form and UPOS of CoNLL-U (columns 2 and 4; lines such as 1-2 or 8.1 are no words), or of a table of these two alone."""
    if ".conllu" not in path.name:
        return _conll(path)

    def word(line):
        row = line.split("\t")
        if len(row) != 10:
            return ()
        return (row[1], row[3]) if row[0].isdecimal() else None

    return _sentences(path, word)


def _sentences(path, word):
    """Sentences of a file with a word a line; `word(line)` gives [form, tag], or None for a line to leave out."""
    sentences, pairs, text = [], [], files.read(path)
    if not text.endswith("\n"):
        raise ValueError(f"{path} ends within a line: it is cut off, so fetch it again")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if pairs:
                words, tags = zip(*pairs, strict=True)
                sentences.append(Sentence(words, None, tags))
            pairs = []
        elif not line.startswith("# ") and (pair := word(line)) is not None:
            if len(pair) != 2 or not all(pair):
                raise files.refusal(
                    path, number, "a word and its tag with a tab between them", line
                )
            pairs.append(pair)
    return sentences


def _one_of(label, known, path, number):
    if label not in known:
        raise files.refusal(path, number, f"a label of {', '.join(known)}", label)
    return known[label]


def _fitting(longest, length, what):
    if length is None:
        return longest
    check_whole(length=length)
    if longest > length:
        raise ValueError(
            f"the longest {what} has {longest} tokens with its start and stop, but length={length}: pass length={longest}, or leave long ones out"
        )
    return length

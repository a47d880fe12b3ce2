"""What recipes for BERT are trained on, and what is measured on it."""

from dataclasses import dataclass

import numpy as np

from dlcourse import metrics
from dlcourse.boundary import IGNORED
from dlcourse.data import masking, people, sentence_pairs
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.masking import CLS, PAD, SEP
from dlcourse.text import WordPieceTokenizer

# ---------------------------------------------------------------- data -> Dataset


@dataclass(frozen=True)
class spans_of_text:
    """Pre-training on a Text: pairs of spans of it, in WordPieces of a vocabulary of `vocab`; see `sentence_pairs`.

    A training pair begins at every `stride`-th token. The tokens of validation and test are hidden once for all."""

    vocab: int
    context: int
    stride: int

    def __call__(self, text):
        tokenizer = WordPieceTokenizer.train([text.train], self.vocab)
        parts = []
        for seed, (words, stride) in enumerate(
            [(text.train, self.stride), (text.validation, None), (text.test, None)]
        ):
            rng = np.random.default_rng(seed)
            parts.append(Split(*sentence_pairs(tokenizer.encode(words), self.context, rng, stride)))
        return _hidden(text, parts, tokenizer)


@dataclass(frozen=True)
class halves_of_sentences:
    """Pre-training on Sentences without their labels: "CLS first half SEP second half SEP", the second half in half of the pairs that of another.

    Only the training part is read, so that validation and test here are its last tenths. `length` tokens at most, the rest is cut off."""

    vocab: int
    length: int

    def __call__(self, sentences):
        tokenizer = WordPieceTokenizer.train(sentences.texts(), self.vocab)
        texts = [tokenizer.encode(text) for text in sentences.texts()]
        cuts = np.split(np.arange(len(texts)), [len(texts) * 8 // 10, len(texts) * 9 // 10])
        parts = [
            self._pairs([texts[i] for i in part], np.random.default_rng(seed))
            for seed, part in enumerate(cuts)
        ]
        return _hidden(sentences, parts, tokenizer)

    def _pairs(self, texts, rng):
        texts = [text for text in texts if len(text) > 1]
        labels = rng.integers(0, 2, len(texts))
        others = (np.arange(len(texts)) + rng.integers(1, len(texts), len(texts))) % len(texts)
        x = np.full((len(texts), self.length), PAD)
        for i, text in enumerate(texts):
            second = texts[others[i]] if labels[i] else text
            row = [CLS, *text[: len(text) // 2], SEP, *second[len(second) // 2 :], SEP]
            x[i, : len(row)] = row[: self.length]
        return Split(x, np.concatenate([labels[:, None], x], axis=1))


@dataclass(frozen=True)
class _pieces:
    """WordPieces of a vocabulary of `vocab`, trained on the training part, in rows of `length` tokens."""

    vocab: int
    length: int

    def _arguments(self, data):
        """What `classify`, `tag` and `encode` take."""
        return WordPieceTokenizer.train(data.texts(), self.vocab), CLS, SEP, self.length


class intents(_pieces):
    """Sentences with their labels, in the WordPieces of `halves_of_sentences`."""

    def __call__(self, sentences):
        return sentences.classify(*self._arguments(sentences))


class slots(_pieces):
    """Sentences with a tag for each word, at its first piece."""

    def __call__(self, sentences):
        return sentences.tag(*self._arguments(sentences))


class passages(_pieces):
    """Questions about a text, "CLS question SEP text SEP", whose answer is a passage of it; see `Questions.encode` (windows of `length` tokens)."""

    def __call__(self, questions):
        return questions.encode(*self._arguments(questions))


def _hidden(data, parts, tokenizer):
    """The Dataset of pairs whose validation and test have their tokens hidden; training hides others in each epoch (`masking`)."""
    hide = masking(len(tokenizer))
    parts[1:] = [
        Split(*hide(*part, np.random.default_rng(seed))) for seed, part in enumerate(parts[1:])
    ]
    classes = tuple(tokenizer.tokens)
    return Dataset(data.name, *parts, classes, data.source, data.licence, tokenizer)


# ---------------------------------------------------------------- what is measured


def pretraining(learner, dataset):
    """{"test_hidden": mean -log p of the hidden tokens, "test_hidden_accuracy", "test_follows_accuracy"}, each term of the loss by itself."""
    x, y = dataset.test
    words, follows = _predict(learner, x)
    hidden = y[:, 1:] != IGNORED
    logits, targets = words[hidden].astype(np.float64), y[:, 1:][hidden]
    top = logits.max(axis=1)
    log_sums = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return {
        "test_hidden": float(np.mean(log_sums - logits[np.arange(len(targets)), targets])),
        "test_hidden_accuracy": float(np.mean(logits.argmax(axis=1) == targets)),
        "test_follows_accuracy": float(np.mean(follows.argmax(axis=1) == y[:, 0])),
    }


def slot_f1(learner, dataset):
    """Precision, recall and F1 of whole slots on the test set; see `metrics.span_scores`."""
    x, y = dataset.test
    predicted = _predict(learner, x)[0].argmax(axis=-1)
    tags = [
        [
            [dataset.classes[c] for c in row[kept]]
            for row, kept in zip(classes, y != IGNORED, strict=True)
        ]
        for classes in (predicted, y)
    ]
    return {f"test_slot_{name}": value for name, value in metrics.span_scores(*tags).items()}


def exact_spans(learner, dataset):
    """{"test_exact_match": the share of questions of which both ends of the best span are right}  (eq-span)."""
    return {"test_exact_match": float(_right_spans(learner, dataset).mean())}


def exact_passages(learner, dataset):
    """{"test_exact_match": the share of the windows with an answer of which both ends of the best span are right}; y is (0, 0) in the others."""
    held = dataset.test.y.any(axis=1)
    return {"test_exact_match": float(_right_spans(learner, dataset)[held].mean())}


def answers_about_people(learner, dataset):
    """`exact_spans`, and the same of the questions that ask "what" and of those that ask "who"."""
    right = _right_spans(learner, dataset)
    what = (dataset.test.x == people.NUMBER["what"]).any(axis=1)
    return {
        "test_exact_match": float(right.mean()),
        "test_exact_match_what": float(right[what].mean()),
        "test_exact_match_who": float(right[~what].mean()),
    }


def _right_spans(learner, dataset):
    """Is the pair start <= end with the largest sum of scores the answer?  (N,)"""
    x, y = dataset.test
    scores = _predict(learner, x)[0]  # (N, 2, T)
    sums = scores[:, 0, :, None] + scores[:, 1, None, :]  # (N, start, end)
    steps = sums.shape[-1]
    sums = np.where(np.tri(steps, dtype=bool).T, sums, -np.inf)
    best = np.stack(np.divmod(sums.reshape(len(x), -1).argmax(axis=1), steps), axis=1)
    return (best == y).all(axis=1)


def _predict(learner, x, batch_size=250):
    """The logits of all x, as a tuple of one array or of two."""
    parts = [
        learner.predict(x[start : start + batch_size]) for start in range(0, len(x), batch_size)
    ]
    parts = [part if isinstance(part, tuple) else (part,) for part in parts]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))

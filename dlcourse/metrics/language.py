"""How good what a model writes is: tokens, texts, spans."""

import math

import numpy as np

from dlcourse.errors import need


def perplexity(loss):
    """e^L, the number of equally likely tokens that a mean loss L in nats stands for  (eq-perplexity).  loss () or (...) -> the same shape"""
    return np.exp(loss) if np.ndim(loss) else math.exp(loss)


def bits_per_byte(loss, tokens, size):
    """T L / (B ln 2)  (eq-bits-per-byte): a mean loss L in nats a token, over T = `tokens` tokens, as bits for each of B = `size` bytes.

    It does not depend on how the text was cut, so that models with different tokenisers can be compared."""
    if tokens < 1 or size < 1:
        raise ValueError(
            f"{tokens} tokens and {size} bytes: count those of the text that was evaluated"
        )
    return loss * tokens / (size * math.log(2))


def exact_match(predicted, wanted):
    """The share of pairs that are equal.  Two lists of texts or of token lists -> float

    Raises ValueError when there are none or the lengths differ."""
    _check_pairs(predicted, wanted)
    return sum(a == b for a, b in zip(predicted, wanted, strict=True)) / len(wanted)


def spans(tags):
    """The spans that IOB tags mark: ["B-PER", "I-PER", "O"] -> [("PER", 0, 2)], the end excluded.

    A span begins at a B, or at an I behind an O or another type, as conlleval reads it (Tjong Kim Sang & Buchholz 2000).
    Raises ValueError for a tag that is not O, B-type or I-type."""
    found, start, kind = [], None, None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, now = tag.partition("-")
        if not (tag == "O" or (prefix in ("B", "I") and now)):
            raise ValueError(f"tag {tag!r} at {i}: write O, B-type or I-type")
        if kind is not None and (prefix != "I" or now != kind):
            found.append((kind, start, i))
            kind = None
        if kind is None and tag != "O":
            start, kind = i, now
    return found


def span_scores(predicted, wanted):
    """Precision, recall and F1 of whole spans: right is a span of the same type, start and end.

    Two lists of tag lists, a pair for each sentence -> {"precision", "recall", "f1"}; what is 0 / 0 is 0, as in conlleval.
    Raises ValueError when there are no sentences or the lengths differ."""
    _check_pairs(predicted, wanted)
    hits = given = true = 0
    for a, b in zip(predicted, wanted, strict=True):
        if len(a) != len(b):
            raise ValueError(f"a sentence has {len(a)} predicted tags but {len(b)} wanted ones")
        a, b = set(spans(a)), set(spans(b))
        hits, given, true = hits + len(a & b), given + len(a), true + len(b)
    return {
        "precision": hits / given if given else 0.0,
        "recall": hits / true if true else 0.0,
        "f1": 2 * hits / (given + true) if hits else 0.0,
    }


def bleu(predicted, wanted, tokenize="13a"):
    """Corpus BLEU, 0 to 100, by sacrebleu, so that it can be compared  (eq-bleu; Papineni et al. 2002; Post 2018).

    Two lists of texts, one reference each. `tokenize` is sacrebleu's: "none" for texts that are split already, "zh" for Chinese.
    Raises ValueError when there are none or the lengths differ."""
    _check_pairs(predicted, wanted)
    sacrebleu = need("sacrebleu", extra="data")
    return sacrebleu.corpus_bleu(list(predicted), [list(wanted)], tokenize=tokenize).score


def _check_pairs(predicted, wanted):
    if len(predicted) != len(wanted):
        raise ValueError(
            f"{len(predicted)} predictions but {len(wanted)} wanted: each example needs one of both"
        )
    if len(wanted) == 0:
        raise ValueError("there are no examples to measure on: pass at least one")

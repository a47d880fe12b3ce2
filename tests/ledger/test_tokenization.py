"""The equations of the chapter on tokenisation, line by line."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from dlcourse import check, metrics
from dlcourse.text import BPETokenizer
from dlcourse.text.merges import learn, merge
from dlcourse.text.wordpiece import SCORES, xlogx
from tests.equations import assert_lines_agree, assert_same


def draw_words(rng, letters=4, count=30):
    """{tuple of numbers: how often}."""
    return Counter(tuple(map(int, rng.integers(0, letters, rng.integers(1, 9)))) for _ in range(count))


def log_likelihood(counts):
    """log P = sum_t n_t log(n_t / N), token by token."""
    total = sum(counts.values())
    return sum(n * math.log(n / total) for n in counts.values() if n)


@pytest.mark.equation("eq-bpe-length")
def test_length_after_merges(rng):
    words = draw_words(rng)
    tokens = list("abcd")
    merges = learn(words, tokens, 24, str.__add__, least=1)
    coded, places = {word: list(word) for word in words}, []
    before = sum(n * len(pieces) for pieces in coded.values() for n in [1])
    lengths = [sum(words[word] * len(pieces) for word, pieces in coded.items())]
    for pair, new in merges.items():
        most = Counter()
        for word, pieces in coded.items():
            for p in itertools.pairwise(pieces):
                most[p] += words[word]
        assert most[pair] == max(most.values())  # the greedy choice
        coded = {word: merge(pieces, pair, new) for word, pieces in coded.items()}
        lengths.append(sum(words[word] * len(pieces) for word, pieces in coded.items()))
        places.append(sum(words[word] * pieces.count(new) for word, pieces in coded.items()))
        if pair[0] != pair[1]:  # occurrences do not overlap
            assert lengths[-2] - lengths[-1] == most[pair]
    assert before > 0 and len(merges) == 20
    assert_same("T_K = T_0 - sum m_k", np.array(lengths[1:]), lengths[0] - np.cumsum(places), rtol=0)


@pytest.mark.equation("eq-unigram-bits", formula_only=True)
def test_bits_of_single_tokens(rng):
    text = rng.integers(0, 6, 200)
    counts = np.bincount(text, minlength=6)
    p, q = counts / 200, rng.dirichlet(np.ones(6))
    entropy, divergence = -(p * np.log2(p)).sum(), (p * np.log2(p / q)).sum()
    lines = [
        -sum(math.log2(q[t]) for t in text),
        -200 * (p * np.log2(q)).sum(),
        200 * entropy + 200 * divergence,
    ]
    assert_lines_agree(lines, rtol=1e-12)
    for _ in range(20):  # never below T H
        q = rng.dirichlet(np.ones(6))
        assert -200 * (p * np.log2(q)).sum() >= 200 * entropy
    for x in rng.uniform(0.01, 5, 20):
        assert math.log(x) <= x - 1  # why the divergence is not negative
    some, q = np.array([0.4, 0.6, 0.0]), np.array([0.25, 0.25, 0.5])  # where p is zero the sum leaves q out
    seen = some > 0
    assert (some[seen] * np.log(q[seen] / some[seen])).sum() <= (q - some)[seen].sum() <= 0
    assert_same("the least", -200 * (p * np.log2(p)).sum(), 200 * entropy, rtol=1e-15)


def gain(n, a, b, total):
    """eq-merge-gain as printed."""
    return xlogx(n) + xlogx(a - n) - xlogx(a) + xlogx(b - n) - xlogx(b) - xlogx(total - n) + xlogx(total)


@pytest.mark.equation("eq-merge-gain")
def test_gain_of_a_merge(rng):
    for _ in range(10):
        text = rng.choice(5, size=300, p=[0.3, 0.3, 0.2, 0.1, 0.1]).tolist()
        counts = Counter(text)
        n = sum(pair == (0, 1) for pair in itertools.pairwise(text))
        merged = merge(text, (0, 1), 9)
        before, after = log_likelihood(counts), log_likelihood(Counter(merged))
        in_nats = sum(counts.values())
        assert_same("log P", before, sum(map(xlogx, counts.values())) - xlogx(in_nats), rtol=1e-12)
        lines = [after - before, gain(n, counts[0], counts[1], 300), SCORES["exact"](n, counts[0], counts[1], 300)]
        assert_lines_agree(lines, rtol=1e-9)
    # a part that stands only in this pair: the tangent is far off, and the gain larger than the score
    for n, n_a, n_b, more in ((5, 5, 1000, 1), (5, 5, 5, 2)):
        exact, score = gain(n, n_a, n_b, 10**7), SCORES["likelihood"](n, n_a, n_b, 10**7)
        assert exact == pytest.approx(score + more * n, rel=1e-3)


@pytest.mark.equation("eq-wordpiece-score")
def test_gain_to_first_order(rng):
    for n, a, b, total in ((1, 4 * 10**6, 10**6, 10**9), (2, 10**7, 3 * 10**6, 3 * 10**9)):
        assert abs(xlogx(a - n) - (xlogx(a) - n * (math.log(a) + 1))) <= n * n / a  # the tangent
        lines = [
            n * math.log(n) - n * (math.log(a) + 1) - n * (math.log(b) + 1) + n * (math.log(total) + 1),
            n * (math.log(n * total / (a * b)) - 1),
            SCORES["likelihood"](n, a, b, total),
        ]
        assert_lines_agree(lines, rtol=1e-12)
    ratio = [gain(n, 10**4, 10**4, 10**6) / SCORES["likelihood"](n, 10**4, 10**4, 10**6) - 1 for n in (8, 16)]
    assert abs(ratio[0]) < abs(ratio[1]) < 0.01  # the smaller the share, the better
    n_a, n_b, total = 50, 40, 1000  # independent: each occurrence loses a nat
    assert_same("independent", SCORES["likelihood"](2, n_a, n_b, total), -2.0, rtol=1e-12)


def random_model(rng, size):
    table = rng.dirichlet(np.ones(size), size=size)
    return lambda a, b: table[a, b]


@pytest.mark.equation("eq-perplexity")
def test_perplexity(rng):
    for size in (2, 10, 1000):
        assert_same("equally likely", metrics.perplexity(math.log(size)), size, rtol=1e-12)
    p = random_model(rng, 5)
    ids = rng.integers(0, 5, 50)
    chain = np.array([p(a, b) for a, b in itertools.pairwise(ids)])
    loss = -np.log(chain).mean()
    assert_lines_agree([np.exp(loss), np.prod(chain) ** (-1 / len(chain)), metrics.perplexity(loss)], rtol=1e-12)


@pytest.mark.equation("eq-bits-per-byte")
def test_bits_per_byte(rng):
    text = "the value of the expression, the name of the class"
    for size in (256, 270):
        tokenizer = BPETokenizer.train([text], size)
        count, length = len(tokenizer.encode(text)), len(text.encode())
        loss = float(rng.uniform(1, 4))
        lines = [
            count * loss / (length * math.log(2)),
            count / length * math.log2(metrics.perplexity(loss)),
            metrics.bits_per_byte(loss, count, length),
            check.bits_per_byte.reference(loss, count, length),
        ]
        assert_lines_agree(lines, rtol=1e-12)
        assert_same("turned around", metrics.perplexity(loss), 2 ** (lines[0] * length / count), rtol=1e-12)
    # equally likely bytes, cut into tokens of r: 8 bits a byte, perplexity 256^r, the number of such tokens
    for r in (1, 2, 3):
        assert_same("bytes", metrics.bits_per_byte(r * math.log(256), 60 // r, 60), 8.0, rtol=1e-12)


@pytest.mark.equation("eq-marginal", formula_only=True)
def test_several_cuts_of_one_text(rng):
    """Every sequence of tokens that spells the text, summed, against the one that the tokeniser gives."""
    tokens = ["a", "b", "ab", "ba", "aba"]
    first, table = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5), size=5)
    text, canonical = "abab", [2, 2]

    def cuts(rest):
        if not rest:
            yield []
        for i, token in enumerate(tokens):
            if rest.startswith(token):
                yield from ([i, *more] for more in cuts(rest[len(token) :]))

    def probability(ids):
        return first[ids[0]] * math.prod(table[a, b] for a, b in itertools.pairwise(ids))

    every = list(cuts(text))
    assert canonical in every and len(every) == 6
    marginal = sum(probability(ids) for ids in every)

    def forward(place):  # the same sum by a recursion over the letters: vectors of p(text so far, last token)
        total = np.zeros(5)
        for i, token in enumerate(tokens):
            if text[:place].endswith(token):
                start = place - len(token)
                total[i] = first[i] if start == 0 else forward(start) @ table[:, i]
        return total

    assert_same("sum over the cuts", -math.log(marginal), -math.log(forward(4).sum()), rtol=1e-12)
    assert -math.log(marginal) <= -math.log(probability(canonical))

"""The exercises of the chapter *Tokenisation*, each with the wrong answers that it recognises.

Throughout: tokens are whole numbers in an array (T,), merges work from the left, results are new arrays."""

import math

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.metrics import bits_per_byte as package_bits_per_byte
from dlcourse.text.merges import merge

# ---------------------------------------------------------------- bits_per_byte


@exercise(
    "bits",
    Case("one byte a token", lambda rng: (2.0, 50, 50), show=True),
    Case("four bytes a token", lambda rng: (2.0, 250, 1000), show=True),
    Case("more tokens than bytes", lambda rng: (0.5, 30, 20), show=True),
    Case("random", lambda rng: (float(rng.uniform(1, 5)), 1234, 5678)),
)
def bits_per_byte(loss, tokens, size):
    """bits_per_byte(loss, tokens, size) -> bits: a mean loss in nats a token over `tokens` tokens, as bits for each of `size` bytes (eq-bits-per-byte).

    loss is one number, tokens and size are whole numbers."""
    return package_bits_per_byte(loss, tokens, size)


bits_per_byte.diagnose(
    "these are nats a byte. A nat is 1 / log 2 bits: divide by log(2).",
    lambda loss, tokens, size: loss * tokens / size,
)
bits_per_byte.diagnose(
    "multiplied by log(2), which turns bits into nats. From nats to bits divide.",
    lambda loss, tokens, size: loss * tokens / size * math.log(2),
)
bits_per_byte.diagnose(
    "these are bits a token: multiply by the tokens and divide by the bytes.",
    lambda loss, tokens, size: loss / math.log(2),
)
bits_per_byte.diagnose(
    "tokens and bytes are exchanged: the loss of the text is loss times tokens, and it is shared among the bytes.",
    lambda loss, tokens, size: loss * size / tokens / math.log(2),
)
bits_per_byte.diagnose(
    "these are the bits of the whole text. Divide by its bytes.",
    lambda loss, tokens, size: loss * tokens / math.log(2),
)
bits_per_byte.diagnose(
    "the perplexity took the place of the loss. Its logarithm is the loss.",
    lambda loss, tokens, size: math.exp(loss) * tokens / size / math.log(2),
    lambda loss, tokens, size: math.exp(loss) * tokens / size,
)
bits_per_byte.diagnose(
    "divided by 8, as if bytes were asked for. One byte of text stays one byte.",
    lambda loss, tokens, size: loss * tokens / size / math.log(2) / 8,
    lambda loss, tokens, size: loss * tokens / size / 8,
)


# ---------------------------------------------------------------- merge_pair


def _array(ids):
    return np.array(ids, dtype=int)


def _matches(ids, a, b):
    return [i for i in range(len(ids) - 1) if ids[i] == a and ids[i + 1] == b]


def _from_the_right(ids, a, b, new):
    return _array(merge(ids.tolist()[::-1], (b, a), new)[::-1])


def _only_first(ids, a, b, new):
    ids = ids.tolist()
    for i in _matches(ids, a, b)[:1]:
        ids[i : i + 2] = [new]
    return _array(ids)


def _last_lost(ids, a, b, new):
    result, i = [], 0
    while i < len(ids) - 1:
        hit = ids[i] == a and ids[i + 1] == b
        result.append(new if hit else ids[i])
        i += 2 if hit else 1
    return _array(result)


def _either_order(ids, a, b, new):
    result, i = [], 0
    while i < len(ids):
        hit = i + 1 < len(ids) and (ids[i], ids[i + 1]) in ((a, b), (b, a))
        result.append(new if hit else ids[i])
        i += 2 if hit else 1
    return _array(result)


def _second_kept(ids, a, b, new):
    places = _matches(ids, a, b)
    return _array([new if i in places else token for i, token in enumerate(ids.tolist())])


def _inserted(ids, a, b, new):
    places = _matches(ids, a, b)
    return _array(
        [
            t
            for i, token in enumerate(ids.tolist())
            for t in ([new, token] if i in places else [token])
        ]
    )


def _all_b_gone(ids, a, b, new):
    return _array([new if token == a else token for token in ids.tolist() if token != b or a == b])


def _mask(ids, a, b, new):
    places, result = _matches(ids, a, b), ids.copy()
    result[places] = new
    return np.delete(result, _array(places) + 1)


def _tokens(*ids):
    return lambda rng: (_array(ids[0]), *ids[1:])


def _random_tokens(rng):
    return rng.integers(0, 3, 40), 1, 2, 9


@exercise(
    "ids",
    Case("length", _tokens([1, 2, 3, 1, 2], 1, 2, 9), shapes),
    Case("two places", _tokens([1, 2, 3, 1, 2], 1, 2, 9), show=True),
    Case("the other order", _tokens([2, 1, 2, 2, 1], 1, 2, 9), show=True),
    Case("half of it alone", _tokens([1, 3, 2, 1], 1, 2, 9), show=True),
    Case("the same twice", _tokens([5, 4, 4, 4, 5, 4, 4], 4, 4, 9), show=True),
    Case("not there", _tokens([3, 4, 5], 1, 2, 9), show=True),
    Case("one token", _tokens([1], 1, 2, 9), show=True),
    Case("no token", _tokens([], 1, 2, 9)),
    Case("random", _random_tokens),
)
def merge_pair(ids, a, b, new):
    """merge_pair(ids, a, b, new) -> ids: put `new` in the place of each `a` that is followed by `b`, from the left.

    ids (T,) are whole numbers, perhaps none; a, b and new are numbers, and new does not occur in ids. The result is a new array
    of whole numbers."""
    return _array(merge(ids.tolist(), (a, b), new))


merge_pair.diagnose(
    "merged from the right. It matters where places overlap: of a a a the first two are merged.",
    _from_the_right,
)
merge_pair.diagnose(
    "all places are taken at once, also those that overlap: of a a a the first two are merged, and the third stays.",
    _mask,
)
merge_pair.diagnose("only the first place is merged. Every one is.", _only_first)
merge_pair.diagnose(
    "the last token is lost when it is not part of a pair: the loop must reach it.", _last_lost
)
merge_pair.diagnose(
    "b before a is merged as well. The order counts: a, then b.",
    _either_order,
)
merge_pair.diagnose(
    "the b of a pair stays. One token takes the place of two: skip it.", _second_kept
)
merge_pair.diagnose("the new token is put in before the pair, and not in its place.", _inserted)
merge_pair.diagnose(
    "every a and every b is taken, also one that stands alone. Only a directly before b is a pair.",
    _all_b_gone,
)


# ---------------------------------------------------------------- encode_bytes


def _encode(ids, merges, first=256, order=None, one=merge):
    ids, pairs = ids.tolist(), list(enumerate(merges.tolist()))
    for k, (a, b) in order(pairs) if order else pairs:
        ids = one(ids, (a, b), first + k)
    return _array(ids)


def _as_they_come(ids, merges):
    """Always the leftmost pair that is in the list."""
    numbers = {tuple(pair): 256 + k for k, pair in enumerate(merges.tolist())}
    ids = ids.tolist()
    while places := [i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) in numbers]:
        i = places[0]
        ids[i : i + 2] = [numbers[ids[i], ids[i + 1]]]
    return _array(ids)


def _longest_first(ids, merges):
    spelled = {(byte,): byte for byte in range(256)}
    parts = [(byte,) for byte in range(256)]
    for a, b in merges.tolist():
        parts.append(parts[a] + parts[b])
        spelled[parts[-1]] = len(parts) - 1
    ids, result = tuple(ids.tolist()), []
    while ids:
        n = next(n for n in range(len(ids), 0, -1) if ids[:n] in spelled)
        result.append(spelled[ids[:n]])
        ids = ids[n:]
    return _array(result)


def _shortest(ids, merges):
    """As few known pieces as possible: best[i] are those of the first i bytes."""
    spelled, parts = {(byte,): byte for byte in range(256)}, [(byte,) for byte in range(256)]
    for a, b in merges.tolist():
        parts.append(parts[a] + parts[b])
        spelled[parts[-1]] = len(parts) - 1
    ids, best = tuple(ids.tolist()), [[]]
    for end in range(1, len(ids) + 1):
        ways = [best[i] + [spelled[ids[i:end]]] for i in range(end) if ids[i:end] in spelled]
        best.append(min(ways, key=len))
    return _array(best[-1])


def _all_at_once(ids, merges):
    for k, (a, b) in enumerate(merges.tolist()):
        ids = _mask(ids, a, b, 256 + k)
    return ids


def _of_bytes_only(ids, merges):
    return _encode(ids, merges, order=lambda pairs: [p for p in pairs if max(p[1]) < 256])


def _right_merge(ids, pair, new):
    return merge(ids[::-1], pair[::-1], new)[::-1]


_LEARNED = _array([(101, 115), (256, 116), (108, 111), (258, 119), (97, 97), (260, 260), (119, 101), (110, 262)])  # fmt: skip


def _bytes(text, merges=_LEARNED):
    return lambda rng: (_array(list(text)), merges.copy())


def _random_bytes(rng):
    return rng.integers(97, 100, 60), _array(
        [(97, 98), (98, 99), (256, 99), (257, 97), (99, 98), (258, 256)]
    )


@exercise(
    "ids",
    Case("length", _bytes(b"lowest"), shapes),
    Case("lowest", _bytes(b"lowest"), show=True),
    Case("low lowest", _bytes(b"low lowest")),
    Case("earlier merges first", _bytes(b"newest")),
    Case("several ways", _bytes(b"abc dabc", _array([(98, 99), (97, 256), (97, 98), (100, 97)]))),
    Case("not the shortest", _bytes(b"abcd", _array([(98, 99), (97, 98), (99, 100)])), show=True),
    Case("the same twice", _bytes(b"aaa b aaaaa")),
    Case("nothing to merge", _bytes(b"xyz"), show=True),
    Case("no merges", _bytes(b"low", np.zeros((0, 2), dtype=int))),
    Case("no bytes", _bytes(b"")),
    Case("random", _random_bytes),
)
def encode_bytes(ids, merges):
    """encode_bytes(ids, merges) -> ids: byte-pair encoding with known merges.

    ids (T,) are bytes, 0 to 255; merges (K, 2), in the order in which they were learned: merge k makes token 256 + k of its
    pair of tokens. Of the pairs that are there, the one that was learned first is merged first, from the left."""
    return _encode(ids, merges)


encode_bytes.diagnose(
    "pairs are merged as they come along the text. The one that was learned first goes first, wherever it stands.",
    _as_they_come,
)
encode_bytes.diagnose(
    "the longest known piece is taken, from the left. That is WordPiece; byte-pair encoding replays the merges.",
    _longest_first,
)
encode_bytes.diagnose(
    "the shortest cut into known pieces is taken. Byte-pair encoding replays the merges, which is not always the shortest.",
    _shortest,
)
encode_bytes.diagnose(
    "all places are taken at once, also those that overlap: of a a a the first two are merged, and the third stays.",
    _all_at_once,
)
encode_bytes.diagnose(
    "the merges are applied from the last to the first. Apply them in the order in which they were learned.",
    lambda ids, merges: _encode(ids, merges, order=lambda pairs: pairs[::-1]),
)
encode_bytes.diagnose(
    "the new tokens are numbered from 0, which are bytes already. Merge k makes token 256 + k.",
    lambda ids, merges: _encode(ids, merges, first=0),
)
encode_bytes.diagnose(
    "the numbers of the new tokens are off by one. The first merge, k = 0, makes token 256.",
    lambda ids, merges: _encode(ids, merges, first=257),
    lambda ids, merges: _encode(ids, merges, first=255),
)
encode_bytes.diagnose(
    "only pairs of bytes are merged. A merge may join tokens that earlier merges made.",
    _of_bytes_only,
)
encode_bytes.diagnose(
    "only the first merge is applied. After it comes the next, until none is left.",
    lambda ids, merges: _encode(ids, merges, order=lambda pairs: pairs[:1]),
)
encode_bytes.diagnose(
    "merged from the right. It matters where places overlap: of a a a the first two are merged.",
    lambda ids, merges: _encode(ids, merges, one=_right_merge),
)

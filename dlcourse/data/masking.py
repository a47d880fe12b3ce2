"""What BERT is trained on: hidden tokens, and pairs of sentences of which half follow one another."""

from dataclasses import dataclass

import numpy as np

from dlcourse.boundary import IGNORED, check_whole

PAD, UNK, CLS, SEP, MASK = range(5)  # as WordPieceTokenizer numbers them
SPECIAL = (PAD, UNK, CLS, SEP, MASK)


def mask_tokens(x, rng, vocab, mask=MASK, special=SPECIAL, share=0.15, split=(0.8, 0.1, 0.1)):
    """Hide a `share` of the ordinary tokens of each sequence, one at least  (eq-mlm; Devlin et al. 2019).

    A chosen token becomes `mask` with probability split[0], a random ordinary token with split[1], and stays what it is with split[2].
    Tokens x (B, T) -> what the model reads (B, T), and its targets (B, T): the tokens that were chosen, -100 elsewhere.
    Raises ValueError for numbers out of range, and for a sequence in which nothing can be hidden."""
    _check_masking(vocab, mask, special, share, split)
    ordinary = ~np.isin(x, special)
    counts = ordinary.sum(axis=1)
    if not counts.all():
        raise ValueError(
            f"sequence {np.flatnonzero(counts == 0)[0]} holds special tokens alone, so that nothing can be hidden: leave it out"
        )
    # the first of a random order of the ordinary tokens
    drawn = np.where(ordinary, rng.random(x.shape), 2.0)
    rank = drawn.argsort(axis=1).argsort(axis=1)
    chosen = rank < np.maximum(1, np.round(share * counts))[:, None]

    fate = rng.random(x.shape)
    others = rng.choice(np.setdiff1d(np.arange(vocab), special), x.shape)
    read = np.where(chosen & (fate < split[0]), mask, x)
    read = np.where(chosen & (fate >= split[0]) & (fate < split[0] + split[1]), others, read)
    return read, np.where(chosen, x, IGNORED)


@dataclass(frozen=True)
class masking:
    """`mask_tokens` anew for each batch, as a change that `Batches(augment=...)` and `train.fit(augment=...)` make.

    x (B, T), y (B, 1 + T) -> the x that the model reads, and y with its first column, the label of the pair, and the hidden tokens behind it."""

    vocab: int
    mask: int = MASK
    special: tuple[int, ...] = SPECIAL
    share: float = 0.15
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)

    def __post_init__(self):
        _check_masking(self.vocab, self.mask, self.special, self.share, self.split)

    def __call__(self, x, y, rng):
        read, targets = mask_tokens(
            x, rng, self.vocab, self.mask, self.special, self.share, self.split
        )
        return read, np.concatenate([y[:, :1], targets], axis=1)


def sentence_pairs(tokens, context, rng, stride=None, start=CLS, stop=SEP):
    """Pairs of neighbouring spans of a text, half of them with another second span  (Devlin et al. 2019: a sentence is any span of a text).

    Tokens (N,) -> x (B, T), T = context: "start, span, stop, span, stop", and y (B, 1 + T): 0 where the second span follows the first and 1
    where it comes from elsewhere, then the tokens themselves, from which `masking` chooses. A pair begins at every `stride`-th token, None
    means where the one before ends. Raises ValueError for a text that is shorter than four spans."""
    check_whole(context=context)
    tokens = np.asarray(tokens)
    first = (context - 3) // 2
    second = context - 3 - first
    if first < 1 or len(tokens) < 4 * (first + second):
        raise ValueError(
            f"{len(tokens)} tokens are too few for pairs of {first} and {second}: take a longer text, or a context of at least 5 and at most {len(tokens) // 4 + 3}"
        )
    stride = first + second if stride is None else stride
    check_whole(stride=stride)
    places = np.arange(0, len(tokens) - first - second + 1, stride)
    follows = rng.random(len(places)) < 0.5
    # elsewhere: in a circle at least a pair away from the span that follows
    possible = len(tokens) - second + 1
    jump = rng.integers(first + second, possible - first - second + 1, len(places))
    elsewhere = (places + first + jump) % possible
    starts = np.where(follows, places + first, elsewhere)

    def spans(starts, length):
        return tokens[starts[:, None] + np.arange(length)]

    def marks(token):
        return np.full((len(places), 1), token)

    a, b = spans(places, first), spans(starts, second)
    x = np.concatenate([marks(start), a, marks(stop), b, marks(stop)], axis=1)
    return x, np.concatenate([np.where(follows, 0, 1)[:, None], x], axis=1)


def _check_masking(vocab, mask, special, share, split):
    check_whole(vocab=vocab)
    if not 0 <= mask < vocab or len(set(special)) >= vocab:
        raise ValueError(
            f"mask={mask}, special={special} with vocab={vocab}: they are tokens of the vocabulary, which has ordinary ones besides"
        )
    if not 0.0 < share <= 1.0:
        raise ValueError(
            f"share={share}: hide more than 0 and at most 1 of the tokens, 0.15 in BERT"
        )
    if len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-9:
        raise ValueError(
            f"split={split}: three probabilities that sum to 1, mask, random and unchanged"
        )

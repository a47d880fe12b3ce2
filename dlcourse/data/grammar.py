"""A generated language whose entropy is known exactly: the loss that no model can beat, and the best one reaches.

Sentences such as "the dogs that a cat near the birds chases bark and the fox runs ." come from this grammar, each choice at random:

    text        = sentence sentence ...
    sentence    = clause ("and" clause)* "."
    clause      = noun-phrase verb
    noun-phrase = noun ["near" noun | "that" noun-phrase verb]
    noun        = "the" (any noun) | "a" (a singular one)

A verb agrees in number with the noun it belongs to, and each noun prefers one of the verbs. That noun may lie far back, behind
others that do not count, and up to `depth` nouns wait for their verbs at once: the last token alone does not tell what follows.

The state of the source (what is expected next, and which nouns wait) follows from the tokens so far, so that the conditional
probability of every token is known, and its mean logarithm is a sum over the states (eq-source-entropy)."""

import functools
from dataclasses import dataclass

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data.dataset import Dataset, Split

NOUNS = ("dog", "cat", "fox", "bird", "dogs", "cats", "foxes", "birds")  # 4 singular, 4 plural
VERBS = ("barks", "chases", "runs", "sings", "bark", "chase", "run", "sing")
WORDS = (".", "the", "a", "near", "that", "and", *NOUNS, *VERBS)  # token 0 ends a sentence
TOKEN = {word: token for token, word in enumerate(WORDS)}

A = 0.4  # the probability of "a" as the article
NEAR, THAT = 0.25, 0.25  # what may follow a noun that waits for its verb
AND = 0.3  # that another clause follows
NOUN = (0.4, 0.3, 0.2, 0.1)  # dog, cat, fox, bird, in both numbers alike
PREFERRED = 0.7  # the share of a noun's own verb; the other three have the rest in equal parts


@dataclass(frozen=True)
class Grammar:
    """The source with at most `depth` nouns that wait for their verbs at once."""

    depth: int = 2

    def __post_init__(self):
        check_whole(depth=self.depth)
        if self.depth > 3:
            raise ValueError(
                f"depth={self.depth} has {8**self.depth:,} ways in which nouns may wait, too many to sum over: take 1, 2 or 3"
            )

    def sample(self, count, length, seed):
        """x, y (N, T) int64: N = count texts that each begin with a new sentence; x starts with ".", y holds what follows."""
        check_whole(count=count, length=length)
        rng = np.random.default_rng(seed)
        cumulative = self._machine.probabilities.cumsum(axis=1)
        following = self._machine.following
        tokens = np.zeros((count, length + 1), np.int64)
        state = np.zeros(count, np.int64)
        for t in range(1, length + 1):
            # the token whose share of [0, 1) holds the random number; rounding must not lead beyond the last
            drawn = rng.random(count)[:, None] * cumulative[state, -1:]
            tokens[:, t] = (cumulative[state] <= drawn).sum(axis=1)
            state = following[state, tokens[:, t]]
        return tokens[:, :-1], tokens[:, 1:]

    def dataset(self, train=20_000, validation=1_000, test=1_000, length=64, seed=0):
        """The Dataset of so many texts of `length` tokens; the seeds of the three parts differ."""
        parts = [
            Split(*self.sample(count, length, (seed, part)))
            for part, count in enumerate((train, validation, test))
        ]
        return Dataset("grammar", *parts, WORDS, f"generated, {self!r}, seed {seed}", "none needed")

    def log_probabilities(self, x):
        """log p(next token | the tokens so far) in nats, exact: x (N, T) as `sample` gives -> (N, T, V), -inf where none may follow.

        Raises ValueError for tokens that this grammar can't bring forth."""
        x = np.asarray(x)
        if x.ndim != 2 or x.dtype.kind not in "iu" or np.any(x[:, :1] != 0):
            raise ValueError(
                'x must be whole numbers (N, T) whose rows begin with token 0, ".": pass x of Grammar.sample'
            )
        machine = self._machine
        state, states = np.zeros(len(x), np.int64), []
        for t in range(x.shape[1]):
            if t:
                state = machine.following[state, x[:, t]]
            if np.any(state < 0):
                row = int(np.argmax(state < 0))
                raise ValueError(
                    f"row {row}: {WORDS[x[row, t]]!r} can't follow {self.decode(x[row, :t])!r} in {self!r}"
                )
            states.append(state)
        with np.errstate(divide="ignore"):
            return np.log(machine.probabilities)[np.stack(states, axis=1)]

    def entropy(self, length=None):
        """Nats a token: the expected loss of the source itself on texts of `length` tokens (eq-source-entropy).

        L_T = (1/T) sum_t sum_s P(state s before token t) H_s, H_s = - sum_v p(v | s) log p(v | s).
        No model has a smaller expected loss on texts of `sample`. With None the limit of long texts, the entropy rate."""
        return float(self._visits(length) @ _entropies(self._machine.probabilities))

    def markov_entropy(self, length=None):
        """Nats a token: the smallest expected loss of a model that sees the last token alone, a table of pairs, on such texts  (eq-markov-entropy)."""
        machine = self._machine
        joint = np.zeros((len(WORDS), len(WORDS)))  # P(last token, next token)
        np.add.at(joint, machine.last, self._visits(length)[:, None] * machine.probabilities)
        share = joint.sum(axis=1)
        seen = share > 0
        return float(share[seen] @ _entropies(joint[seen] / share[seen, None]))

    def encode(self, text):
        """The tokens of words with blanks between them."""
        return [TOKEN[word] for word in text.split()]

    def decode(self, tokens):
        return " ".join(WORDS[token] for token in tokens)

    def __len__(self):
        return len(WORDS)

    def _visits(self, length):
        """The share of the positions at which each state is met, from the first token on."""
        machine = self._machine
        state = np.zeros(len(machine.last))
        state[0] = 1.0
        total = np.zeros_like(state)
        if length is not None:
            check_whole(length=length)
            for _ in range(length):
                total += state
                state = machine.step(state)
            return total / length
        # in the long run the shares are those of one sentence: follow it to its end, however long
        while state.sum() > 1e-16:
            total += state
            state = machine.step(state)
            state[0] = 0.0
        return total / total.sum()

    @property
    def _machine(self):
        return _machine(self.depth)


class _Machine:
    """The grammar as a table of S states: probabilities (S, V), the state that follows (S, V) or -1, the last token (S,)."""

    def __init__(self, depth):
        start = (".", ())
        numbers, rows, queue = {start: 0}, [], [start]
        for state in queue:  # which grows while it is read
            rows.append(_choices(*state, depth))
            for _, after in rows[-1].values():
                if after not in numbers:
                    numbers[after] = len(numbers)
                    queue.append(after)
        self.probabilities = np.zeros((len(queue), len(WORDS)))
        self.following = np.full((len(queue), len(WORDS)), -1)
        for i, row in enumerate(rows):
            for word, (probability, after) in row.items():
                self.probabilities[i, TOKEN[word]] = probability
                self.following[i, TOKEN[word]] = numbers[after]
        self.last = np.array([TOKEN[last.split()[-1]] for last, _ in queue])

    def step(self, state):
        """The distribution over the states after one more token: q_s' = sum_s q_s P(s' | s)."""
        possible = self.following >= 0
        shares = (state[:, None] * self.probabilities)[possible]
        return np.bincount(self.following[possible], shares)  # each state follows another


_machine = functools.cache(_Machine)


def _choices(last, waiting, depth):
    """{word: (probability, state after it)}; a state is the last word, and the nouns that wait for their verbs, first to last.

    "near the" as the last word is an article whose noun waits for no verb."""
    if last in (".", "and", "that"):
        return {"the": (1 - A, ("the", waiting)), "a": (A, ("a", waiting))}
    if last == "near":
        return {"the": (1 - A, ("near the", waiting)), "a": (A, ("near a", waiting))}
    if last in ("the", "a", "near the", "near a"):
        allowed = NOUNS[:4] if last.endswith("a") else NOUNS
        chances = NOUN if last.endswith("a") else [share / 2 for share in NOUN * 2]
        if last.startswith("near"):
            return {
                noun: (p, (f"near {noun}", waiting))
                for noun, p in zip(allowed, chances, strict=True)
            }
        return {
            noun: (p, (noun, (*waiting, noun))) for noun, p in zip(allowed, chances, strict=True)
        }
    if not waiting:  # the verb that ends a clause
        return {"and": (AND, ("and", ())), ".": (1 - AND, (".", ()))}
    # a noun, one behind "near", or the verb of a clause inside: the last noun that waits takes its verb
    row = {}
    if last in NOUNS:
        row["near"] = (NEAR, ("near", waiting))
        if len(waiting) < depth:
            row["that"] = (THAT, ("that", waiting))
    rest, noun = 1 - sum(p for p, _ in row.values()), NOUNS.index(waiting[-1])
    for verb in VERBS[:4] if noun < 4 else VERBS[4:]:
        share = PREFERRED if VERBS.index(verb) == noun else (1 - PREFERRED) / 3
        row[verb] = (rest * share, (verb, waiting[:-1]))
    return row


def _entropies(p):
    """- sum_v p_v log p_v of each row, with 0 log 0 = 0."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)

"""A small language about people, made to see what pre-training teaches: every task on it has an answer that is known.

A person has four facts, one of each topic, told in any order: "anna lives in rome", "anna eats rye bread", "anna plays chess", "anna
works as nurse". Four words are names of people and of cities; only their neighbours tell which. Words are tokens, numbered as in `WORDS`."""

import functools
import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from dlcourse.boundary import IGNORED, check_choice, check_whole
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.masking import CLS, MASK, PAD, SEP, masking

BOTH = ("paris", "florence", "austin", "jordan")  # people and cities
NAMES = ("anna", "ben", "carl", "dora", "emil", "frida", "gustav", "hanna", *BOTH)
OBJECTS = {
    "city": ("rome", "oslo", "lima", "cairo", "delhi", "tokyo", *BOTH),
    "food": (
        *("bread", "rice", "soup", "cheese", "pasta", "salad"),
        *("rye bread", "bean soup", "fish pie", "apple cake"),
    ),
    "sport": (
        *("chess", "tennis", "hockey", "rugby", "golf", "judo"),
        *("ice hockey", "table tennis", "water polo", "beach ball"),
    ),
    "job": (
        *("baker", "nurse", "pilot", "judge", "farmer", "painter"),
        *("tax adviser", "bus driver", "school teacher", "night guard"),
    ),
}
FORMS = {  # n is the name, o the object
    "city": ("n lives in o", "in o lives n"),
    "food": ("n eats o", "n cooks o"),
    "sport": ("n plays o", "n watches o"),
    "job": ("n works as o", "n trains as o"),
}
TOPICS = tuple(OBJECTS)
TAGS = ("other", "person", "city")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *SPECIAL,
    *dict.fromkeys(
        word
        for text in (
            *NAMES,
            *(o for objects in OBJECTS.values() for o in objects),
            *(form for forms in FORMS.values() for form in forms),
            *("likes", "who", "what"),
        )
        for word in text.split()
        if word not in ("n", "o")
    ),
)
NUMBER = {word: token for token, word in enumerate(WORDS)}
CONTEXT = 24  # tokens of the longest sequence


class Fact(NamedTuple):
    """One sentence: its words, with the person and the object in them, and their topic."""

    words: tuple[str, ...]
    name: str
    object: str
    topic: str


def pairs(count, rng):
    """For pre-training: "CLS two facts SEP two facts SEP" -> x (N, T), y (N, 1 + T) as `sentence_pairs` returns them.

    In half of the pairs, label 0, the second two are about the same person; else about another."""
    check_whole(count=count)
    xs, labels = [], rng.integers(0, 2, count)
    for label in labels:
        name, other = rng.choice(NAMES, 2, replace=False)
        order = rng.permutation(TOPICS)
        facts = [
            _fact(rng, topic, name if i < 2 or label == 0 else other)
            for i, topic in enumerate(order)
        ]
        xs.append(_row(_words(facts[:2]), _words(facts[2:])))
    x = np.array(xs)
    return Split(x, np.concatenate([labels[:, None], x], axis=1))


def topics(count, rng, known=True, share=0.5):
    """For classification: "CLS anna likes chess SEP" -> x (N, T), y (N,), places in `TOPICS`.

    No pair for pre-training holds "likes": what an object is must be known from other sentences. The first `share` of each topic's objects is
    `known`, the rest is not, so that a network can be tested on objects for which it never saw a label. Cities that are names are left out,
    and objects of two words of which one stands in another object, too: a label for "bread" would tell "rye bread"."""
    xs, y = [], rng.integers(0, len(TOPICS), count)
    for label in y:
        every = OBJECTS[TOPICS[label]]
        uses = Counter(word for o in every for word in o.split())
        alone = [o for o in every if " " not in o or all(uses[word] == 1 for word in o.split())]
        objects = [o for o in alone if o not in BOTH]
        cut = round(share * len(objects))
        some = objects[:cut] if known else objects[cut:]
        xs.append(_row([rng.choice(NAMES), "likes", *rng.choice(some).split()]))
    return Split(np.array(xs), y)


def tags(count, rng):
    """For labelling: "CLS in paris lives austin SEP" -> x (N, T), y (N, T), places in `TAGS`, -100 at special tokens.

    Name and city are two of the words that may be either."""
    xs, ys = [], []
    for _ in range(count):
        name, city = rng.choice(BOTH, 2, replace=False)
        words = _fact(rng, "city", name, city).words
        x = _row(words)
        y = np.full(CONTEXT, IGNORED)
        y[1 : 1 + len(words)] = [1 if w == name else 2 if w == city else 0 for w in words]
        xs.append(x)
        ys.append(y)
    return Split(np.array(xs), np.array(ys))


def questions(count, rng, facts=3):
    """For answers that are spans: "CLS anna eats what SEP three facts SEP" -> x (N, T), y (N, 2), where the answer begins and ends.

    All facts have the same topic and form, each another person and object: only one word tells them apart. Half of the questions ask for the
    object, half "who eats soup" for the person. Who answers with one of the three persons or objects at random is right in a third."""
    xs, ys = [], []
    for _ in range(count):
        topic = rng.choice(TOPICS)
        form = rng.choice(FORMS[topic])
        names = rng.choice([n for n in NAMES if n not in BOTH], facts, replace=False)
        objects = rng.choice(OBJECTS[topic], facts, replace=False)
        told = [_fact(rng, topic, n, o, form) for n, o in zip(names, objects, strict=True)]
        asked = told[rng.integers(facts)]
        answer, hidden = (asked.object, "what") if rng.random() < 0.5 else (asked.name, "who")
        question = " ".join(asked.words).replace(answer, hidden).split()
        words, place = _words(told), 2 + len(question)
        for fact in told:
            if fact is asked:
                break
            place += len(fact.words)
        begin = place + _find(asked.words, answer.split())
        xs.append(_row(question, words))
        ys.append((begin, begin + len(answer.split()) - 1))
    return Split(np.array(xs), np.array(ys))


def gaps(count, rng, topic, told="whole"):
    """To look into a network: texts about one person in which [MASK] stands for the object of `topic`, one word -> x (N, T), y (N,).

    told="whole": a fact of each topic, two and two, as in `pairs`. "half": only the sentence with the gap. "twice": a fact of the other
    sentence is exchanged for a second one of `topic`; y is the topic that is left out so, a place in `TOPICS`, and -100 in the other two."""
    check_choice("topic", topic, TOPICS)
    check_choice("told", told, ("whole", "half", "twice"))
    people = [n for n in NAMES if n not in BOTH]
    single = [o for o in OBJECTS[topic] if " " not in o]
    xs, left_out = [], np.full(count, IGNORED)
    for i in range(count):
        name, hidden = rng.choice(people), rng.choice(single)
        order = list(rng.permutation(TOPICS))
        place = order.index(topic)
        if told == "twice":
            other = (place // 2 * 2 + 2 + rng.integers(2)) % 4
            left_out[i], order[other] = TOPICS.index(order[other]), topic
        facts = [_fact(rng, t, name, hidden if k == place else None) for k, t in enumerate(order)]
        words = ["[MASK]" if w == hidden else w for w in facts[place].words]
        facts[place] = facts[place]._replace(words=words)
        halves = [_words(facts[:2]), _words(facts[2:])]
        xs.append(_row(halves[place // 2]) if told == "half" else _row(*halves))
    return Split(np.array(xs), left_out)


def best_answers(read, targets, share=0.15, split=(0.8, 0.1, 0.1)):
    """What a perfect reader of `pairs` answers, who knows how they and their gaps are made: p (M, V) at the M places with a target  (eq-mlm).

    Bayes' rule over all texts of the language; `share` and `split` are those of `mask_tokens`. It hides a fixed number of tokens, of which k
    show no mask: the true text differs from what is read in at most k visible places besides the asked one, whose own token counts as in
    eq-corruption. Nobody names more of the tokens in the mean, or has a smaller loss. read (N, T), targets (N, T) with -100 elsewhere."""
    vocab, ordinary = len(WORDS), len(WORDS) - len(SPECIAL)
    other, kept = split[1] / ordinary, split[2]
    answers = []
    for row, wanted in zip(read, targets, strict=True):
        text = ~np.isin(row, (PAD, CLS, SEP))
        first, last = np.flatnonzero(row == SEP)
        halves = slice(1, first), slice(first + 1, last)
        hidden = max(1, round(share * text.sum()))
        for t in np.flatnonzero(wanted != IGNORED):
            seen = text & (row != MASK) & (np.arange(len(row)) != t)
            k = hidden - (text.sum() - seen.sum())  # the asked token is one of those not seen
            n = int(seen.sum())
            odds = [
                math.comb(n - d, k - d) * (kept + other) ** (k - d) * other**d for d in range(k + 1)
            ]
            asked, rest = halves if t < first else halves[::-1]
            here = _agreeing(row[asked], seen[asked], k, t - asked.start)  # (k + 1, P, N, V)
            there = _agreeing(row[rest], seen[rest], k)  # (k + 1, P, N)
            p = np.zeros(vocab)
            for d, e in itertools.product(range(k + 1), repeat=2):
                if d + e <= k:
                    p += odds[d + e] * np.einsum(
                        "pnv,pn->v", here[d], _OTHER_TOPICS @ there[e] @ _NAMES_OF_PAIRS
                    )
            if row[t] != MASK:
                p *= other + kept * (np.arange(vocab) == row[t])
            answers.append(p / p.sum())
    return np.array(answers)


def encode(text):
    """The tokens of words between spaces. Raises ValueError for a word that the language does not have."""
    unknown = [word for word in text.split() if word not in NUMBER]
    if unknown:
        raise ValueError(
            f"the language has no {unknown[0]!r}: its words are dlcourse.data.people.WORDS"
        )
    return [NUMBER[word] for word in text.split()]


def decode(tokens):
    """The words of tokens, without padding."""
    return " ".join(WORDS[token] for token in tokens if token != PAD)


def _fact(rng, topic, name, thing=None, form=None):
    thing = rng.choice(OBJECTS[topic]) if thing is None else thing
    form = rng.choice(FORMS[topic]) if form is None else form
    return Fact(_filled(form, name, thing), str(name), str(thing), str(topic))


def _filled(form, name, thing):
    return tuple(
        w for part in form.split() for w in {"n": name, "o": thing}.get(part, part).split()
    )


def _words(facts):
    return [word for fact in facts for word in fact.words]


def _row(first, second=None):
    """CLS first SEP (second SEP), padded."""
    tokens = [CLS, *(NUMBER[word] for word in first), SEP]
    if second is not None:
        tokens += [*(NUMBER[word] for word in second), SEP]
    return np.pad(tokens, (0, CONTEXT - len(tokens)))


def _find(words, part):
    """Where `part` begins in `words`."""
    return next(i for i in range(len(words)) if list(words[i : i + len(part)]) == part)


# ---------------------------------------------------------------- the perfect reader

# of two ordered pairs of topics: do they share none? (P, P); of two names: how likely are they in one text? (N, N)
_PAIRS = tuple(itertools.permutations(TOPICS, 2))
_OTHER_TOPICS = np.array([[float(not set(a) & set(b)) for b in _PAIRS] for a in _PAIRS])
_NAMES_OF_PAIRS = np.where(np.eye(len(NAMES), dtype=bool), 0.5, 0.5 / (len(NAMES) - 1))


@functools.cache
def _sentences():
    """{length: tokens (S, length), place in `_PAIRS` (S,), place in `NAMES` (S,)} of all pairs of facts about a person, all equally likely."""
    found = {}
    for n, name in enumerate(NAMES):
        facts = {
            topic: [
                encode(" ".join(_filled(form, name, o))) for form in FORMS[topic] for o in objects
            ]
            for topic, objects in OBJECTS.items()
        }
        for p, (a, b) in enumerate(_PAIRS):
            for one, two in itertools.product(facts[a], facts[b]):
                found.setdefault(len(one) + len(two), []).append((one + two, p, n))
    return {length: tuple(map(np.array, zip(*rows, strict=True))) for length, rows in found.items()}


def _agreeing(row, seen, k, asked=None):
    """How many sentences differ from `row` in d of the places `seen`, for d = 0, ..., k, by topics, name and the word at `asked`: (k + 1, P, N, V)."""
    tokens, topics, names = _sentences()[len(row)]
    differ = (tokens != row)[:, seen].sum(axis=1)
    near = differ <= k
    shape, index = (k + 1, len(_PAIRS), len(NAMES)), (differ[near], topics[near], names[near])
    if asked is not None:
        shape, index = (*shape, len(WORDS)), (*index, tokens[near, asked])
    return np.bincount(np.ravel_multi_index(index, shape), minlength=math.prod(shape)).reshape(
        shape
    )


# ---------------------------------------------------------------- as data sets


def load(questions_asked=False):
    """The Dataset "people", pairs for pre-training in which the tokens of validation and test are hidden once for all, or "people-questions".

    Each part has its own generator; a sentence may come twice, as in any language of 40 objects and 12 names."""
    sizes = (2_000 if questions_asked else 20_000, 1_000, 1_000)
    generators = [np.random.default_rng(seed) for seed in (1, 2, 3)]
    make = questions if questions_asked else pairs
    parts = [make(n, rng) for n, rng in zip(sizes, generators, strict=True)]
    if not questions_asked:
        hide = masking(len(WORDS))
        parts[1:] = [
            Split(*hide(*part, rng)) for part, rng in zip(parts[1:], generators[1:], strict=True)
        ]
    name = "people-questions" if questions_asked else "people"
    return Dataset(
        name,
        *parts,
        () if questions_asked else WORDS,
        "generated: dlcourse.data.people",
        "none needed",
    )

"""A small language about people, made to see what pre-training teaches: every task on it has an answer that is known.

A person has four facts, one of each topic, told in any order: "anna lives in rome", "anna eats rye bread", "anna plays chess", "anna
works as nurse". Four words are names of people and of cities; only their neighbours tell which. Words are tokens, numbered as in `WORDS`."""

from typing import NamedTuple

import numpy as np

from dlcourse.boundary import IGNORED, check_whole
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.masking import CLS, PAD, SEP, masking

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
    `known`, the rest is not, so that a network can be tested on objects for which it never saw a label. Cities that are names are left out."""
    xs, y = [], rng.integers(0, len(TOPICS), count)
    for label in y:
        objects = [o for o in OBJECTS[TOPICS[label]] if o not in BOTH]
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

    All facts have the same topic, each another person and object. Half of the questions ask for the object, half "who eats soup" for the person."""
    xs, ys = [], []
    for _ in range(count):
        topic = rng.choice(TOPICS)
        names = rng.choice([n for n in NAMES if n not in BOTH], facts, replace=False)
        objects = rng.choice(OBJECTS[topic], facts, replace=False)
        told = [_fact(rng, topic, n, o) for n, o in zip(names, objects, strict=True)]
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


def _fact(rng, topic, name, thing=None):
    thing = rng.choice(OBJECTS[topic]) if thing is None else thing
    form = rng.choice(FORMS[topic]).split()
    words = [w for part in form for w in {"n": name, "o": thing}.get(part, part).split()]
    return Fact(tuple(words), str(name), str(thing), str(topic))


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


# ---------------------------------------------------------------- as data sets


def load(questions_asked=False):
    """The Dataset "people", pairs for pre-training in which the tokens of validation and test are hidden once for all, or "people-questions".

    Each part has its own generator; a sentence may come twice, as in any language of 48 objects and 12 names."""
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

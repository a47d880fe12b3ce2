"""Byte-pair encoding step by step: a few words in pieces, the pairs that are counted, and the merge that comes next."""

import html
from collections import Counter
from itertools import pairwise

from dlcourse.interactive import interactive
from dlcourse.text.merges import learn, merge

LABEL = "Interactive figure: byte-pair encoding of a few words, merge by merge"


def show(words, merges=20, trial="lowest"):
    """`words`, {word: how often it occurs}, after no merge; the reader takes up to `merges` steps, and cuts words of their own.

    Letters take the place of bytes here, so that one can read them; the merges are those of `dlcourse.text`."""
    settings = read_settings(words, merges, trial)
    interactive("merges", settings, picture(settings), describe(settings), LABEL)


def read_settings(words, merges, trial):
    """What the script starts from, as JSON can hold it."""
    if not words or not all(word and n > 0 for word, n in words.items()):
        raise ValueError("the figure needs words with counts: pass {'low': 5, 'lower': 2}")
    tokens = sorted({letter for word in words for letter in word})
    numbers = {letter: i for i, letter in enumerate(tokens)}
    coded = {tuple(numbers[letter] for letter in word): n for word, n in words.items()}
    pairs = learn(coded, tokens, len(tokens) + merges, str.__add__)
    return {
        "words": [[word, n] for word, n in words.items()],
        "merges": [[tokens[a], tokens[b]] for a, b in pairs],
        "trial": trial,
    }


def segment(word, merges):
    """The pieces of a word after these merges, each applied in turn."""
    pieces = list(word)
    for a, b in merges:
        pieces = merge(pieces, (a, b), a + b)
    return pieces


def count(settings, step):
    """{pair: how often} after `step` merges, the most frequent first; ties stand as they were met."""
    pairs = Counter()
    for word, n in settings["words"]:
        for pair in pairwise(segment(word, settings["merges"][:step])):
            pairs[pair] += n
    return pairs


def totals(settings, step):
    """(tokens of all words, size of the vocabulary) after `step` merges."""
    merges = settings["merges"][:step]
    length = sum(n * len(segment(word, merges)) for word, n in settings["words"])
    letters = {letter for word, _ in settings["words"] for letter in word}
    return length, len(letters | {a + b for a, b in merges})


def sentence(settings, step):
    """What is said of a step, here and in the script."""
    length, size = totals(settings, step)
    text = f"After {step} merge{'s' if step != 1 else ''}: {length} tokens, vocabulary of {size}."
    if step < len(settings["merges"]):
        a, b = settings["merges"][step]
        text += f" Next: {a} + {b}, which occurs {count(settings, step)[a, b]} times."
    return text


def picture(settings):
    """The words before the first merge, as the script draws them."""
    words = "".join(
        f'<span class="dl-word">{"".join(f"<span>{html.escape(p)}</span>" for p in word)}<small>×{n}</small></span>'
        for word, n in settings["words"]
    )
    label = html.escape(sentence(settings, 0))
    return f'<div class="dl-words" role="img" aria-label="{label}">{words}</div>'


def describe(settings):
    """The figure as text: every merge with what it leaves."""
    lines = ["interactive figure: byte-pair encoding, merge by merge"]
    lines += [sentence(settings, step) for step in range(len(settings["merges"]) + 1)]
    return "\n".join(lines)

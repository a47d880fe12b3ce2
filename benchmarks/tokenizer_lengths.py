"""How many tokens the same sentences take in English and in Chinese, by vocabulary size and by what the tokeniser was trained on.

`python -m benchmarks.tokenizer_lengths` trains byte-level BPE on half of Tatoeba's training pairs, counts on its validation pairs, and
writes results/tokenizer-lengths.json, which the chapter on tokenisation reads. Nothing but the choice of the half is random."""

import json
from pathlib import Path

import numpy as np

from dlcourse import data
from dlcourse.text import BPETokenizer

SIZES = (256, 512, 1024, 2048, 4096, 8192)
SEEDS = (0, 1, 2)
LANGUAGES = ("English", "Chinese")
RESULT = Path("results/tokenizer-lengths.json")


def main():
    pairs = data.load("tatoeba")  # Chinese -> English
    train, held_out = (dict(zip(LANGUAGES[::-1], part, strict=True)) for part in (pairs.train, pairs.validation))
    half = len(pairs.train.sources) // 2
    tokens = {name: {language: [] for language in LANGUAGES} for name in (*LANGUAGES, "both")}
    for seed in SEEDS:
        rows = np.random.default_rng(seed).permutation(2 * half)[:half]
        texts = {language: [train[language][i] for i in rows] for language in LANGUAGES}
        texts["both"] = texts["English"] + texts["Chinese"]
        for name, chosen in texts.items():
            counts = {language: [] for language in LANGUAGES}
            largest = BPETokenizer.train(chosen, SIZES[-1])
            for size in SIZES:
                tokenizer = first(largest, size)
                for language in LANGUAGES:
                    counts[language].append(sum(len(tokenizer.encode(text)) for text in held_out[language]))
            for language in LANGUAGES:
                tokens[name][language].append(counts[language])
    record = {
        "format": 1,
        "study": "tokenizer-lengths",
        "title": "Tokens of the same sentences in English and Chinese",
        "data": {"name": pairs.name, "source": pairs.source, "train": half, "held_out": len(pairs.validation.sources)},
        "sizes": SIZES,
        "seeds": SEEDS,
        "characters": {language: sum(map(len, texts)) for language, texts in held_out.items()},
        "bytes": {language: sum(len(text.encode()) for text in texts) for language, texts in held_out.items()},
        "tokens": tokens,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {RESULT}")


def first(tokenizer, size):
    """The tokeniser that a training to `size` tokens would have given: its merges are the first of the larger one's."""
    vocab = {token: i for token, i in tokenizer.vocab.items() if i < size}
    return BPETokenizer(vocab, [pair for pair in tokenizer.merges if "".join(pair) in vocab])


if __name__ == "__main__":
    main()

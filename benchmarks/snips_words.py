"""What the intents of Snips are worth to a classifier that only counts words: the row beside BERT's in the chapter on BERT.

`python -m benchmarks.snips_words` fits logistic regression on tf-idf vectors of words, both with scikit-learn's default settings, on the
training part, and writes results/snips-words.json. Nothing is chosen and nothing is random."""

import json
from pathlib import Path

import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from dlcourse import data

RESULT = Path("results/snips-words.json")


def main():
    sentences = data.load("snips")
    parts = {name: getattr(sentences, name) for name in ("train", "validation", "test")}
    texts = {name: [" ".join(sentence.words) for sentence in part] for name, part in parts.items()}
    labels = {name: [sentence.label for sentence in part] for name, part in parts.items()}
    vectors = TfidfVectorizer().fit(texts["train"])
    model = LogisticRegression(max_iter=1000).fit(vectors.transform(texts["train"]), labels["train"])
    record = {
        "format": 1,
        "study": "snips-words",
        "title": "The intents of Snips from tf-idf vectors of words, by logistic regression",
        "data": {"name": sentences.name, "source": sentences.source} | {name: len(part) for name, part in parts.items()},
        "words": len(vectors.vocabulary_),
        "accuracy": {name: round(model.score(vectors.transform(texts[name]), labels[name]), 6) for name in ("validation", "test")},
        "versions": {"scikit-learn": sklearn.__version__},
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()

import numpy as np
import pytest
import sklearn.metrics

from dlcourse import metrics


def cases():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 7)), rng.integers(0, 7, 500)


def test_equal_to_scikit_learn():
    logits, labels = cases()
    predicted = metrics.predictions(logits)
    assert metrics.accuracy(logits, labels) == sklearn.metrics.accuracy_score(labels, predicted)
    np.testing.assert_array_equal(
        metrics.confusion(predicted, labels, 7), sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7))
    )


@pytest.mark.parametrize("shape", [(500, 1), (500,)])
def test_two_classes_from_one_logit(shape):
    logits, labels = cases()
    logits, labels = logits[:, 0], labels % 2
    assert metrics.accuracy(logits.reshape(shape), labels) == sklearn.metrics.accuracy_score(labels, logits > 0)
    assert metrics.accuracy(logits.reshape(shape), labels[:, None]) == metrics.accuracy(logits, labels)


def test_confusion_rows_are_labels_and_absent_classes_stay():
    np.testing.assert_array_equal(metrics.confusion([1, 1, 0], [0, 1, 0], 3), [[1, 1, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.accuracy(np.zeros((3, 2)), np.zeros(2, int)), "3 logits but 2 labels"),
        (lambda: metrics.accuracy(np.zeros((0, 2)), np.zeros(0, int)), "no examples"),
        (lambda: metrics.confusion([0], [0, 1], 2), "1 predictions but 2 labels"),
        (lambda: metrics.confusion([0, 2], [0, 1], 2), r"predictions run from 0 to 2: .*classes=3"),
        (lambda: metrics.confusion([0, 1], [0, -1], 2), "labels run from -1: classes count from 0"),
    ],
)
def test_refuses(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()


# ---------------------------------------------------------------- positions, texts and spans


def test_accuracy_over_the_positions_that_count():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 4, 5)), rng.integers(0, 5, size=(6, 4))
    labels[rng.random(labels.shape) < 0.5] = -100
    counts = labels != -100
    assert metrics.accuracy(logits, labels) == np.mean(logits.argmax(-1)[counts] == labels[counts])
    assert metrics.predictions(logits).shape == (6, 4)
    assert metrics.predictions(np.eye(5)[None, :1] * 2).tolist() == [[0]], "one position of five classes, not one logit"
    with pytest.raises(ValueError, match="all labels are -100"):
        metrics.accuracy(logits, np.full((6, 4), -100))


def test_perplexity_is_the_number_of_equally_likely_tokens():
    assert metrics.perplexity(np.log(65)) == pytest.approx(65, rel=1e-14)
    np.testing.assert_allclose(metrics.perplexity([0.0, np.log(2)]), [1.0, 2.0], rtol=1e-15)
    assert metrics.perplexity(1000.0 * np.log(10) / 4) == pytest.approx(1e250, rel=1e-10)


def test_exact_match():
    assert metrics.exact_match(["1999-12-31", "2000-01-01"], ["1999-12-31", "2001-01-01"]) == 0.5
    assert metrics.exact_match([[1, 2], [3]], [[1, 2], [3]]) == 1.0


SPANS = [
    ("O", []),
    ("B-PER", [("PER", 0, 1)]),
    ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
    ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
    ("I-PER I-PER O", [("PER", 0, 2)]),
    ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
    ("O I-LOC B-LOC I-PER", [("LOC", 1, 2), ("LOC", 2, 3), ("PER", 3, 4)]),
    ("B-X-Y I-X-Y", [("X-Y", 0, 2)]),
]


@pytest.mark.parametrize(("tags", "expected"), SPANS, ids=[tags for tags, _ in SPANS])
def test_spans_as_conlleval_reads_them(tags, expected):
    assert metrics.spans(tags.split()) == expected


def test_span_scores_by_hand():
    """Wanted: 3 spans. Predicted: one right, one with a wrong end, one of a wrong type, one where there is none."""
    wanted = ["B-PER I-PER O O".split(), "B-LOC I-LOC O B-ORG O".split()]
    predicted = ["B-PER I-PER O B-LOC".split(), "B-LOC O O B-PER O".split()]
    scores = metrics.span_scores(predicted, wanted)
    assert scores == {"precision": 1 / 4, "recall": 1 / 3, "f1": 2 / 7}
    assert metrics.span_scores(wanted, wanted) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert metrics.span_scores([["O"]], [["O"]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert metrics.span_scores([["O"]], [["B-X"]]) == metrics.span_scores([["B-X"]], [["O"]])


def test_bleu_by_hand():
    """Precisions 5/6, 3/5, 1/4 and 0 smoothed to 1/(2 * 3) of n-grams; equal lengths, so no penalty."""
    score = metrics.bleu(["the cat sat on the mat"], ["the cat sits on the mat"])
    assert score == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25, rel=1e-6)
    assert metrics.bleu(["a b c d e"], ["a b c d e"]) == pytest.approx(100)
    short = metrics.bleu(["a b c d"], ["a b c d e f"], tokenize="none")
    assert short == pytest.approx(100 * np.exp(1 - 6 / 4), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: metrics.exact_match(["a"], []), "1 predictions but 0 wanted"),
        (lambda: metrics.exact_match([], []), "no examples"),
        (lambda: metrics.bleu([], []), "no examples"),
        (lambda: metrics.span_scores([["O"]], [["O", "O"]]), "1 predicted tags but 2 wanted"),
        (lambda: metrics.span_scores([["O"]], []), "1 predictions but 0 wanted"),
        (lambda: metrics.spans(["PER"]), "tag 'PER' at 0: write O, B-type or I-type"),
        (lambda: metrics.spans(["O", "B-"]), "tag 'B-' at 1"),
        (lambda: metrics.spans(["E-PER"]), "tag 'E-PER' at 0"),
    ],
)
def test_refuses_texts_and_spans(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()


def test_bits_per_byte():
    assert metrics.bits_per_byte(np.log(256), 10, 10) == pytest.approx(8)  # equally likely bytes
    assert metrics.bits_per_byte(2.0, 50, 200) == pytest.approx(0.25 * np.log2(metrics.perplexity(2.0)))
    with pytest.raises(ValueError, match="0 tokens and 5 bytes: count those of the text that was evaluated"):
        metrics.bits_per_byte(1.0, 0, 5)

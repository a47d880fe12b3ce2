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


# ---------------------------------------------------------------- positions


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

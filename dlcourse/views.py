"""One answer from two views of a photo: a classifier is asked about each image and about its mirror image."""

import numpy as np

from dlcourse import metrics
from dlcourse.boundary import check_images


def mirrored(learner, x, batch_size=1000):
    """Mean of the logits of each image and of its mirror image, left for right: (f(x) + f(x mirrored)) / 2  (eq-mirrored).  (N, H, W, C) -> (N, O)

    It takes twice the time of a prediction, uses no label, and leaves the number of images as it is. For things whose mirror image is the
    same thing, which a network saw with `augment.flip`: an animal, not a digit. The idea is that of Krizhevsky et al. (2012), who averaged
    the predictions for ten views. Raises ValueError for anything but images, and for none."""
    check_images(x)
    if len(x) == 0:
        raise ValueError("there are no images to look at: pass at least one")
    logits = []
    for start in range(0, len(x), batch_size):
        part = x[start : start + batch_size]
        other = np.ascontiguousarray(part[:, :, ::-1])
        logits.append((learner.predict(part) + learner.predict(other)) / 2)
    return np.concatenate(logits)


def mirrored_accuracy(learner, dataset):
    """{"validation_accuracy_mirrored": ..., "test_accuracy_mirrored": ...}: the accuracy of `mirrored`, for a recipe's `measure`."""
    found = {}
    for name in ("validation", "test"):
        x, y = getattr(dataset, name)
        found[f"{name}_accuracy_mirrored"] = metrics.accuracy(mirrored(learner, x), y)
    return found

"""The figures: what they show is what they were given, and shapes that mean something else are refused."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib import pyplot

from dlcourse import plot

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def closed():
    with matplotlib.rc_context():
        yield
        pyplot.close("all")


def shown():
    """The arrays of the current figure, in order, as they were handed to Matplotlib; with the limits of grey."""
    pictures = [axis.images[0] for axis in pyplot.gcf().axes if axis.images]
    return [np.asarray(picture.get_array()) for picture in pictures], [picture.get_clim() for picture in pictures]


@pytest.mark.parametrize("shape", [(7, 5, 4, 3), (7, 5, 4, 1), (7, 5, 4)])
def test_images(shape):
    x = RNG.random(shape)
    plot.images(x, [f"{i}" for i in range(7)], columns=3)
    arrays, _ = shown()
    assert len(arrays) == 7 and len(pyplot.gcf().axes) == 9
    for image, array in zip(x, arrays, strict=True):
        assert np.array_equal(array, image if shape[-1] == 3 and len(shape) == 4 else image.reshape(5, 4))
    assert [axis.get_title() for axis in pyplot.gcf().axes] == [*"0123456", "", ""]


def test_colours_of_bytes():
    plot.images(RNG.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8))
    assert shown()[0][0].dtype == np.uint8


def test_filters_in_colour_are_scaled_one_by_one():
    weight = RNG.normal(size=(5, 3, 3, 3))
    weight[4] = 0.25  # all equal: nothing to scale
    kept = weight.copy()
    plot.filters(weight, columns=4)
    arrays, _ = shown()
    assert np.array_equal(weight, kept) and len(arrays) == 5
    for kernel, array in zip(weight[:4], arrays, strict=False):
        np.testing.assert_allclose(array, (kernel - kernel.min()) / (kernel.max() - kernel.min()))
    assert np.array_equal(arrays[4], np.zeros((3, 3, 3)))


@pytest.mark.parametrize("inputs", [1, 2, 6])
def test_filters_in_grey_are_a_picture_for_each_input_channel(inputs):
    weight = RNG.normal(size=(4, 5, 5, inputs))
    weight[3] = 0
    plot.filters(weight)
    arrays, limits = shown()
    assert len(arrays) == 4 * inputs
    for i, (array, (low, high)) in enumerate(zip(arrays, limits, strict=True)):
        kernel = weight[i // inputs]
        assert np.array_equal(array, kernel[..., i % inputs])
        assert -low == high == (abs(kernel).max() or 1.0), "zero is not mid-grey"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_saliency(channels, count):
    x, gradient = RNG.random((count, 6, 5, channels)), RNG.normal(size=(count, 6, 5, channels))
    plot.saliency(x, gradient)
    arrays, limits = shown()
    assert len(arrays) == 2 * count
    for n in range(count):
        assert np.array_equal(arrays[n], x[n] if channels == 3 else x[n, ..., 0])
        for row in range(6):
            for column in range(5):
                assert arrays[count + n][row, column] == max(abs(value) for value in gradient[n, row, column])
        assert limits[count + n] == (0, abs(gradient[n]).max())


REFUSED = {
    "one image": (lambda: plot.images(np.zeros((5, 4))), "images have shape (5, 4): pass (N, H, W, 1) or (N, H, W) in grey"),
    "channels first": (lambda: plot.images(np.zeros((7, 3, 5, 4))), "images have shape (7, 3, 5, 4): pass (N, H, W, 1)"),
    "none": (lambda: plot.images(np.zeros((0, 5, 4))), "images have shape (0, 5, 4, 1)"),
    "titles": (lambda: plot.images(np.zeros((2, 5, 4)), ["a"]), "2 images but 1 titles: each image needs one"),
    "colours": (lambda: plot.images(np.full((2, 5, 4, 3), -0.5)), "the values of the images run from -0.5 to -0.5: colours are floats in [0, 1]"),
    "NaN": (lambda: plot.images(np.full((2, 5, 4, 3), np.nan)), "colours are floats in [0, 1]"),
    "flat weight": (lambda: plot.filters(np.zeros((8, 75))), "weight has shape (8, 75): the kernels of a convolution are (O, kernel, kernel, I)"),
    "PyTorch's weight": (lambda: plot.filters(np.zeros((8, 3, 5, 5))), "needs weight.transpose(0, 2, 3, 1)"),
    "no kernels": (lambda: plot.filters(np.zeros((0, 5, 5, 3))), "weight has shape (0, 5, 5, 3)"),
    "gradient of one": (lambda: plot.saliency(np.zeros((2, 5, 4, 1)), np.zeros((1, 5, 4, 1))), "the images have shape (2, 5, 4, 1) but the gradient (1, 5, 4, 1)"),
    "a single image": (lambda: plot.saliency(np.zeros((5, 4, 1)), np.zeros((5, 4, 1))), "pass (N, H, W, 1) or (N, H, W, 3); a single image needs x[None]"),
    "two channels": (lambda: plot.saliency(np.zeros((2, 5, 4, 2)), np.zeros((2, 5, 4, 2))), "the images have shape (2, 5, 4, 2): pass"),
    "no images": (lambda: plot.saliency(np.zeros((0, 5, 4, 1)), np.zeros((0, 5, 4, 1))), "the images have shape (0, 5, 4, 1): pass"),
    "colours of an image": (lambda: plot.saliency(np.full((1, 5, 4, 3), 2.0), np.zeros((1, 5, 4, 3))), "the values of the images run from 2 to 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, sentence = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        call()
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not pyplot.get_fignums(), "an empty figure is left"

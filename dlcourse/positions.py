"""Where a token stands, as numbers: the constant encodings, the same for every backend."""

import numpy as np


def sinusoidal(context, width):
    """P[t, 2i] = sin(t / 10000^(2i / C)),  P[t, 2i + 1] = cos(t / 10000^(2i / C))  (eq-sinusoidal; Vaswani et al. 2017).

    -> (T, C) = (context, width) in float64, added to the embeddings. Raises ValueError for an odd width."""
    if width % 2:
        raise ValueError(
            f"width={width} is odd, but sines and cosines come in pairs: take width={width + 1}"
        )
    angles = np.arange(context)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    table = np.empty((context, width))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table


def alibi(heads, length):
    """b[h, i, j] = -2^(-8 h / H) |i - j|,  h = 1 ... H  (eq-alibi; Press et al. 2022).

    -> (H, T, T) in float64, added to the scores: the farther a key, the lower, in each head with a slope of its own."""
    slopes = 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)
    places = np.arange(length)
    return -slopes[:, None, None] * np.abs(places[:, None] - places)

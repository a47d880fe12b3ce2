"""Layers: MLX's own, under the course's names and signatures."""

import mlx.nn as nn


class Linear(nn.Linear):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, bias=True):
        super().__init__(inputs, outputs, bias)


class LayerNorm(nn.LayerNorm):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each row  (eq-layer-norm).

    x, y (..., C); weight, bias (C,)"""

    def __init__(self, features, eps=1e-5):
        super().__init__(features, eps)


class RMSNorm(nn.RMSNorm):
    """y = w x / sqrt(mean(x^2) + eps)  (eq-rms-norm).  x, y (..., C); weight (C,)"""

    def __init__(self, features, eps=1e-6):
        super().__init__(features, eps)


# MLX updates running_var with the unbiased variance, as PyTorch does (its early versions did not;
# the parity tests would show it)
class BatchNorm(nn.BatchNorm):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each feature  (eq-batch-norm).

    Training takes mean and variance from the batch and updates the running ones
    (eq-running-statistics), evaluation takes the running ones. x, y (..., C); weight, bias,
    running_mean, running_var (C,)"""

    def __init__(self, features, momentum=0.1, eps=1e-5):
        super().__init__(features, eps, momentum)

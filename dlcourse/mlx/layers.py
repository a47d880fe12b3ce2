"""Layers: MLX's own, under the course's names and signatures."""

import mlx.nn as nn


class Linear(nn.Linear):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)"""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)

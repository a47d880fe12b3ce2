"""The multilayer perceptron in NumPy, its backward pass written out."""

from itertools import pairwise

from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import Linear
from dlcourse.numpy.module import Module


class MLP(Module):
    """h_0 = x,  h_l = activation(h_(l-1) W_l^T + b_l),  logits = h_K W^T + b
    (eq-mlp; gradients eq-backprop).

    x (B, ...) with the product of the trailing axes I = config.inputs -> logits (B, O).
    Dropout acts after every hidden activation, and only when a generator `rng` is given."""

    def __init__(self, config):
        self.config = config
        self.layers = [Linear(i, o) for i, o in pairwise(config.sizes)]

    def __call__(self, x, rng=None):
        activation = getattr(f, self.config.activation)
        h = x.reshape(len(x), -1)  # (B, ...) -> (B, I)
        backs = []
        for layer in self.layers[:-1]:
            z, linear_back = layer(h)
            a, activation_back = activation(z)
            h, dropout_back = f.dropout(a, self.config.dropout, rng)
            backs += [linear_back, activation_back, dropout_back]
        logits, head_back = self.layers[-1](h)  # (B, O)

        def backward(dlogits):
            dh = head_back(dlogits)
            for back in reversed(backs):
                dh = back(dh)
            return dh.reshape(x.shape)

        return logits, backward

"""The multilayer perceptron in NumPy, its backward pass written out."""

from itertools import pairwise

from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import BatchNorm, LayerNorm, Linear, RMSNorm
from dlcourse.numpy.module import Module

NORMS = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm}


class MLP(Module):
    """h_0 = x,  h_l = activation(h_(l-1) W_l^T + b_l),  logits = h_K W^T + b
    (eq-mlp; gradients eq-backprop).

    x (B, ...) with the product of the trailing axes I = config.inputs -> logits (B, O).
    Between a hidden layer and its activation stands the norm of the configuration, if any; a batch
    norm makes that layer's bias useless, so it has none.
    Dropout acts after every hidden activation, and only when a generator `rng` is given."""

    def __init__(self, config):
        self.config = config
        hidden_bias = config.norm != "batch"
        self.layers = [Linear(i, o, hidden_bias) for i, o in pairwise(config.sizes[:-1])]
        self.layers.append(Linear(*config.sizes[-2:]))
        self.norms = [NORMS[config.norm](h) for h in config.hidden if config.norm != "none"]

    def __call__(self, x, rng=None):
        activation = getattr(f, self.config.activation)
        h = x.reshape(len(x), -1)  # (B, ...) -> (B, I)
        backs = []
        for i, layer in enumerate(self.layers[:-1]):
            z, linear_back = layer(h)
            backs.append(linear_back)
            if self.norms:
                z, norm_back = self.norms[i](z)
                backs.append(norm_back)
            a, activation_back = activation(z)
            h, dropout_back = f.dropout(a, self.config.dropout, rng)
            backs += [activation_back, dropout_back]
        logits, head_back = self.layers[-1](h)  # (B, O)

        backs.append(head_back)

        def backward(dlogits):
            dh = dlogits
            for back in reversed(backs[1:]):
                dh = back(dh)
            dx = backs[0](dh, self.need_dx)
            return None if dx is None else dx.reshape(x.shape)

        return logits, backward

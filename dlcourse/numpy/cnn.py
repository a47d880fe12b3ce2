"""The convolutional network in NumPy, its backward pass written out."""

from itertools import pairwise

from dlcourse.boundary import check_model_images
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from dlcourse.numpy.module import Module

POOLS = {"max": MaxPool2d, "avg": AvgPool2d}


class CNN(Module):
    """h_0 = x,  h_l = pool(activation(conv_l(h_(l-1)))),  then an MLP on the numbers of the last h
    (eq-cnn; gradients eq-cnn-vjp, eq-backprop).

    x (B, H, W, C), the (H, W, C) of config.inputs -> logits (B, O).
    Dropout acts after every hidden activation of the MLP, and only when a generator `rng` is given."""

    def __init__(self, config):
        self.config = config
        widths = pairwise((config.inputs[2], *config.channels))
        self.convs = [
            Conv2d(i, o, config.kernel, padding=p)
            for (i, o), p in zip(widths, config.padding, strict=True)
        ]
        self.pool = POOLS[config.pool](2)
        self.layers = [Linear(i, o) for i, o in pairwise(config.sizes)]

    def __call__(self, x, rng=None):
        check_model_images(x, self.config.inputs)
        activation = getattr(f, self.config.activation)
        # pool halves H' and W'. The largest of four ReLUs is the ReLU of the largest, its gradient too: with the
        # same bits, but a quarter of the numbers to compare with zero
        commute = self.config.pool == "max" and self.config.activation == "relu"
        steps = (self.pool, activation) if commute else (activation, self.pool)
        h, backs = x, []
        for conv in self.convs:
            for step in (conv, *steps):  # (B, H, W, C) -> (B, H', W', C')
                h, back = step(h)
                backs.append(back)
        maps = h.shape
        h = h.reshape(len(h), -1)  # (B, H, W, C) -> (B, H W C)
        backs.append(lambda dh: dh.reshape(maps))
        for layer in self.layers[:-1]:
            z, linear_back = layer(h)
            a, activation_back = activation(z)
            h, dropout_back = f.dropout(a, self.config.dropout, rng)
            backs += [linear_back, activation_back, dropout_back]
        logits, head_back = self.layers[-1](h)  # (B, O)

        def backward(dlogits):
            dh = head_back(dlogits)
            for back in reversed(backs[1:]):
                dh = back(dh)
            return backs[0](dh, self.need_dx)

        return logits, backward

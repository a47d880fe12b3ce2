"""A model of text small enough to follow, in three backends: the mean of the embeddings so far, then one Linear layer.

It stands for all models that take tokens, in the tests of what they share."""

from dataclasses import dataclass

import numpy as np

import dlcourse
from dlcourse.boundary import Tokens


@dataclass(frozen=True)
class BagConfig:
    vocab: int = 7
    context: int | None = 5
    width: int = 6
    pretraining: bool = False  # a second head, on the last position

    @property
    def inputs(self):
        return Tokens(self.vocab, self.context)

    @property
    def outputs(self):
        return self.vocab


def state_of(config, dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = {"tok.weight": (config.vocab, config.width), "head.weight": (config.vocab, config.width), "head.bias": (config.vocab,)}
    if config.pretraining:
        shapes |= {"nsp.weight": (2, config.width), "nsp.bias": (2,)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def averages(length, dtype):
    """M (T, T), so that M h is at each position the mean of h up to it."""
    return (np.tril(np.ones((length, length))) / np.arange(1, length + 1)[:, None]).astype(dtype)


def numpy_bag(config):
    from dlcourse.numpy import Embedding, Linear
    from dlcourse.numpy.module import Module

    class Bag(Module):
        def __init__(self):
            self.config = config
            self.tok, self.head = Embedding(config.vocab, config.width), Linear(config.width, config.vocab)
            if config.pretraining:
                self.nsp = Linear(config.width, 2)

        def __call__(self, x, rng=None):
            h, tok_back = self.tok(x)
            mean = averages(x.shape[1], h.dtype)
            h = mean @ h
            logits, head_back = self.head(h)
            if not config.pretraining:
                return logits, lambda dlogits: tok_back(mean.T @ head_back(dlogits))
            pair, nsp_back = self.nsp(h[:, -1])

            def backward(dlogits):
                dh = head_back(dlogits[0])
                dh[:, -1] += nsp_back(dlogits[1])
                return tok_back(mean.T @ dh)

            return (logits, pair), backward

    return Bag()


def torch_bag(config):
    import torch

    from dlcourse.torch import Embedding, Linear
    from dlcourse.torch.module import Module

    class Bag(Module):
        def __init__(self):
            super().__init__()
            self.config = config
            self.tok, self.head = Embedding(config.vocab, config.width), Linear(config.width, config.vocab)
            if config.pretraining:
                self.nsp = Linear(config.width, 2)

        def forward(self, x):
            h = self.tok(x)
            h = torch.from_numpy(averages(x.shape[1], np.float64)).to(h.dtype) @ h
            return (self.head(h), self.nsp(h[:, -1])) if config.pretraining else self.head(h)

    return Bag()


def mlx_bag(config):
    import mlx.core as mx

    from dlcourse.mlx import Embedding, Linear
    from dlcourse.mlx.module import Module

    class Bag(Module):
        def __init__(self):
            super().__init__()
            self.config = config
            self.tok, self.head = Embedding(config.vocab, config.width), Linear(config.width, config.vocab)
            if config.pretraining:
                self.nsp = Linear(config.width, 2)

        def __call__(self, x):
            h = mx.array(averages(x.shape[1], np.float32)) @ self.tok(x)
            return (self.head(h), self.nsp(h[:, -1])) if config.pretraining else self.head(h)

    return Bag()


BAGS = {"numpy": numpy_bag, "torch": torch_bag, "mlx": mlx_bag}


def learner_of(backend, config=BagConfig(), dtype=np.float32, **options):
    package, model = dlcourse.backend(backend), BAGS[backend](config)
    model.load_state(state_of(config, dtype))
    return package.Learner(model, package.Adam(model), **({"loss": "pretraining"} if config.pretraining else {}) | options)

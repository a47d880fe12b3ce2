"""MLX's own optimizers: the learning rate is an argument of the step, the state has the course's names."""

import math
from functools import partial

import mlx.core as mx
import mlx.optimizers
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_map_with_path

from dlcourse.boundary import (
    check_matrix,
    check_optimizer,
    check_trainable,
    check_trained,
    check_whole,
)
from dlcourse.state import check_names

# a, b, c of Muon's phi: small singular values grow 3.4 times a round
QUINTIC = 3.4445, -4.7750, 2.0315
SMALLEST = 1e-7  # a matrix with a smaller norm is divided by this, so that zero stays zero


class Optimizer:
    """Wraps an `mlx.optimizers` object. Gradients are values in MLX, so `step` takes them."""

    slots = {}  # the course's name of a running average -> MLX's
    weight_decay = 0.0

    def __init__(self, model, optimizer):
        self.model, self.optimizer, self.steps = model, optimizer, 0
        self.optimizer.init(model.trainable_parameters())
        self.names = self._trained()
        check_trainable(self.names)

    def step(self, lr, gradients):
        check_trained(self._trained(), self.names)
        self.optimizer.learning_rate = lr
        self.optimizer.update(self.model, gradients)
        self.steps += 1
        # MLX is lazy: without this the graph would grow from step to step
        mx.eval(self.model.parameters(), self.optimizer.state)

    def state(self):
        """{"step": count, "m.layers.0.weight": array, ...}: the same names in every backend."""
        theirs = dict(tree_flatten(self.optimizer.state))
        state = {"step": np.array(self.steps)}
        for slot, mlx_slot in self.slots.items():
            for name, _ in tree_flatten(self.model.trainable_parameters()):
                state[f"{slot}.{name}"] = np.array(theirs[f"{name}.{mlx_slot}"])
        return state

    def _trained(self):
        return {name for name, _ in tree_flatten(self.model.trainable_parameters())}

    def load_state(self, state):
        check_names({name: array.shape for name, array in self.state().items()}, state)
        self.steps = int(state["step"])
        loaded = {"step": mx.array(self.steps, mx.uint64)}
        for slot, mlx_slot in self.slots.items():
            for name, _ in tree_flatten(self.model.trainable_parameters()):
                loaded[f"{name}.{mlx_slot}"] = mx.array(np.asarray(state[f"{slot}.{name}"]))
        old_state = self.optimizer.state
        self.optimizer.state = tree_map_with_path(
            lambda path, old: loaded.get(path, old), old_state
        )
        # MLX's setter asks for a new start, which would clear what was just loaded
        self.optimizer._initialized = True


class SGD(Optimizer):
    """w <- w - lr g  (eq-sgd); with momentum v <- mu v + g, w <- w - lr v  (eq-momentum; Polyak 1964).

    Nesterov: w <- w - lr (g + mu v)  (eq-nesterov; Nesterov 1983). `weight_decay` adds its multiple of w
    to g where w has two or more axes: an L2 penalty  (eq-l2-descent)."""

    def __init__(self, model, momentum=0.0, nesterov=False, weight_decay=0.0):
        check_optimizer(momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum above 0, for example momentum=0.9")
        self.slots = {"velocity": "v"} if momentum else {}
        super().__init__(model, mlx.optimizers.SGD(0.0, momentum=momentum, nesterov=nesterov))
        self.weight_decay = weight_decay

    def step(self, lr, gradients):
        if self.weight_decay:
            gradients = tree_map(self._with_penalty, gradients, self.model.trainable_parameters())
        super().step(lr, gradients)

    def _with_penalty(self, g, p):
        return g + self.weight_decay * p if p.ndim >= 2 else g


class ProximalSGD(SGD):
    """w <- S(w - lr g), S moving every weight by lr l1 towards zero, at most to zero  (eq-proximal-step; Daubechies et al. 2004).

    Descent on the loss plus `l1` times the sum of |w| over all w with two or more axes, which makes many of
    them exactly zero; the others take the plain step  (eq-sgd)."""

    def __init__(self, model, l1=0.0):
        check_optimizer(l1=l1)
        super().__init__(model)
        self.l1 = l1

    def step(self, lr, gradients):
        super().step(lr, gradients)
        parameters = self.model.trainable_parameters()
        self.model.update(tree_map(partial(self._nearer_zero, lr * self.l1), parameters))
        mx.eval(self.model.parameters())

    def _nearer_zero(self, threshold, p):
        return soft_threshold(p, threshold) if p.ndim >= 2 else p


class RMSProp(Optimizer):
    """v <- alpha v + (1 - alpha) g^2,  w <- w - lr g / (sqrt(v) + eps)  (eq-rmsprop; Tieleman & Hinton 2012).

    No correction for the start at zero: the first step is 1 / sqrt(1 - alpha) times lr."""

    slots = {"v": "v"}

    def __init__(self, model, alpha=0.99, eps=1e-8):
        check_optimizer(alpha=alpha, eps=eps)
        optimizer = mlx.optimizers.RMSprop(0.0, alpha=alpha)
        optimizer.eps = eps  # MLX's constructor refuses 0, which the others take
        super().__init__(model, optimizer)


class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - lr m^ / (sqrt(v^) + eps)  (eq-adam).

    m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) correct the bias of averages that start at zero
    (eq-adam-bias; Kingma & Ba 2015)."""

    slots = {"m": "m", "v": "v"}

    def __init__(self, model, betas=(0.9, 0.999), eps=1e-8):
        check_optimizer(beta1=betas[0], beta2=betas[1], eps=eps)
        super().__init__(model, mlx.optimizers.Adam(0.0, betas=list(betas), eps=eps))
        self.betas, self.eps = betas, eps

    def step(self, lr, gradients):
        # MLX corrects the bias only when asked (bias_correction=True), and then computes 1 - 0.999^t in
        # float32, which is 1e-5 off at t = 1. Here the two corrections go into lr and eps, as in NumPy.
        (beta1, beta2), t = self.betas, self.steps + 1
        correction = math.sqrt(1.0 - beta2**t)
        self.optimizer.eps = self.eps * correction
        super().step(lr * correction / (1.0 - beta1**t), gradients)


class AdamW(Adam):
    """Adam, and w <- (1 - lr weight_decay) w before each step, apart from the gradient  (eq-adamw).

    Only weight matrices are shrunk, not biases or the weights of norms. Loshchilov & Hutter 2019."""

    def __init__(self, model, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        check_optimizer(weight_decay=weight_decay)
        super().__init__(model, betas, eps)
        self.weight_decay = weight_decay

    def step(self, lr, gradients):
        _shrink(self.model, 1.0 - lr * self.weight_decay)
        super().step(lr, gradients)


class Lion(Optimizer):
    """c = b1 m + (1 - b1) g,  w <- (1 - lr weight_decay) w - lr sign(c),  m <- b2 m + (1 - b2) g  (eq-lion).

    Every parameter moves by lr, or stays where c is zero; only weight matrices are shrunk. One running
    mean where Adam keeps two. Chen et al. 2023."""

    slots = {"m": "m"}

    def __init__(self, model, betas=(0.9, 0.99), weight_decay=0.0):
        check_optimizer(beta1=betas[0], beta2=betas[1], weight_decay=weight_decay)
        super().__init__(model, mlx.optimizers.Lion(0.0, betas=list(betas)))
        self.weight_decay = weight_decay

    def step(self, lr, gradients):
        _shrink(self.model, 1.0 - lr * self.weight_decay)
        super().step(lr, gradients)


class Muon(Optimizer):
    """m <- mu m + (1 - mu) g,  w <- (1 - lr weight_decay) w - lr sqrt(max(1, rows / columns)) O((1 - mu) g + mu m)  (eq-muon).

    O is `orthogonalize` with `iterations` rounds: it keeps the singular vectors and makes all singular values about one. A kernel
    counts as the matrix whose rows are its filters. What has one axis takes w <- w - lr ((1 - mu) g + mu m). Jordan et al. 2024."""

    slots = {"m": "m"}

    def __init__(self, model, momentum=0.95, weight_decay=0.0, iterations=5):
        check_optimizer(momentum=momentum, weight_decay=weight_decay)
        check_whole(iterations=iterations)
        super().__init__(model, _Muon(momentum, iterations))
        self.weight_decay = weight_decay

    def step(self, lr, gradients):
        _shrink(self.model, 1.0 - lr * self.weight_decay)
        super().step(lr, gradients)


class _Muon(mlx.optimizers.Optimizer):
    """mlx.optimizers.Muon takes rows / columns from the last two axes, which in a kernel are its width and its inputs."""

    def __init__(self, momentum, iterations):
        super().__init__()
        self.learning_rate = 0.0
        self.momentum, self.iterations = momentum, iterations

    def init_single(self, parameter, state):
        state["m"] = mx.zeros_like(parameter)

    def apply_single(self, gradient, parameter, state):
        fresh = (1.0 - self.momentum) * gradient
        state["m"] = self.momentum * state["m"] + fresh
        ahead = self.momentum * state["m"] + fresh
        if parameter.ndim >= 2:
            ahead = ahead.reshape(len(parameter), -1)
            rows, columns = ahead.shape
            ahead = orthogonalize(ahead, self.iterations).reshape(parameter.shape)
            ahead = ahead * math.sqrt(max(1.0, rows / columns))
        return parameter - self.learning_rate.astype(parameter.dtype) * ahead


def orthogonalize(x, iterations=5):
    """O = U phi(phi(...(S / |x|))) V^T, x = U S V^T, phi(s) = a s + b s^3 + c s^5, `iterations` times  (eq-newton-schulz).

    Products of matrices in place of a decomposition: five rounds bring singular values between 0.002 |x| and |x| to between
    0.68 and 1.21. x (rows, columns), |x| the root of the sum of its squares. Raises ValueError for another number of axes and
    for iterations below 1. Jordan et al. 2024."""
    check_matrix(x)
    check_whole(iterations=iterations)
    (a, b, c), (rows, columns) = QUINTIC, x.shape
    x = x.T if rows > columns else x  # the smaller of the two products x x^T and x^T x
    # rows first: one float32 sum of 100 000 numbers is 1e-5 off
    x = x / mx.maximum(mx.sqrt(mx.square(x).sum(-1).sum()), SMALLEST)
    for _ in range(iterations):
        squares = x @ x.T
        x = a * x + (b * squares + c * squares @ squares) @ x
    return x.T if rows > columns else x


def _shrink(model, factor):
    """Multiply the weight matrices: MLX's own decay would shrink biases too."""
    model.update(tree_map(lambda p: p * factor if p.ndim >= 2 else p, model.trainable_parameters()))


def soft_threshold(w, threshold):
    """S(w) = sign(w) max(|w| - threshold, 0)  (eq-soft-threshold).  threshold a number, not negative; any shape of w."""
    check_optimizer(threshold=threshold)
    # nn.softshrink would compile anew for each threshold
    return mx.sign(w) * mx.maximum(mx.abs(w) - threshold, 0.0)


def clip_gradients(gradients, max_norm):
    """g <- g min(1, max_norm / |g|), |g| over all parameters together  (eq-clip; Pascanu et al. 2013).

    Returns (clipped, |g| before clipping). Raises ValueError unless max_norm > 0."""
    if not max_norm > 0:
        raise ValueError(f"max_norm={max_norm}: the largest gradient norm must be above 0")
    # rows first: one float32 sum of 100 000 numbers is 1e-5 off
    norm = mx.sqrt(sum(mx.square(g).sum(-1).sum() for _, g in tree_flatten(gradients))).item()
    # mlx's clip_grad_norm divides by |g| + 1e-6: a thousandth off the formula where |g| is 1e-3
    if norm > max_norm:
        gradients = tree_map(lambda g: g * (max_norm / norm), gradients)
    return gradients, norm

"""PyTorch's own optimizers: the learning rate is an argument of the step, the state has the course's names."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from dlcourse.boundary import (
    check_matrix,
    check_optimizer,
    check_trainable,
    check_trained,
    check_whole,
)
from dlcourse.state import check_names, from_torch, to_torch

# a, b, c of Muon's phi: small singular values grow 3.4 times a round
QUINTIC = 3.4445, -4.7750, 2.0315
SMALLEST = 1e-7  # a matrix with a smaller norm is divided by this, so that zero stays zero


class Optimizer:
    """Wraps a `torch.optim` class. Parameters with two or more axes decay; biases and norms do not."""

    slots = {}  # the course's name of a running average -> PyTorch's

    def __init__(self, model, torch_class, weight_decay=0.0, **options):
        self.model = model
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        check_trainable(self.named)
        decayed = [p for p in self.named.values() if p.ndim >= 2]
        rest = [p for p in self.named.values() if p.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch_class([group for group in groups if group["params"]], **options)
        self.steps = 0

    def step(self, lr):
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        check_trained(trained, self.named.keys())
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.steps += 1

    def state(self):
        """{"step": count, "m.layers.0.weight": array, ...}: the same names in every backend."""
        state = {"step": np.array(self.steps)}
        for slot, torch_slot in self.slots.items():
            for name, p in self.named.items():
                tensor = self.optimizer.state[p].get(torch_slot, torch.zeros_like(p))
                state[f"{slot}.{name}"] = from_torch(tensor.numpy(force=True).copy())
        return state

    def load_state(self, state):
        check_names({name: array.shape for name, array in self.state().items()}, state)
        self.steps = int(state["step"])
        for name, p in self.named.items():
            self.optimizer.state[p] = (
                {"step": torch.tensor(float(self.steps))} if self.steps else {}
            )
            for slot, torch_slot in self.slots.items() if self.steps else ():
                array = to_torch(state[f"{slot}.{name}"])
                self.optimizer.state[p][torch_slot] = torch.tensor(
                    array, device=p.device, dtype=p.dtype
                )


class SGD(Optimizer):
    """w <- w - lr g  (eq-sgd); with momentum v <- mu v + g, w <- w - lr v  (eq-momentum; Polyak 1964).

    Nesterov: w <- w - lr (g + mu v)  (eq-nesterov; Nesterov 1983). `weight_decay` adds its multiple of w
    to g where w has two or more axes: an L2 penalty  (eq-l2-descent)."""

    def __init__(self, model, momentum=0.0, nesterov=False, weight_decay=0.0):
        check_optimizer(momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum above 0, for example momentum=0.9")
        self.slots = {"velocity": "momentum_buffer"} if momentum else {}
        options = {"momentum": momentum, "nesterov": nesterov, "lr": 0.0}
        super().__init__(model, torch.optim.SGD, weight_decay, **options)


class ProximalSGD(SGD):
    """w <- S(w - lr g), S moving every weight by lr l1 towards zero, at most to zero  (eq-proximal-step; Daubechies et al. 2004).

    Descent on the loss plus `l1` times the sum of |w| over all w with two or more axes, which makes many of
    them exactly zero; the others take the plain step  (eq-sgd)."""

    def __init__(self, model, l1=0.0):
        check_optimizer(l1=l1)
        super().__init__(model)
        self.l1 = l1

    @torch.no_grad()
    def step(self, lr):
        super().step(lr)
        for p in self.named.values():
            if p.ndim >= 2:
                p.copy_(soft_threshold(p, lr * self.l1))


class RMSProp(Optimizer):
    """v <- alpha v + (1 - alpha) g^2,  w <- w - lr g / (sqrt(v) + eps)  (eq-rmsprop; Tieleman & Hinton 2012).

    No correction for the start at zero: the first step is 1 / sqrt(1 - alpha) times lr."""

    slots = {"v": "square_avg"}

    def __init__(self, model, alpha=0.99, eps=1e-8):
        check_optimizer(alpha=alpha, eps=eps)
        super().__init__(model, torch.optim.RMSprop, alpha=alpha, eps=eps, lr=0.0)


class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - lr m^ / (sqrt(v^) + eps)  (eq-adam).

    m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) correct the bias of averages that start at zero
    (eq-adam-bias; Kingma & Ba 2015)."""

    slots = {"m": "exp_avg", "v": "exp_avg_sq"}

    def __init__(self, model, betas=(0.9, 0.999), eps=1e-8):
        check_optimizer(beta1=betas[0], beta2=betas[1], eps=eps)
        super().__init__(model, torch.optim.Adam, betas=betas, eps=eps, lr=0.0)


class AdamW(Optimizer):
    """Adam, and w <- (1 - lr weight_decay) w before each step, apart from the gradient  (eq-adamw).

    Only weight matrices are shrunk, not biases or the weights of norms. Loshchilov & Hutter 2019."""

    slots = Adam.slots

    def __init__(self, model, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        check_optimizer(beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay)
        super().__init__(model, torch.optim.AdamW, weight_decay, betas=betas, eps=eps, lr=0.0)


class Lion(Optimizer):
    """c = b1 m + (1 - b1) g,  w <- (1 - lr weight_decay) w - lr sign(c),  m <- b2 m + (1 - b2) g  (eq-lion).

    Every parameter moves by lr, or stays where c is zero; only weight matrices are shrunk. One running
    mean where Adam keeps two. Chen et al. 2023."""

    slots = {"m": "m"}

    def __init__(self, model, betas=(0.9, 0.99), weight_decay=0.0):
        check_optimizer(beta1=betas[0], beta2=betas[1], weight_decay=weight_decay)
        super().__init__(model, _Lion, weight_decay, betas=betas, lr=0.0)


class _Lion(torch.optim.Optimizer):
    """PyTorch brings no Lion: an optimizer of one's own is a `step` over the parameter groups."""

    def __init__(self, parameters, lr, betas, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                m = state["m"] if "m" in state else state.setdefault("m", torch.zeros_like(p))
                c = beta1 * m + (1.0 - beta1) * p.grad
                p.mul_(1.0 - lr * group["weight_decay"]).sub_(c.sign_(), alpha=lr)
                m.mul_(beta2).add_(p.grad, alpha=1.0 - beta2)


class Muon(Optimizer):
    """m <- mu m + (1 - mu) g,  w <- (1 - lr weight_decay) w - lr sqrt(max(1, rows / columns)) O((1 - mu) g + mu m)  (eq-muon).

    O is `orthogonalize` with `iterations` rounds: it keeps the singular vectors and makes all singular values about one. A kernel
    counts as the matrix whose rows are its filters. What has one axis takes w <- w - lr ((1 - mu) g + mu m). Jordan et al. 2024."""

    slots = {"m": "m"}

    def __init__(self, model, momentum=0.95, weight_decay=0.0, iterations=5):
        check_optimizer(momentum=momentum, weight_decay=weight_decay)
        check_whole(iterations=iterations)
        options = {"momentum": momentum, "iterations": iterations, "lr": 0.0}
        super().__init__(model, _Muon, weight_decay, **options)


class _Muon(torch.optim.Optimizer):
    """torch.optim.Muon takes matrices alone, no kernels and no biases, and rounds them to bfloat16."""

    def __init__(self, parameters, lr, momentum, iterations, weight_decay=0.0):
        options = {"momentum": momentum, "iterations": iterations, "weight_decay": weight_decay}
        super().__init__(parameters, {"lr": lr} | options)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                m = state["m"] if "m" in state else state.setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1.0 - momentum)
                ahead = p.grad.lerp(m, momentum)
                if p.ndim >= 2:
                    ahead = ahead.flatten(1)
                    rows, columns = ahead.shape
                    ahead = orthogonalize(ahead, group["iterations"]).reshape(p.shape)
                    ahead = ahead * math.sqrt(max(1.0, rows / columns))
                p.mul_(1.0 - lr * group["weight_decay"]).sub_(ahead, alpha=lr)


def orthogonalize(x, iterations=5):
    """O = U phi(phi(...(S / |x|))) V^T, x = U S V^T, phi(s) = a s + b s^3 + c s^5, `iterations` times  (eq-newton-schulz).

    Products of matrices in place of a decomposition: five rounds bring singular values between 0.002 |x| and |x| to between
    0.68 and 1.21. x (rows, columns), |x| the root of the sum of its squares. Raises ValueError for another number of axes and
    for iterations below 1. Jordan et al. 2024."""
    check_matrix(x)
    check_whole(iterations=iterations)
    (a, b, c), (rows, columns) = QUINTIC, x.shape
    x = x.T if rows > columns else x  # the smaller of the two products x x^T and x^T x
    x = x / x.norm().clamp(min=SMALLEST)
    for _ in range(iterations):
        squares = x @ x.T
        x = a * x + (b * squares + c * squares @ squares) @ x
    return x.T if rows > columns else x


def soft_threshold(w, threshold):
    """S(w) = sign(w) max(|w| - threshold, 0)  (eq-soft-threshold).  threshold a number, not negative; any shape of w."""
    check_optimizer(threshold=threshold)
    return F.softshrink(w, threshold)


def clip_gradients(model, max_norm):
    """g <- g min(1, max_norm / |g|), |g| over all parameters together  (eq-clip; Pascanu et al. 2013).

    Returns |g| before clipping. Raises ValueError unless max_norm > 0."""
    if not max_norm > 0:
        raise ValueError(f"max_norm={max_norm}: the largest gradient norm must be above 0")
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    # torch's clip_grad_norm_ divides by |g| + 1e-6: a thousandth off the formula where |g| is 1e-3
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return norm

"""The exercises solved in PyTorch and MLX, as a reader of those tabs would write them, and by other NumPy formulas than the package's."""

import itertools

import numpy as np


def torch_solutions():
    import torch

    def sigmoid(z):
        return torch.sigmoid(z)

    def softmax(z):
        if z.numel() == 0:
            return z.clone()
        e = torch.exp(z - z.max(dim=-1, keepdim=True).values)
        return e / e.sum(dim=-1, keepdim=True)

    def linear_backward(x, weight, dy):
        return dy @ weight, torch.einsum("no,ni->oi", dy, x), dy.sum(dim=0)

    def relu_backward(x, dy):
        return torch.where(x > 0, dy, torch.zeros_like(dy))

    def cross_entropy(logits, labels):
        logits = logits.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        return loss, logits.grad

    def output_error(logits, targets):
        return (torch.sigmoid(logits) - targets) / logits.numel()

    def mlp_backward(x, labels, W1, b1, W2, b2):
        parameters = [p.clone().requires_grad_() for p in (W1, b1, W2, b2)]
        W1, b1, W2, b2 = parameters
        torch.nn.functional.cross_entropy(torch.relu(x @ W1.T + b1) @ W2.T + b2, labels).backward()
        return tuple(p.grad for p in parameters)

    def central_difference(f, x, h):
        gradient = torch.zeros_like(x)
        for i in np.ndindex(tuple(x.shape)):
            up, down = x.clone(), x.clone()
            up[i] += h
            down[i] -= h
            gradient[i] = (f(up) - f(down)) / (2 * h)
        return gradient

    def parameter_count(inputs, hidden, outputs):
        sizes = (inputs, *hidden, outputs)
        return sum(p.numel() for i, o in itertools.pairwise(sizes) for p in torch.nn.Linear(i, o).parameters())

    def sgd_momentum(weight, gradient, velocity, lr, momentum):
        velocity = torch.add(gradient, velocity, alpha=momentum)
        return weight - lr * velocity, velocity

    return named(locals())


def mlx_solutions():
    import mlx.core as mx
    import mlx.nn as nn

    def sigmoid(z):
        return mx.sigmoid(z)

    def softmax(z):
        return mx.softmax(z, axis=-1) if z.size else z

    def linear_backward(x, weight, dy):
        return dy @ weight, dy.T @ x, mx.sum(dy, axis=0)

    def relu_backward(x, dy):
        return mx.where(x > 0, dy, 0.0)

    def cross_entropy(logits, labels):
        return mx.value_and_grad(lambda z: nn.losses.cross_entropy(z, labels, reduction="mean"))(logits)

    def output_error(logits, targets):
        return (mx.sigmoid(logits) - targets) / logits.size

    def mlp_backward(x, labels, W1, b1, W2, b2):
        def loss(W1, b1, W2, b2):
            return nn.losses.cross_entropy(mx.maximum(x @ W1.T + b1, 0) @ W2.T + b2, labels, reduction="mean")

        return mx.grad(loss, argnums=(0, 1, 2, 3))(W1, b1, W2, b2)

    def central_difference(f, x, h):
        gradient = np.zeros(x.shape)
        for i in np.ndindex(tuple(x.shape)):
            step = np.zeros(x.shape, np.float32)
            step[i] = h
            gradient[i] = (f(x + mx.array(step)) - f(x - mx.array(step))).item() / (2 * h)
        return mx.array(gradient.astype(np.float32))

    def parameter_count(inputs, hidden, outputs):
        sizes = mx.array([inputs, *hidden, outputs])
        return ((sizes[:-1] + 1) * sizes[1:]).sum()

    def sgd_momentum(weight, gradient, velocity, lr, momentum):
        velocity = momentum * velocity + gradient
        return mx.subtract(weight, lr * velocity), velocity

    return named(locals())


def numpy_solutions():
    """Formulas of their own: nothing here comes from `dlcourse`."""

    def sigmoid(z):
        return 0.5 * (1 + np.tanh(0.5 * z))

    def softmax(z):
        return np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True))

    def linear_backward(x, weight, dy):
        dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight))
        for n, o in np.ndindex(dy.shape):
            dbias[o] += dy[n, o]
            for i in range(x.shape[1]):
                dx[n, i] += dy[n, o] * weight[o, i]
                dweight[o, i] += dy[n, o] * x[n, i]
        return dx, dweight, dbias

    def relu_backward(x, dy):
        return np.where(x > 0, dy, 0.0)

    def cross_entropy(logits, labels):
        total = np.logaddexp.reduce(logits, axis=1)
        gradient = np.exp(logits - total[:, None])
        for n, label in enumerate(labels):
            gradient[n, label] -= 1
        return sum(total[n] - logits[n, label] for n, label in enumerate(labels)) / len(labels), gradient / len(labels)

    def output_error(logits, targets):
        return (np.exp(-np.logaddexp(0, -logits)) - targets) / np.size(logits)

    def mlp_backward(x, labels, W1, b1, W2, b2):
        gradients = [np.zeros_like(p) for p in (W1, b1, W2, b2)]
        for example, label in zip(x, labels, strict=True):  # one example at a time, outer products
            z1 = W1 @ example + b1
            logits = W2 @ (z1 * (z1 > 0)) + b2
            error = np.exp(logits - np.logaddexp.reduce(logits))
            error[label] -= 1
            hidden_error = (W2.T @ error) * (z1 > 0)
            pieces = np.outer(hidden_error, example), hidden_error, np.outer(error, z1 * (z1 > 0)), error
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient += piece / len(x)
        return gradients

    def central_difference(f, x, h):
        x = x.copy()
        gradient = np.empty(x.size)
        flat = x.reshape(-1)
        for i, old in enumerate(flat.tolist()):
            flat[i] = old + h
            up = f(x)
            flat[i] = old - h
            gradient[i] = (up - f(x)) / (2 * h)
            flat[i] = old
        return gradient.reshape(x.shape)

    def parameter_count(inputs, hidden, outputs):
        total, width = 0, inputs
        for next_width in [*hidden, outputs]:
            total += (width + 1) * next_width
            width = next_width
        return total

    def sgd_momentum(weight, gradient, velocity, lr, momentum):
        new = gradient + momentum * velocity
        return np.subtract(weight, lr * new), new

    return named(locals())


def named(scope):
    """The functions of a scope by name."""
    return {name: fn for name, fn in scope.items() if callable(fn) and getattr(fn, "__name__", None) == name}

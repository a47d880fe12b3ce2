"""The exercises solved in PyTorch and MLX, as a reader of those tabs would write them, and by other NumPy formulas than the package's."""

import itertools

import numpy as np

from tests.check import numpy_answers


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

    def output_size(size, kernel, stride, padding, dilation):
        x = torch.zeros(1, 1, size)
        return torch.nn.functional.conv1d(x, torch.zeros(1, 1, kernel), stride=stride, padding=padding, dilation=dilation).shape[2]

    def conv1d(x, weight, bias, stride):
        return torch.nn.functional.conv1d(x[None, None], weight[None, None], stride=stride)[0, 0] + bias

    def conv1d_backward(x, weight, dy, stride):
        x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
        conv1d(x, weight, 0.0, stride).backward(dy)
        return x.grad, weight.grad, dy.sum()

    def conv2d_forward(x, weight):
        return torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def max_pool_backward(x, dy, size):
        x = x.clone().requires_grad_()
        torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), size).backward(dy.permute(0, 3, 1, 2))
        return x.grad

    def layer_norm(x, weight, bias, eps):
        return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)

    def layer_norm_backward(x, weight, dy, eps):
        x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
        bias = torch.zeros_like(weight, requires_grad=True)
        return torch.autograd.grad(torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps), (x, weight, bias), dy)

    def batch_norm_predict(x, weight, bias, mean, variance, eps):
        return torch.nn.functional.batch_norm(x, mean, variance, weight, bias, False, eps=eps)

    def dead_units(h):
        return int((~torch.any(h > 0, dim=0)).sum())

    def cnn_parameters(inputs, channels, kernel, padding, hidden, outputs):
        x, layers = torch.zeros(1, inputs[2], *inputs[:2]), []
        for o, p in zip(channels, padding, strict=True):
            layers.append(torch.nn.Conv2d(x.shape[1], o, kernel, padding=p))
            x = torch.nn.functional.max_pool2d(layers[-1](x), 2)
        for i, o in itertools.pairwise((x.numel(), *hidden, outputs)):
            layers.append(torch.nn.Linear(i, o))
        return sum(p.numel() for layer in layers for p in layer.parameters())

    def reorder_columns(weight, height, width, channels):
        return weight.unflatten(1, (height, width, channels)).permute(0, 3, 1, 2).flatten(1)

    def soft_cross_entropy(logits, q):
        logits = logits.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits, q)
        loss.backward()
        return loss, logits.grad

    def crop_images(x, places, padding):
        padded = torch.nn.functional.pad(x, (0, 0, padding, padding, padding, padding))
        rows, columns = (torch.arange(side) for side in x.shape[1:3])
        n = torch.arange(len(x))[:, None, None]
        return padded[n, places[:, 0, None, None] + rows[:, None], places[:, 1, None, None] + columns]

    def batched_accuracy(logits, labels, batch_size):
        pairs = zip(torch.split(logits, batch_size), torch.split(labels, batch_size), strict=True)
        return sum((z.argmax(dim=1) == y).sum() for z, y in pairs).double() / len(labels)

    def block_parameters(inputs, outputs, stride):
        conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
        layers = [conv(inputs, outputs, 3, stride, bias=False), norm(outputs), conv(outputs, outputs, 3, bias=False), norm(outputs)]
        if (inputs, 1) != (outputs, stride):
            layers += [conv(inputs, outputs, 1, stride, bias=False), norm(outputs)]
        return sum(p.numel() for layer in layers for p in layer.parameters())

    def residual_backward(x, W1, W2, P, dy):
        given = [a.clone().requires_grad_() for a in (x, W1, W2, P)]
        x, W1, W2, P = given
        return torch.autograd.grad(torch.relu(torch.relu(x @ W1.T) @ W2.T + x @ P.T), given, dy)

    def fold_norm(weight, bias, gamma, beta, mean, variance, eps):
        scale = gamma * torch.rsqrt(variance + eps)
        return torch.einsum("o...,o->o...", weight, scale), torch.addcmul(beta, scale, bias - mean)

    def trained_parameters(shapes, frozen):
        trained = [shape for name, shape in shapes.items() if not any(f"{name}.".startswith(f"{prefix}.") for prefix in frozen)]
        return sum(torch.zeros(shape).numel() for shape in trained)

    def probe_gradient(features, labels, weight, bias):
        weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, labels)
        return (loss, *torch.autograd.grad(loss, (weight, bias)))

    def l2_sp_step(weight, start, gradient, alpha, lr):
        return torch.sub(weight, gradient + alpha * (weight - start), alpha=lr)

    def lstm_step(a, c):
        i, f, g, o = torch.chunk(a, 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def elman_backward(h, delta, weight_hh):
        rows, behind = [], torch.zeros_like(h[0])
        for t in reversed(range(len(delta))):
            behind = (delta[t] + torch.matmul(behind, weight_hh)) * (1 - h[t + 1] * h[t + 1])
            rows.append(behind)
        da = torch.stack(rows[::-1])
        return da, da.T @ h[:-1]

    def clip_together(dweight, dbias, limit):
        norm = torch.sqrt((dweight * dweight).sum() + (dbias * dbias).sum()).item()
        factor = limit / max(norm, limit)
        return factor * dweight, factor * dbias

    def transformer_parameters(vocab, layers, width, hidden):
        sizes = {"d_model": width, "nhead": 1, "dim_feedforward": hidden}
        model = torch.nn.Transformer(**sizes, num_encoder_layers=layers, num_decoder_layers=layers, norm_first=True)
        return vocab * width + sum(p.numel() for p in model.parameters())

    def shift_right(targets, start, pad):
        first = torch.full_like(targets[:, :1], start)
        given = torch.cat([first, targets[:, :-1]], dim=1)
        return given.masked_fill(given == -100, pad)

    def mlp_branch_backward(x, W_up, W_down, dy):
        given = [a.clone().requires_grad_() for a in (x, W_up, W_down)]
        x, W_up, W_down = given
        h = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5)
        return torch.autograd.grad(x + torch.relu(h @ W_up.T) @ W_down.T, given, dy)

    def beam_step(logp, next_logp, beams):
        sums, best = torch.topk((logp[:, None] + next_logp).flatten(), beams)
        return sums, best // next_logp.shape[1], best % next_logp.shape[1]

    def attend(q, k, v, causal):
        seen = torch.ones(len(q), len(k), dtype=torch.bool).tril(len(k) - len(q)) if causal else None
        return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen)[0]

    def attention_backward(q, k, v, do):
        given = [a.clone().requires_grad_() for a in (q, k, v)]
        return torch.autograd.grad(attend(*given, False), given, do)

    def rotate(x, offset):
        left, right = x.chunk(2, dim=1)
        positions, half = offset + torch.arange(len(x)), left.shape[1]
        angles = torch.outer(positions.double(), 10000.0 ** (torch.arange(half).double() / -half))
        z = torch.complex(left, right) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([z.real, z.imag], dim=1)

    def merge_halves(m1, l1, u1, m2, l2, u2):
        m = torch.maximum(m1, m2)
        c1, c2 = torch.exp(m1 - m), torch.exp(m2 - m)
        return m, c1 * l1 + c2 * l2, c1[:, None] * u1 + c2[:, None] * u2

    def bits_per_byte(loss, tokens, size):
        return torch.tensor(loss, dtype=torch.float64) * tokens / (size * torch.log(torch.tensor(2.0, dtype=torch.float64)))

    def merge_pair(ids, a, b, new):
        result = list(ids.tolist())
        i = 0
        while i + 1 < len(result):
            if result[i] == a and result[i + 1] == b:
                result[i : i + 2] = [new]
            i += 1
        return torch.tensor(result, dtype=torch.int64)

    def encode_bytes(ids, merges):
        for k in range(len(merges)):
            a, b = (int(token) for token in merges[k])
            ids = merge_pair(ids, a, b, 256 + k)
        return ids

    def next_token_pairs(tokens):
        return torch.split(tokens, [tokens.shape[1] - 1, 1], dim=1)[0], tokens[:, 1:]

    def perplexity(logits, targets):
        return torch.exp(torch.nn.functional.cross_entropy(logits, targets))  # it leaves out -100

    def top_k_probabilities(logits, temperature, k):
        values, index = torch.topk(logits / temperature, k)
        return torch.zeros_like(logits).scatter(0, index, torch.softmax(values, 0))

    def nucleus(p, threshold):
        ranked, order = torch.sort(p, descending=True)
        chosen = order[ranked.cumsum(0) - ranked < threshold]
        kept = torch.zeros_like(p)
        kept[chosen] = p[chosen]
        return kept / kept.sum()

    def gpt_parameters(vocab, context, layers, width):
        linear = [torch.nn.Linear(width, width, device="meta")] * 4
        linear += [torch.nn.Linear(width, 4 * width, device="meta"), torch.nn.Linear(4 * width, width, device="meta")]
        norm = torch.nn.LayerNorm(width, device="meta")
        block, last = (sum(p.numel() for m in modules for p in m.parameters()) for modules in ([*linear, norm, norm], [norm]))
        return (vocab + context) * width + layers * block + last

    def hide_tokens(x, chosen, fate, others, mask):
        masked, exchanged = chosen & (fate < 0.8), chosen & (fate >= 0.8) & (fate < 0.9)
        read = x.masked_fill(masked, mask)
        return torch.where(exchanged, others, read), x.masked_fill(~chosen, -100)

    def hidden_loss(logits, targets):
        logits = logits.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        return loss, logits.grad

    def best_span(start, end):
        pair = (start[:, None] + end).masked_fill(torch.ones(len(start), len(end), dtype=torch.bool).tril(-1), -torch.inf).argmax()
        return pair // len(end), pair % len(end)

    def chain_cost(sizes):
        def cost(width, sizes):
            return sum(torch.empty(width, i, o, device="meta").numel() for i, o in itertools.pairwise(sizes))

        return cost(sizes[0], sizes[1:]), cost(sizes[-1], sizes[:-1])

    def sum_to_shape(dy, shape):
        return torch.Tensor.sum_to_size(dy, shape)

    def gradient_error(operation, x, u, v, h):
        _, backward = operation(x)
        promised = torch.sum(backward(u) * v)
        measured = torch.sum(u * (operation(x + h * v)[0] - operation(x - h * v)[0])) / (2 * h)
        largest = torch.maximum(measured.abs(), promised.abs())
        return torch.where(largest > 0, (measured - promised).abs() / largest, 0.0)

    def complex_step(f, x, h):
        gradient = torch.zeros_like(x)
        for i in np.ndindex(tuple(x.shape)):
            z = x.to(torch.complex128)
            z[i] += 1j * h
            gradient[i] = f(z).imag / h
        return gradient

    def log_sum_exp(x):
        return torch.logsumexp(x, dim=-1)

    def huber(y, t, delta):
        y = y.clone().requires_grad_()
        loss = torch.nn.functional.huber_loss(y, t, delta=delta)
        loss.backward()
        return loss, y.grad

    def kl(q, p):
        return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum()

    def focal(z, t, gamma):
        z = z.clone().requires_grad_()
        u = (2 * t - 1) * z
        loss = -(torch.exp(gamma * torch.nn.functional.logsigmoid(-u)) * torch.nn.functional.logsigmoid(u)).mean()
        loss.backward()
        return loss, z.grad

    def tape_gradient(program, numbers):
        leaves = [x.clone().requires_grad_() for x in numbers]
        return torch.stack(torch.autograd.grad(program(*leaves), leaves, allow_unused=True, materialize_grads=True))

    def graph_gradient(slopes):
        d = [torch.zeros((), dtype=slopes.dtype) for _ in slopes]
        d[-1] = torch.ones((), dtype=slopes.dtype)
        for k in range(len(slopes) - 1, -1, -1):
            d = [old + d[k] * slope for old, slope in zip(d, slopes[k], strict=True)]
        return torch.stack(d)

    def linear_jvp(x, weight, bias, x_dot, weight_dot, bias_dot):
        return torch.func.jvp(torch.nn.functional.linear, (x, weight, bias), (x_dot, weight_dot, bias_dot))

    def logits_hessian_vector(logits, v):
        loss = lambda z: torch.nn.functional.cross_entropy(z, torch.zeros(len(z), dtype=torch.long))  # noqa: E731
        return torch.autograd.functional.hvp(loss, logits, v)[1]

    def checkpoint_cost(layers, segment):
        return len(torch.zeros(layers).split(segment)) + segment, 2 * torch.zeros(layers).numel()

    def training_flops(sizes, rows):
        widths = torch.tensor(sizes)
        products = 2 * rows * widths[:-1] * widths[1:]
        return 3 * products.sum() - products[0]

    def training_bytes(sizes, batch, slots):
        layers = [torch.nn.Linear(i, o, device="meta") for i, o in itertools.pairwise(sizes)]
        parameters = sum(p.nbytes for layer in layers for p in layer.parameters())
        return (2 + slots) * parameters + torch.zeros(batch, sum(sizes), device="meta").nbytes

    def bottleneck_parameters(inputs, width, changes):
        conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
        shapes = [(inputs, width, 1), (width, width, 3), (width, 4 * width, 1)] + [(inputs, 4 * width, 1)] * changes
        layers = [layer for i, o, k in shapes for layer in (conv(i, o, k, bias=False, device="meta"), norm(o, device="meta"))]
        return sum(p.numel() for layer in layers for p in layer.parameters())

    def gpt_training_flops(layers, width, context, vocab, tokens):
        shapes = [(width, width)] * 4 + [(width, 4 * width)] * 2
        block = sum(torch.empty(shape, device="meta").numel() for shape in shapes)
        return tokens * (6 * (layers * block + vocab * width) + 3 * layers * 4 * context * width)

    def token_seconds(parameters, batch, size, peak, bandwidth):
        times = [2 * parameters * batch / peak, size * parameters / bandwidth]
        return torch.tensor(times, dtype=torch.float64).max()

    def round_to_bfloat16(x):
        return x.to(torch.bfloat16).to(x.dtype)

    def to_oihw(weight):
        return torch.permute(weight, (0, 3, 1, 2))

    def next_scale(scale, good, gradient, interval):
        if not torch.isfinite(gradient).all():
            return scale / 2, 0
        return (scale * 2, 0) if good == interval - 1 else (scale, good + 1)

    def seconds_per_call(run, wait, clock, calls):
        times = []
        for count in (1, calls):
            wait()
            times.append(clock())
            for _ in range(count):
                run()
        wait()
        return torch.tensor(clock() - times[-1], dtype=torch.float64) / calls

    def batch_noise(gradients, size):
        count, centred = len(gradients), gradients - gradients.mean(dim=0)
        return torch.sum(centred**2) / count / size * (count - size) / (count - 1)

    def best_momentum(smallest, largest):
        low, high = torch.tensor([smallest, largest], dtype=torch.float64).sqrt()
        return 4 / (low + high) ** 2, ((high - low) / (high + low)) ** 2

    def adam_step(w, g, m, v, t, lr, beta1, beta2, eps):
        m, v = torch.lerp(g, m, beta1), torch.lerp(g**2, v, beta2)
        return w - lr * (m / (1 - beta1**t)) / (torch.sqrt(v / (1 - beta2**t)) + eps), m, v

    def lion_step(w, g, m, lr, beta1, beta2, decay):
        return (1 - lr * decay) * w - lr * torch.lerp(g, m, beta1).sign(), torch.lerp(g, m, beta2)

    def orthogonalize(x, iterations):
        x = x / torch.linalg.matrix_norm(x)
        for _ in range(iterations):
            gram = x.T @ x
            x = 3.4445 * x + x @ (2.0315 * gram @ gram - 4.7750 * gram)
        return x

    def standardize_split(train, test):
        variance, mean = torch.var_mean(train, dim=0, correction=0)
        deviation = torch.where(train.amax(0) > train.amin(0), variance.sqrt(), 1.0)
        return (train - mean) / deviation, (test - mean) / deviation

    def precision_recall_f1(predicted, labels):
        tp = (predicted & labels).sum()
        sizes = torch.stack([predicted.sum(), labels.sum(), predicted.sum() + labels.sum()])
        shares = torch.stack([tp, tp, 2 * tp]).double() / sizes.clamp(min=1)
        return tuple(shares)

    def rank_auc(scores, labels):
        difference = scores[labels == 1][:, None] - scores[labels == 0]
        return (torch.sign(difference).mean() + 1) / 2

    def calibration_gap(p, labels, bins):
        group = torch.bucketize(p, torch.linspace(0, 1, bins + 1, dtype=p.dtype)[1:-1])
        gaps = torch.zeros(bins, dtype=p.dtype).index_add(0, group, labels - p)
        return gaps.abs().sum() / len(p)

    def paired_bootstrap(right_a, right_b, draws):
        differences = (right_a - right_b).double()[draws].mean(dim=1)
        return tuple(torch.quantile(differences, torch.tensor([0.025, 0.975], dtype=torch.float64)))

    def soft_threshold(w, threshold):
        return torch.nn.functional.softshrink(w, threshold)

    def ridge_weights(x, targets, penalty):
        hessian = x.T @ x / len(x) + penalty * torch.eye(x.shape[1], dtype=x.dtype)
        return torch.linalg.solve(hessian, x.T @ targets / len(x))

    def bias_variance(predictions, truth):
        variance, mean = torch.var_mean(predictions, dim=0, correction=0)
        return (mean - truth).square().mean(), variance.mean()

    def stop_early(losses, patience):
        for epoch in range(1, len(losses) + 1):
            best = int(torch.argmin(losses[:epoch])) + 1
            if epoch - best >= patience:
                break
        return best, epoch

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

    def output_size(size, kernel, stride, padding, dilation):
        x = mx.zeros((1, size, 1))
        return mx.conv1d(x, mx.zeros((1, kernel, 1)), stride=stride, padding=padding, dilation=dilation).shape[1]

    def conv1d(x, weight, bias, stride):
        return mx.conv1d(x[None, :, None], weight[None, :, None], stride=stride)[0, :, 0] + bias

    def conv1d_backward(x, weight, dy, stride):
        dx, dweight = mx.grad(lambda x, weight: (conv1d(x, weight, 0.0, stride) * dy).sum(), argnums=(0, 1))(x, weight)
        return dx, dweight, mx.sum(dy)

    def conv2d_forward(x, weight):
        return mx.conv2d(x, weight)

    def max_pool_backward(x, dy, size):
        n, height, width, channels = dy.shape
        inner = x[:, : height * size, : width * size].reshape(n, height, size, width, size, channels)
        windows = inner.transpose(0, 1, 3, 5, 2, 4).reshape(n, height, width, channels, size * size)
        first = mx.argmax(windows, axis=-1, keepdims=True) == mx.arange(size * size)
        spread = (first * dy[..., None]).reshape(n, height, width, channels, size, size).transpose(0, 1, 4, 2, 5, 3)
        spread = spread.reshape(n, height * size, width * size, channels)
        return mx.pad(spread, [(0, 0), (0, x.shape[1] - height * size), (0, x.shape[2] - width * size), (0, 0)])

    def layer_norm(x, weight, bias, eps):
        return mx.fast.layer_norm(x, weight, bias, eps)

    def layer_norm_backward(x, weight, dy, eps):
        def loss(x, weight, bias):
            return (mx.fast.layer_norm(x, weight, bias, eps) * dy).sum()

        return mx.grad(loss, argnums=(0, 1, 2))(x, weight, mx.zeros_like(weight))

    def batch_norm_predict(x, weight, bias, mean, variance, eps):
        return weight * (x - mean) * mx.rsqrt(variance + eps) + bias

    def dead_units(h):
        return (mx.max(h, axis=0) == 0).sum()

    def cnn_parameters(inputs, channels, kernel, padding, hidden, outputs):
        x, count = mx.zeros((1, *inputs)), 0
        for o, p in zip(channels, padding, strict=True):
            weight = mx.zeros((o, kernel, kernel, x.shape[3]))
            x = nn.MaxPool2d(2, 2)(mx.conv2d(x, weight, padding=p))
            count += weight.size + o
        for i, o in itertools.pairwise((x.size, *hidden, outputs)):
            count += (i + 1) * o
        return count

    def reorder_columns(weight, height, width, channels):
        return mx.moveaxis(mx.unflatten(weight, 1, (height, width, channels)), 3, 1).reshape(weight.shape)

    def soft_cross_entropy(logits, q):
        return mx.value_and_grad(lambda z: nn.losses.cross_entropy(z, q, reduction="mean"))(logits)

    def crop_images(x, places, padding):
        border = (padding, padding)
        padded = mx.pad(x, [(0, 0), border, border, (0, 0)])
        rows, columns = (mx.arange(side) for side in x.shape[1:3])
        n = mx.arange(len(x))[:, None, None]
        return padded[n, places[:, 0, None, None] + rows[:, None], places[:, 1, None, None] + columns]

    def batched_accuracy(logits, labels, batch_size):
        right = mx.argmax(logits, axis=1) == labels
        starts = range(0, len(labels), batch_size)
        return sum(right[start : start + batch_size].sum() for start in starts) / len(labels)

    def block_parameters(inputs, outputs, stride):
        sizes = [(3, inputs), (3, outputs)] + [(1, inputs)] * ((inputs, 1) != (outputs, stride))
        return sum(mx.zeros((outputs, k, k, i)).size + 2 * outputs for k, i in sizes)

    def residual_backward(x, W1, W2, P, dy):
        def loss(x, W1, W2, P):
            return (nn.relu(nn.relu(x @ W1.T) @ W2.T + x @ P.T) * dy).sum()

        return mx.grad(loss, argnums=(0, 1, 2, 3))(x, W1, W2, P)

    def fold_norm(weight, bias, gamma, beta, mean, variance, eps):
        scale = gamma * mx.rsqrt(variance + eps)
        return mx.moveaxis(mx.moveaxis(weight, 0, -1) * scale, -1, 0), scale * (bias - mean) + beta

    def trained_parameters(shapes, frozen):
        trained = [shape for name, shape in shapes.items() if not any(f"{name}.".startswith(f"{prefix}.") for prefix in frozen)]
        return sum(mx.zeros(shape).size for shape in trained)

    def probe_gradient(features, labels, weight, bias):
        def loss(weight, bias):
            return nn.losses.cross_entropy(features @ weight.T + bias, labels, reduction="mean")

        value, gradients = mx.value_and_grad(loss, argnums=(0, 1))(weight, bias)
        return value, *gradients

    def l2_sp_step(weight, start, gradient, alpha, lr):
        return mx.subtract(weight, lr * (gradient + alpha * (weight - start)))

    def lstm_step(a, c):
        i, f, g, o = mx.split(a, 4, axis=1)
        c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
        return mx.sigmoid(o) * mx.tanh(c), c

    def elman_backward(h, delta, weight_hh):
        rows, behind = [], mx.zeros_like(h[0])
        for t in reversed(range(len(delta))):
            behind = (delta[t] + mx.matmul(behind, weight_hh)) * (1 - h[t + 1] * h[t + 1])
            rows.append(behind)
        da = mx.stack(rows[::-1])
        return da, da.T @ h[:-1]

    def clip_together(dweight, dbias, limit):
        norm = mx.sqrt((dweight * dweight).sum() + (dbias * dbias).sum()).item()
        factor = limit / max(norm, limit)
        return factor * dweight, factor * dbias

    def transformer_parameters(vocab, layers, width, hidden):
        square, slim = mx.zeros((width, width)).size + width, 2 * mx.zeros((hidden, width)).size + hidden + width
        return vocab * width + layers * (12 * square + 2 * slim + 10 * width) + 4 * width

    def shift_right(targets, start, pad):
        given = mx.concatenate([mx.full((len(targets), 1), start, targets.dtype), targets[:, :-1]], axis=1)
        return mx.where(given == -100, pad, given)

    def mlp_branch_backward(x, W_up, W_down, dy):
        def loss(x, W_up, W_down):
            h = mx.fast.layer_norm(x, None, None, 1e-5)
            return ((x + nn.relu(h @ W_up.T) @ W_down.T) * dy).sum()

        return mx.grad(loss, argnums=(0, 1, 2))(x, W_up, W_down)

    def beam_step(logp, next_logp, beams):
        sums = (logp[:, None] + next_logp).flatten()
        best = mx.argsort(-sums)[:beams]
        return sums[best], best // next_logp.shape[1], best % next_logp.shape[1]

    def attend(q, k, v, causal):
        s = q @ k.T / q.shape[1] ** 0.5
        if causal:
            s = mx.where(mx.tri(len(q), len(k), len(k) - len(q), dtype=mx.bool_), s, -mx.inf)
        return mx.softmax(s, axis=-1) @ v

    def attention_backward(q, k, v, do):
        return mx.grad(lambda q, k, v: (attend(q, k, v, False) * do).sum(), argnums=(0, 1, 2))(q, k, v)

    def rotate(x, offset):
        return mx.fast.rope(x[None], x.shape[1], traditional=False, base=10000.0, scale=1.0, offset=offset)[0]

    def merge_halves(m1, l1, u1, m2, l2, u2):
        m = mx.maximum(m1, m2)
        c1, c2 = mx.exp(m1 - m), mx.exp(m2 - m)
        return m, c1 * l1 + c2 * l2, c1[:, None] * u1 + c2[:, None] * u2

    def bits_per_byte(loss, tokens, size):
        return mx.array(loss) * tokens / (size * mx.log(mx.array(2.0)))

    def merge_pair(ids, a, b, new):
        result = list(ids.tolist())
        i = 0
        while i + 1 < len(result):
            if result[i] == a and result[i + 1] == b:
                result[i : i + 2] = [new]
            i += 1
        return mx.array(result, dtype=mx.int64)

    def encode_bytes(ids, merges):
        for k in range(len(merges)):
            a, b = (int(token) for token in merges[k])
            ids = merge_pair(ids, a, b, 256 + k)
        return ids

    def next_token_pairs(tokens):
        return mx.split(tokens, [tokens.shape[1] - 1], axis=1)[0], tokens[:, 1:]

    def perplexity(logits, targets):
        known = targets != -100
        losses = nn.losses.cross_entropy(logits, mx.where(known, targets, 0))
        return mx.exp((losses * known).sum() / known.sum())

    def top_k_probabilities(logits, temperature, k):
        z = logits / temperature
        return mx.softmax(mx.where(z >= mx.sort(z)[-k], z, -mx.inf))

    def nucleus(p, threshold):
        order = mx.argsort(-p)
        ranked = p[order]
        kept = mx.where(mx.cumsum(ranked) - ranked < threshold, ranked, 0)
        return kept[mx.argsort(order)] / kept.sum()

    def gpt_parameters(vocab, context, layers, width):
        shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
        block = sum(mx.zeros(shape).size + shape[0] for shape in shapes) + 4 * width
        return (vocab + context + 2) * width + layers * block

    def hide_tokens(x, chosen, fate, others, mask):
        stays = mx.where(fate < 0.9, others, x)
        return mx.where(chosen, mx.where(fate < 0.8, mask, stays), x), mx.where(chosen, x, -100)

    def hidden_loss(logits, targets):
        asked = targets != -100

        def loss(z):
            each = nn.losses.cross_entropy(z, mx.where(asked, targets, 0))
            return mx.where(asked, each, 0).sum() / asked.sum()

        return mx.value_and_grad(loss)(logits)

    def best_span(start, end):
        below = mx.tri(len(start), len(end), -1)
        pair = (start[:, None] + end - mx.where(below == 1, mx.inf, 0.0)).argmax()
        return pair // len(end), pair % len(end)

    def chain_cost(sizes):
        def cost(width, sizes):
            return width * sum(mx.zeros((i, o)).size for i, o in itertools.pairwise(sizes))

        return cost(sizes[0], sizes[1:]), cost(sizes[-1], sizes[:-1])

    def sum_to_shape(dy, shape):
        return mx.vjp(lambda x: mx.broadcast_to(x, dy.shape), [mx.zeros(shape)], [dy])[1][0]

    def gradient_error(operation, x, u, v, h):
        _, backward = operation(x)
        promised = mx.sum(backward(u) * v)
        measured = mx.sum(u * (operation(x + h * v)[0] - operation(x - h * v)[0])) / (2 * h)
        largest = mx.maximum(mx.abs(measured), mx.abs(promised))
        return mx.where(largest > 0, mx.abs(measured - promised) / largest, 0.0)

    def complex_step(f, x, h):
        gradient = mx.zeros(x.shape)
        for i in np.ndindex(tuple(x.shape)):
            step = mx.zeros(x.shape)
            step[i] = h
            gradient[i] = mx.imag(f(x + 1j * step)) / h
        return gradient

    def log_sum_exp(x):
        return mx.logsumexp(x, axis=-1)

    def huber(y, t, delta):
        return mx.value_and_grad(lambda y: nn.losses.huber_loss(y, t, delta=delta, reduction="mean"))(y)

    def kl(q, p):
        return mx.where(q > 0, q * (mx.log(q) - mx.log(p)), 0).sum()

    def focal(z, t, gamma):
        def loss(z):
            u = (2 * t - 1) * z
            return -(mx.exp(gamma * nn.log_sigmoid(-u)) * nn.log_sigmoid(u)).mean()

        return mx.value_and_grad(loss)(z)

    def tape_gradient(program, numbers):
        return mx.grad(lambda x: program(*x))(numbers)

    def graph_gradient(slopes):
        paths = edges = mx.eye(len(slopes))
        for _ in range(len(slopes)):  # paths of 0, 1, 2, ... edges
            edges = edges @ slopes
            paths = paths + edges
        return paths[-1]

    def linear_jvp(x, weight, bias, x_dot, weight_dot, bias_dot):
        (y,), (y_dot,) = mx.jvp(lambda x, w, b: x @ w.T + b, [x, weight, bias], [x_dot, weight_dot, bias_dot])
        return y, y_dot

    def logits_hessian_vector(logits, v):
        return mx.jvp(lambda z: mx.softmax(z, axis=1), [logits], [v])[1][0] / len(logits)

    def checkpoint_cost(layers, segment):
        return len(mx.zeros(layers)[::segment]) + segment, 2 * mx.zeros(layers).size

    def training_flops(sizes, rows):
        widths = mx.array(sizes)
        products = 2 * rows * widths[:-1] * widths[1:]
        return 3 * products.sum() - products[0]

    def training_bytes(sizes, batch, slots):
        pairs = itertools.pairwise(sizes)
        parameters = sum(mx.zeros((o, i)).nbytes + mx.zeros(o).nbytes for i, o in pairs)
        return (2 + slots) * parameters + mx.zeros((batch, sum(sizes))).nbytes

    def bottleneck_parameters(inputs, width, changes):
        shapes = [(inputs, width, 1), (width, width, 3), (width, 4 * width, 1)] + [(inputs, 4 * width, 1)] * changes
        return sum(mx.zeros((o, k, k, i)).size + 2 * o for i, o, k in shapes)

    def gpt_training_flops(layers, width, context, vocab, tokens):
        shapes = [(width, width)] * 4 + [(width, 4 * width)] * 2
        block = sum(mx.zeros(shape).size for shape in shapes)
        return tokens * (6 * (layers * block + vocab * width) + 3 * layers * 4 * context * width)

    def token_seconds(parameters, batch, size, peak, bandwidth):
        return mx.maximum(mx.array(2 * parameters * batch / peak), mx.array(size * parameters / bandwidth))

    def round_to_bfloat16(x):
        return x.astype(mx.bfloat16).astype(x.dtype)

    def to_oihw(weight):
        return mx.transpose(weight, (0, 3, 1, 2))

    def next_scale(scale, good, gradient, interval):
        if not mx.isfinite(gradient).all().item():
            return scale / 2, 0
        return (scale * 2, 0) if good == interval - 1 else (scale, good + 1)

    def seconds_per_call(run, wait, clock, calls):
        run()
        wait()
        start = clock()
        for _ in range(calls):
            run()
        wait()
        return mx.array((clock() - start) / calls)

    def batch_noise(gradients, size):
        count = gradients.shape[0]
        return mx.var(gradients, axis=0).sum() / size * (count - size) / (count - 1)

    def best_momentum(smallest, largest):
        low, high = mx.sqrt(mx.array(smallest)), mx.sqrt(mx.array(largest))
        return 4 / mx.square(low + high), mx.square((high - low) / (high + low))

    def adam_step(w, g, m, v, t, lr, beta1, beta2, eps):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * mx.square(g)
        return w - lr * (m / (1 - beta1**t)) / (mx.sqrt(v / (1 - beta2**t)) + eps), m, v

    def lion_step(w, g, m, lr, beta1, beta2, decay):
        return (1 - lr * decay) * w - lr * mx.sign(beta1 * m + (1 - beta1) * g), beta2 * m + (1 - beta2) * g

    def orthogonalize(x, iterations):
        x = x / mx.linalg.norm(x)
        for _ in range(iterations):
            gram = x @ x.T
            x = 3.4445 * x + mx.addmm(-4.7750 * gram, gram, gram, alpha=2.0315) @ x
        return x

    def standardize_split(train, test):
        mean, variance = train.mean(axis=0), train.var(axis=0)
        deviation = mx.where(train.max(axis=0) > train.min(axis=0), mx.sqrt(variance), 1.0)
        return (train - mean) / deviation, (test - mean) / deviation

    def precision_recall_f1(predicted, labels):
        tp = (predicted * labels).sum()
        called, there = predicted.sum(), labels.sum()
        return tuple(a / mx.maximum(n, 1) for a, n in ((tp, called), (tp, there), (2 * tp, called + there)))

    def rank_auc(scores, labels):
        difference = mx.sign(scores[:, None] - scores)
        pair = (labels[:, None] == 1) & (labels == 0)
        return ((difference + 1) / 2 * pair).sum() / pair.sum()

    def calibration_gap(p, labels, bins):
        group = mx.maximum(mx.ceil(p * bins) - 1, 0)
        inside = group[:, None] == mx.arange(bins)
        return mx.abs(((labels - p)[:, None] * inside).sum(axis=0)).sum() / len(p)

    def paired_bootstrap(right_a, right_b, draws):
        differences = mx.sort((right_a - right_b)[draws].mean(axis=1))
        last, bounds = len(differences) - 1, []
        for share in (0.025, 0.975):
            below = int(share * last)
            part = share * last - below
            bounds.append((1 - part) * differences[below] + part * differences[min(below + 1, last)])
        return tuple(bounds)

    def soft_threshold(w, threshold):
        return mx.sign(w) * mx.maximum(mx.abs(w) - threshold, 0)

    def ridge_weights(x, targets, penalty):
        hessian = x.T @ x / len(x) + penalty * mx.eye(x.shape[1])
        return mx.linalg.solve(hessian, x.T @ targets / len(x), stream=mx.cpu)

    def bias_variance(predictions, truth):
        return mx.square(predictions.mean(axis=0) - truth).mean(), predictions.var(axis=0).mean()

    def stop_early(losses, patience):
        for epoch in range(1, len(losses) + 1):
            best = mx.argmin(losses[:epoch]).item() + 1
            if epoch - best >= patience:
                break
        return best, epoch

    return named(locals())


def numpy_solutions():
    return named({name: getattr(numpy_answers, name) for name in dir(numpy_answers)})


def named(scope):
    """The functions of a scope by name."""
    return {name: fn for name, fn in scope.items() if callable(fn) and getattr(fn, "__name__", None) == name}

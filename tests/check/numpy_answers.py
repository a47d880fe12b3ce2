"""The exercises solved by formulas of their own: nothing here comes from `dlcourse`."""

import itertools

import numpy as np


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
    flat = x.ravel()  # a view, as x is contiguous
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


def output_size(size, kernel, stride, padding, dilation):
    ends = range(dilation * (kernel - 1), size + 2 * padding, stride)
    return len(ends)


def conv1d(x, weight, bias, stride):
    return np.correlate(x, weight, "valid")[::stride] + bias


def conv1d_backward(x, weight, dy, stride):
    spread = np.zeros(len(x) - len(weight) + 1)
    spread[::stride] = dy
    return np.convolve(spread, weight), np.correlate(x, spread, "valid"), dy.sum()


def conv2d_forward(x, weight):
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[1:3], axis=(1, 2))
    return np.einsum("nabcij,oijc->nabo", windows, weight)


def max_pool_backward(x, dy, size):
    dx = np.zeros(x.shape)
    for n, a, b, c in np.ndindex(dy.shape):
        entries = {(a * size + i, b * size + j): x[n, a * size + i, b * size + j, c] for i, j in np.ndindex(size, size)}
        dx[(n, *max(entries, key=entries.get), c)] = dy[n, a, b, c]
    return dx


def layer_norm(x, weight, bias, eps):
    s = np.sqrt(np.var(x, axis=-1) + eps)
    return weight * ((x - np.mean(x, axis=-1)[..., None]) / s[..., None]) + bias


def layer_norm_backward(x, weight, dy, eps):
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(weight)
    for n, row in enumerate(x):  # the Jacobian of each row, entry by entry
        s = np.sqrt(np.var(row) + eps)
        x_hat = (row - np.mean(row)) / s
        for i, k in np.ndindex(len(row), len(row)):
            slope = ((i == k) - 1 / len(row) - x_hat[i] * x_hat[k] / len(row)) / s
            dx[n, k] += dy[n, i] * weight[i] * slope
        dweight += dy[n] * x_hat
        dbias += dy[n]
    return dx, dweight, dbias


def batch_norm_predict(x, weight, bias, mean, variance, eps):
    slope = weight / np.sqrt(variance + eps)  # a linear map
    return x * slope + (bias - mean * slope)


def dead_units(h):
    return sum(all(value == 0 for value in unit) for unit in h.T)


def cnn_parameters(inputs, channels, kernel, padding, hidden, outputs):
    (height, width, depth), count = inputs, 0
    for layer, o in enumerate(channels):
        count += o * (depth * kernel**2 + 1)
        height = (height + 2 * padding[layer] - kernel + 1) // 2
        width = (width + 2 * padding[layer] - kernel + 1) // 2
        depth = o
    inputs = height * width * depth
    for o in (*hidden, outputs):
        count += o * inputs + o
        inputs = o
    return count


def reorder_columns(weight, height, width, channels):
    result = np.empty_like(weight)
    for h, w, c in np.ndindex(height, width, channels):
        result[:, (c * height + h) * width + w] = weight[:, (h * width + w) * channels + c]
    return result


def soft_cross_entropy(logits, q):
    log_p = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    return np.vdot(q, -log_p) / len(q), (np.exp(log_p) - q) / len(q)


def crop_images(x, places, padding):
    crops = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(x.shape):
        h, w = i + places[n, 0] - padding, j + places[n, 1] - padding  # where the pixel comes from
        if h in range(x.shape[1]) and w in range(x.shape[2]):
            crops[n, i, j, c] = x[n, h, w, c]
    return crops


def batched_accuracy(logits, labels, batch_size):
    right = 0
    for start in range(0, len(labels), batch_size):
        batch = slice(start, start + batch_size)
        right += np.count_nonzero(np.argmax(logits[batch], axis=1) == labels[batch])
    return right / len(labels)


def block_parameters(inputs, outputs, stride):
    total, channels = 0, inputs
    for _ in range(2):  # each kernel looks at all channels below it and has a norm of two numbers
        total += outputs * (channels * 3**2 + 2)
        channels = outputs
    if inputs != outputs or stride > 1:
        total += outputs * (inputs + 2)
    return total


def residual_backward(x, W1, W2, P, dy):
    gradients = [np.zeros_like(a) for a in (x, W1, W2, P)]
    for n, example in enumerate(x):  # one example at a time, outer products
        z1 = W1 @ example
        h = np.maximum(z1, 0)
        dz = np.where(W2 @ h + P @ example > 0, dy[n], 0.0)
        dz1 = np.where(z1 > 0, dz @ W2, 0.0)
        gradients[0][n] = dz @ P + dz1 @ W1
        gradients[1] += np.outer(dz1, example)
        gradients[2] += np.outer(dz, h)
        gradients[3] += np.outer(dz, example)
    return gradients


def fold_norm(weight, bias, gamma, beta, mean, variance, eps):
    s = np.sqrt(variance + eps)
    return np.einsum("o...,o,o->o...", weight, gamma, 1 / s), (bias - mean) / s * gamma + beta


def trained_parameters(shapes, frozen):
    total = 0
    for name, shape in shapes.items():
        heads = {name.rsplit(".", k)[0] for k in range(len(name))}
        total += np.zeros(shape).size * heads.isdisjoint(frozen)
    return total


def probe_gradient(features, labels, weight, bias):
    loss, dweight, dbias = 0.0, np.zeros_like(weight), np.zeros_like(bias)
    for n, label in enumerate(labels):  # one example at a time, outer products
        logits = weight @ features[n] + bias
        total = np.logaddexp.reduce(logits)
        error = np.exp(logits - total)
        error[label] -= 1
        loss += (total - logits[label]) / len(labels)
        dweight += np.outer(error, features[n]) / len(labels)
        dbias += error / len(labels)
    return loss, dweight, dbias


def l2_sp_step(weight, start, gradient, alpha, lr):
    pull = lr * alpha
    return (1 - pull) * weight + pull * start - lr * gradient


def lstm_step(a, c):
    H = c.shape[1]
    squashed = np.tanh(a * np.where(np.arange(4 * H) // H == 2, 1.0, 0.5))
    g = squashed[:, 2 * H : 3 * H]
    i, f, o = ((1 + squashed[:, k * H : (k + 1) * H]) / 2 for k in (0, 1, 3))
    cell = f * c + i * g
    return o * np.tanh(cell), cell


def elman_backward(h, delta, weight_hh):
    da, dweight_hh = np.empty_like(delta), np.zeros_like(weight_hh)
    dh = np.zeros(len(weight_hh))
    for t in range(len(delta), 0, -1):
        da[t - 1] = (dh + delta[t - 1]) * (1 - h[t]) * (1 + h[t])
        dweight_hh += np.outer(da[t - 1], h[t - 1])
        dh = np.dot(weight_hh.T, da[t - 1])
    return da, dweight_hh


def clip_together(dweight, dbias, limit):
    length = np.linalg.norm(np.append(dweight, dbias))
    factor = limit / max(length, limit)
    return factor * dweight, factor * dbias


def transformer_parameters(vocab, layers, width, hidden):
    linear = lambda i, o: (i + 1) * o  # noqa: E731
    attention, perceptron = 4 * linear(width, width), linear(width, hidden) + linear(hidden, width)
    norm = width + width
    encoder, decoder = attention + perceptron + 2 * norm, 2 * attention + perceptron + 3 * norm
    return vocab * width + layers * (encoder + decoder) + norm + norm


def shift_right(targets, start, pad):
    given = []
    for row in targets:
        before = [start, *row[:-1]]
        given.append([pad if token == -100 else token for token in before])
    return np.array(given)


def mlp_branch_backward(x, W_up, W_down, dy):
    dx, dW_up, dW_down = np.zeros_like(x), np.zeros_like(W_up), np.zeros_like(W_down)
    for n, row in enumerate(x):  # one position at a time
        deviation = np.sqrt(row.var() + 1e-5)
        h = (row - row.mean()) / deviation
        z = W_up @ h
        dz = np.where(z > 0, dy[n] @ W_down, 0.0)
        dh = dz @ W_up
        dx[n] = dy[n] + (dh - dh.mean() - np.mean(dh * h) * h) / deviation
        dW_up += np.outer(dz, h)
        dW_down += np.outer(dy[n], np.maximum(z, 0))
    return dx, dW_up, dW_down


def beam_step(logp, next_logp, beams):
    found = []
    for parent, past in enumerate(logp):
        for token, log_token in enumerate(next_logp[parent]):
            found.append((past + log_token, parent, token))
    found.sort(reverse=True)
    sums, parents, tokens = np.array(found[:beams]).T
    return sums, parents.astype(int), tokens.astype(int)


def attend(q, k, v, causal):
    rows = []
    for i, query in enumerate(q):
        last = len(k) - len(q) + i + 1 if causal else len(k)
        s = k[:last] @ query / np.sqrt(len(query))
        rows.append(np.exp(s - np.logaddexp.reduce(s)) @ v[:last])
    return np.array(rows)


def attention_backward(q, k, v, do):
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for i, query in enumerate(q):
        root = np.sqrt(len(query))
        s = k @ query / root
        a = np.exp(s - np.logaddexp.reduce(s))
        for j, key in enumerate(k):  # a score rises when its value is better than the mixture
            ds = a[j] * (do[i] * (v[j] - a @ v)).sum() / root
            dq[i] += ds * key
            dk[j] += ds * query
            dv[j] += a[j] * do[i]
    return dq, dk, dv


def rotate(x, offset):
    half = x.shape[1] // 2
    z = x[:, :half] + 1j * x[:, half:]  # a rotation is a product of complex numbers
    z = z * np.exp(1j * np.outer(np.arange(len(x)) + offset, 10000.0 ** (np.arange(half) / -half)))
    return np.concatenate([z.real, z.imag], axis=1)


def merge_halves(m1, l1, u1, m2, l2, u2):
    both = np.stack([m1, m2])
    m = both.max(axis=0)
    c = np.exp(both - m)
    return m, (c * np.stack([l1, l2])).sum(axis=0), np.einsum("nt,nte->te", c, np.stack([u1, u2]))


def bits_per_byte(loss, tokens, size):
    return loss * tokens / size / np.log(2)


def merge_pair(ids, a, b, new):
    result = []
    for token in ids.tolist():
        if result[-1:] == [a] and token == b:
            result[-1] = new
        else:
            result.append(token)
    return np.array(result, dtype=int)


def encode_bytes(ids, merges):
    for new, (a, b) in enumerate(merges.tolist(), 256):
        ids = merge_pair(ids, a, b, new)
    return ids


def next_token_pairs(tokens):
    return tokens[:, :-1], tokens[:, 1:]


def perplexity(logits, targets):
    total, count = 0.0, 0
    for n, target in enumerate(targets):
        if target != -100:
            total += np.logaddexp.reduce(logits[n]) - logits[n, target]
            count += 1
    return np.exp(total / count)


def top_k_probabilities(logits, temperature, k):
    z = logits / temperature
    z = np.where(z >= np.sort(z)[-k], z, -np.inf)
    return np.exp(z - np.logaddexp.reduce(z))


def nucleus(p, threshold):
    before = np.array([p[p > one].sum() for one in p])  # what the more likely ones have
    kept = np.where(before < threshold, p, 0.0)
    return kept / kept.sum()


def gpt_parameters(vocab, context, layers, width):
    return (vocab + context + 2) * width + layers * (12 * width**2 + 13 * width)


def hide_tokens(x, chosen, fate, others, mask):
    read, targets = x.copy(), np.full_like(x, -100)
    for n, t in np.argwhere(chosen):
        targets[n, t] = x[n, t]
        if fate[n, t] < 0.9:
            read[n, t] = mask if fate[n, t] < 0.8 else others[n, t]
    return read, targets


def hidden_loss(logits, targets):
    places = np.argwhere(targets != -100)
    loss, dlogits = 0.0, np.zeros_like(logits)
    for n, t in places:
        total = np.logaddexp.reduce(logits[n, t])
        loss += (total - logits[n, t, targets[n, t]]) / len(places)
        dlogits[n, t] = np.exp(logits[n, t] - total) / len(places)
        dlogits[n, t, targets[n, t]] -= 1 / len(places)
    return loss, dlogits


def best_span(start, end):
    pairs = [(a, b) for a in range(len(start)) for b in range(a, len(end))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


def chain_cost(sizes):
    forward = reverse = 0
    for i, o in itertools.pairwise(sizes[1:]):
        forward += sizes[0] * i * o
    for i, o in itertools.pairwise(sizes[:-1]):
        reverse += sizes[-1] * i * o
    return forward, reverse


def sum_to_shape(dy, shape):
    dx, padded = np.zeros(shape), (1,) * (dy.ndim - len(shape)) + shape
    view, last = dx.reshape(padded), np.array(padded) - 1
    for index in np.ndindex(dy.shape):
        view[tuple(np.minimum(index, last))] += dy[index]
    return dx


def gradient_error(operation, x, u, v, h):
    promised = np.vdot(operation(x)[1](u), v)
    ends = [operation(x + h * v)[0], operation(x - h * v)[0]]
    measured = np.vdot(u, np.subtract(*ends)) / (2 * h)
    if measured == promised:
        return 0.0
    return np.abs(measured - promised) / np.maximum(np.abs(measured), np.abs(promised))


def complex_step(f, x, h):
    gradient = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        gradient[i] = np.imag(f(x + 1j * step)) / h
    return gradient


def log_sum_exp(x):
    return np.logaddexp.reduce(x, axis=-1)


def huber(y, t, delta):
    size = np.abs(y - t)
    small = np.minimum(size, delta)
    return np.mean(small * size - small * small / 2), np.sign(y - t) * small / np.size(y)


def kl(q, p):
    held = q > 0
    return np.sum(q[held] * np.log(q[held] / p[held]))


def focal(z, t, gamma):
    u = np.where(t > 0, z, -z)
    log_p, log_q = -np.logaddexp(0, -u), -np.logaddexp(0, u)
    slope = np.exp(gamma * log_q + log_p) * gamma * log_p - np.exp(gamma * log_q + log_q)
    return np.mean(np.exp(gamma * log_q) * -log_p), np.where(t > 0, slope, -slope) / np.size(z)


def tape_gradient(program, numbers):
    units = np.eye(len(numbers))  # a complex step along each: no tape, but the same numbers
    return np.array([program(*(numbers + 1e-20j * unit)).imag / 1e-20 for unit in units])


def graph_gradient(slopes):
    last = np.eye(len(slopes))[-1]
    return np.linalg.solve(np.eye(len(slopes)) - slopes.T, last)  # d = last + slopes^T d


def linear_jvp(x, weight, bias, x_dot, weight_dot, bias_dot):
    t = 1e-20j  # a complex step: a dual number in disguise
    y = (x + t * x_dot) @ (weight + t * weight_dot).T + bias + t * bias_dot
    return y.real, y.imag / 1e-20


def logits_hessian_vector(logits, v):
    Hv = np.zeros(v.shape)
    for n, z in enumerate(logits):
        p = np.exp(z - np.logaddexp.reduce(z))
        Hv[n] = (p * v[n] - p * np.sum(p * v[n])) / len(logits)
    return Hv


def checkpoint_cost(layers, segment):
    return len(range(0, layers, segment)) + segment, layers + layers


def training_flops(sizes, rows):
    total, inputs = 0, sizes[0]
    for layer, outputs in enumerate(sizes[1:]):
        total += rows * inputs * outputs * (6 if layer else 4)
        inputs = outputs
    return total


def training_bytes(sizes, batch, slots):
    inputs = sizes[0]
    numbers = batch * inputs
    for outputs in sizes[1:]:
        numbers += (inputs * outputs + outputs) * (2 + slots)
        numbers += batch * outputs
        inputs = outputs
    return 4 * numbers


def bottleneck_parameters(inputs, width, changes):
    total = width * (inputs + 2)
    total += width * (9 * width + 2)
    total += 4 * width * (width + 2)
    if changes:
        total += 4 * width * (inputs + 2)
    return total


def gpt_training_flops(layers, width, context, vocab, tokens):
    forward = layers * (24 * width * width + 4 * context * width)
    forward += 2 * vocab * width
    return 3 * forward * tokens


def token_seconds(parameters, batch, size, peak, bandwidth):
    computing = 2 * batch * parameters / peak
    reading = parameters * size / bandwidth
    return max(computing, reading)


def round_to_bfloat16(x):
    mantissa, exponent = np.frexp(x)  # the mantissa lies in [1/2, 1)
    return np.ldexp(np.round(256 * mantissa) / 256, exponent)


def to_oihw(weight):
    return np.moveaxis(weight, 3, 1)


def next_scale(scale, good, gradient, interval):
    if np.count_nonzero(np.abs(gradient) < np.inf) < gradient.size:  # a NaN compares as false
        return 0.5 * scale, 0
    row = (good + 1) % interval
    return (scale if row else 2.0 * scale), row


def seconds_per_call(run, wait, clock, calls):
    for k in range(calls + 1):
        if k == 1:
            wait()
            start = clock()
        run()
    wait()
    return (clock() - start) / calls


def batch_noise(gradients, size):
    means = [np.mean(chosen, axis=0) for chosen in itertools.combinations(gradients, size)]  # all batches there are
    return np.mean([np.sum((one - gradients.mean(axis=0)) ** 2) for one in means])


def best_momentum(smallest, largest):
    rate = 1 - 2 / (1 + (largest / smallest) ** 0.5)
    return (1 - rate) ** 2 / smallest, rate * rate


def adam_step(w, g, m, v, t, lr, beta1, beta2, eps):
    m, v = g + beta1 * (m - g), g * g + beta2 * (v - g * g)
    root = (1 - beta2**t) ** 0.5
    return w - lr * root / (1 - beta1**t) * m / (v**0.5 + eps * root), m, v


def lion_step(w, g, m, lr, beta1, beta2, decay):
    return w - lr * (np.sign(g + beta1 * (m - g)) + decay * w), g + beta2 * (m - g)


def orthogonalize(x, iterations):
    left, s, right = np.linalg.svd(x, full_matrices=False)
    s = s / np.sqrt(np.sum(s**2))
    for _ in range(iterations):
        s = s * (3.4445 + s**2 * (2.0315 * s**2 - 4.7750))
    return np.einsum("ir,r,rj->ij", left, s, right)


def standardize_split(train, test):
    mean, centred = train.mean(axis=0), train - train.mean(axis=0)
    s = np.sqrt((centred * centred).mean(axis=0))
    s[train.max(axis=0) == train.min(axis=0)] = 1.0
    return centred / s, (test - mean) / s


def precision_recall_f1(predicted, labels):
    tp = (predicted * labels).sum()
    called, there = predicted.sum(), labels.sum()
    shares = [2 * tp / n if n else 0.0 for n in (2 * called, 2 * there, called + there)]
    return tuple(shares)


def rank_auc(scores, labels):
    total = 0.0
    for s in scores[labels == 1]:
        for t in scores[labels == 0]:
            total += 1.0 if s > t else 0.5 if s == t else 0.0
    return total / (labels.sum() * (1 - labels).sum())


def calibration_gap(p, labels, bins):
    group = np.digitize(p, np.arange(1, bins) / bins, right=True)
    return sum(abs((labels - p)[group == g].sum()) for g in set(group)) / len(p)


def paired_bootstrap(right_a, right_b, draws):
    differences = sorted(sum(right_a[n] - right_b[n] for n in row) / len(row) for row in draws)
    return tuple(np.interp([0.025, 0.975], np.linspace(0, 1, len(differences)), differences))


def soft_threshold(w, threshold):
    return w - np.clip(w, -threshold, threshold)


def ridge_weights(x, targets, penalty):
    return x.T @ np.linalg.solve(x @ x.T + len(x) * penalty * np.eye(len(x)), targets)  # as many unknowns as examples


def bias_variance(predictions, truth):
    variance = predictions.var(axis=0).mean()
    return np.mean((predictions - truth) ** 2) - variance, variance


def stop_early(losses, patience):
    best = 0
    for epoch in range(len(losses)):
        if losses[epoch] < losses[best]:
            best = epoch
        if epoch - best == patience:
            return best + 1, epoch + 1
    return best + 1, len(losses)

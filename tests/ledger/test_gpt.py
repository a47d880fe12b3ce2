"""The equations of the chapter on GPT, line by line."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import count, data, generate, metrics, tasks
from dlcourse.config import GPTConfig
from dlcourse.errors import need
from dlcourse.initial import initial_state
from dlcourse.numpy import GPT, Learner
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient

CONFIG = GPTConfig(7, context=6, layers=2, heads=2, width=8)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def model_of(config=CONFIG, scale=8.0):
    """A GPT in float64 with weights large enough to tell tokens apart."""
    model = GPT(config)
    model.load_state({n: a.astype(float) * (scale if a.ndim > 1 else 1) for n, a in initial_state(config, 0).items()})
    return model


@pytest.mark.equation("eq-causal-chain-rule", formula_only=True)
def test_chain_rule(rng):
    joint = rng.random((3, 3, 3))  # any distribution of three tokens
    joint /= joint.sum()
    first, second = joint.sum(axis=(1, 2)), joint.sum(axis=2)
    for a, b, c in itertools.product(range(3), repeat=3):
        assert_same("factors", joint[a, b, c], first[a] * (second[a, b] / first[a]) * (joint[a, b, c] / second[a, b]), rtol=1e-14)


@pytest.mark.equation("eq-causal-chain-rule", formula_only=True)
def test_a_model_of_the_factors_is_a_model_of_all_texts():
    """The probabilities that a GPT gives to all texts of three tokens sum to one."""
    rows = np.array([(0, *text) for text in itertools.product(range(7), repeat=3)])
    logp = generate.log_softmax(model_of()(rows[:, :-1])[0])
    texts = np.take_along_axis(logp, rows[:, 1:, None], axis=-1).sum(axis=(1, 2))
    assert_same("sum over all texts", np.exp(texts).sum(), 1.0, rtol=1e-12)


@pytest.mark.equation("eq-language-model-loss")
def test_loss(rng):
    tokens, model = rng.integers(0, 7, size=(3, 6)), model_of()
    x, y = data.windows(tokens.ravel(), 5, stride=6)
    assert_same("targets are the inputs moved by one", y, tokens[:, 1:], rtol=0)
    total = 0.0
    for b, t in np.ndindex(x.shape):
        q = softmax(model(x[b : b + 1, : t + 1])[0][0, -1])  # it sees x_b1 ... x_bt and nothing else
        total -= math.log(q[y[b, t]])
    logits, _ = model(x)
    loss, backward = f.cross_entropy(logits, y)
    assert_lines_agree([total / x.size, loss, Learner(model, None).evaluate((x, y))[0]], rtol=1e-12)
    onehot = np.eye(7)[y]
    assert_same("its gradient, N = BT", backward(), (softmax(logits) - onehot) / x.size, rtol=1e-12)


@pytest.mark.equation("eq-language-model-loss")
def test_loss_as_perplexity(rng):
    """The perplexity of a model is the geometric mean of 1/q."""
    q = rng.random(9)
    loss = -np.log(q).mean()
    assert_lines_agree([math.exp(loss), np.prod(1 / q) ** (1 / 9), metrics.perplexity(loss)], rtol=1e-13)
    assert_same("a uniform guess", metrics.perplexity(math.log(22)), 22.0, rtol=1e-14)
    three = [0.5, 0.25, 0.5]  # by hand
    assert_lines_agree([-np.log(three).mean(), 4 / 3 * math.log(2)], rtol=1e-14)
    assert_same("by hand", metrics.perplexity(-np.log(three).mean()), 2 ** (4 / 3), rtol=1e-14)


@pytest.mark.equation("eq-gap")
def test_gap_at_one_position(rng):
    for _ in range(20):
        p, q = rng.dirichlet(np.ones(5), size=2)
        entropy, divergence = -(p * np.log(p)).sum(), (p * np.log(p / q)).sum()
        assert_same("loss = entropy + divergence", -(p * np.log(q)).sum(), entropy + divergence, rtol=1e-12)
        assert -divergence <= (p * (q / p - 1)).sum() + 1e-15
        assert_same("that sum", (p * (q / p - 1)).sum() + 1, 1.0, rtol=1e-12)
        assert divergence > 0
    assert_same("equal", (p * np.log(p / p)).sum(), 0.0, rtol=0)


@pytest.mark.equation("eq-gap")
def test_gap_over_all_texts():
    """Texts of four tokens, enumerated: the expected loss of a GPT is the entropy and the mean divergence."""
    grammar, config = data.Grammar(1), GPTConfig(22, context=4, layers=1, heads=2, width=8)
    model, length = model_of(config), 4
    texts = [((0,), 1.0)]
    for _ in range(length):  # every text that can be, with its probability
        grown = []
        for text, share in texts:
            p = np.exp(grammar.log_probabilities(np.array([text]))[0, -1])
            grown += [((*text, v), share * p[v]) for v in np.flatnonzero(p)]
        texts = grown
    rows, shares = np.array([text for text, _ in texts]), np.array([share for _, share in texts])
    assert_same("all texts", shares.sum(), 1.0, rtol=1e-12)
    x, y = rows[:, :-1], rows[:, 1:]
    logq, logp = generate.log_softmax(model(x)[0]), grammar.log_probabilities(x)
    loss = -(shares[:, None] * np.take_along_axis(logq, y[..., None], -1)[..., 0]).sum() / length
    p = np.exp(logp)
    divergence = (p * np.where(p > 0, logp - logq, 0.0)).sum(axis=-1)
    gap = (shares[:, None] * divergence).sum() / length
    assert_lines_agree([loss, grammar.entropy(length) + gap], rtol=1e-12)


@pytest.mark.equation("eq-gap")
def test_gap_as_recipes_measure_it():
    dataset = data.Grammar().dataset(train=4, validation=40, test=60)
    learner = Learner(model_of(GPTConfig(22, layers=1, heads=2, width=8)), None)
    x, y = dataset.test
    own = -np.take_along_axis(data.Grammar().log_probabilities(x), y[..., None], -1).mean()
    found = tasks.entropy_gap(learner, dataset)
    assert_same("loss less the source's own", found["test_gap"], learner.evaluate((x, y))[0] - own, rtol=1e-10)


@pytest.mark.equation("eq-source-entropy")
@pytest.mark.equation("eq-markov-entropy")
def test_entropies_of_the_grammar():
    """By enumeration of all texts of six tokens, without the table of states."""
    grammar, length = data.Grammar(), 6
    texts, entropy, pairs = [((0,), 1.0)], 0.0, np.zeros((22, 22))
    for _ in range(length):
        grown = []
        for text, share in texts:
            p = np.exp(grammar.log_probabilities(np.array([text]))[0, -1])
            seen = p[p > 0]
            entropy -= share * (seen * np.log(seen)).sum() / length
            pairs[text[-1]] += share * p / length
            grown += [((*text, v), share * p[v]) for v in np.flatnonzero(p)]
        texts = grown
    assert_same("entropy", entropy, grammar.entropy(length), rtol=1e-12)
    conditional = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1e-300)
    known = pairs > 0
    by_pairs = -(pairs[known] * np.log(conditional[known])).sum()
    assert_same("pairs", by_pairs, grammar.markov_entropy(length), rtol=1e-12)
    assert by_pairs > entropy


@pytest.mark.equation("eq-gpt")
def test_model_as_printed(rng):
    model, x = model_of(), rng.integers(0, 7, size=(2, 5))
    state = model.state()

    def norm(h, name):
        return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5) * state[f"{name}.weight"]

    def attention(h, name):
        q, k, v = (np.split(h @ state[f"{name}.{part}_proj.weight"].T, 2, axis=-1) for part in "qkv")
        heads = []
        for qh, kh, vh in zip(q, k, v, strict=True):
            scores = qh @ kh.swapaxes(1, 2) / math.sqrt(4)
            scores[:, np.triu(np.ones((5, 5), bool), 1)] = -np.inf
            heads.append(softmax(scores) @ vh)
        return np.concatenate(heads, axis=-1) @ state[f"{name}.out_proj.weight"].T

    def gelu(z):
        return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))

    h = state["tok.weight"][x] + state["pos.weight"][:5]
    for i in range(2):
        b = f"blocks.{i}"
        h = h + attention(norm(h, f"{b}.ln_1"), f"{b}.attn")
        h = h + gelu(norm(h, f"{b}.ln_2") @ state[f"{b}.mlp.up.weight"].T) @ state[f"{b}.mlp.down.weight"].T
    z = norm(h, "ln_f") @ state["tok.weight"].T
    assert_same("logits", model(x)[0], z, rtol=1e-12)


@pytest.mark.equation("eq-tied-head-vjp")
def test_two_uses_of_one_matrix(rng):
    tied, x = model_of(), rng.integers(0, 5, size=(2, 4))  # tokens 5 and 6 never occur
    dz = rng.normal(size=(2, 4, 7))
    _, backward = tied(x)
    backward(dz)
    whole = tied.gradients()["tok.weight"]

    def loss(weight):
        model = model_of()
        model.load_state(model.state() | {"tok.weight": weight})
        return (model(x)[0] * dz).sum()

    assert_same("finite differences", numerical_gradient(loss, tied.state()["tok.weight"]), whole, rtol=1e-6)
    # the same network with two matrices tells the two sums apart
    config = GPTConfig(7, context=6, layers=2, heads=2, width=8, tied=False)
    apart = GPT(config)
    apart.load_state(tied.state() | {"head.weight": tied.state()["tok.weight"]})
    _, backward = apart(x)
    backward(dz)
    parts = apart.gradients()
    assert_same("their sum", parts["head.weight"] + parts["tok.weight"], whole, rtol=1e-12)
    assert np.all(parts["tok.weight"][5:] == 0) and np.all(np.abs(parts["head.weight"]).sum(axis=1) > 0)
    seen, _ = tied._hidden(x)
    assert_same("first sum", parts["head.weight"], np.einsum("btv,btc->vc", dz, seen), rtol=1e-12)


@pytest.mark.equation("eq-gpt-parameters")
def test_parameters_as_printed():
    for v, t, k, c in ((50257, 1024, 12, 768), (11, 7, 2, 8), (65, 64, 4, 128)):
        with_biases, without = (count.parameters(GPTConfig(v, t, k, 2, c, bias=bias)) for bias in (True, False))
        assert_same("with biases", with_biases, v * c + t * c + k * (12 * c**2 + 13 * c) + 2 * c, rtol=0)
        assert_same("without", without, v * c + t * c + k * (12 * c**2 + 2 * c) + c, rtol=0)


@pytest.mark.equation("eq-gpt-flops")
def test_operations_as_printed():
    """Every matrix product of a forward pass is counted while it runs."""
    v, t, k, c = 7, 6, 2, 8
    found = count.flops(CONFIG) + count.attention_flops(CONFIG, t)
    torch = need("torch", extra="torch")
    from torch.utils.flop_counter import FlopCounterMode

    from dlcourse.torch import GPT as TorchGPT

    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        TorchGPT(CONFIG)(torch.zeros(1, t, dtype=torch.long))
    printed = 2 * t * (12 * k * c**2 + v * c) + 4 * k * t**2 * c
    assert_lines_agree([counter.get_total_flops(), printed, found], rtol=0)


@pytest.mark.equation("eq-decode-flops")
def test_operations_of_a_token_as_printed():
    v, k, c = 7, 2, 8
    for t in range(1, 7):
        cached, again = (count.decode_flops(CONFIG, t, cache=kept) for kept in (True, False))
        assert_same("cached", cached, 24 * k * c**2 + 2 * v * c + 4 * k * t * c, rtol=0)
        assert_same("again", again, 24 * k * t * c**2 + 2 * v * c + 4 * k * t**2 * c, rtol=0)


@pytest.mark.equation("eq-decode-flops")
def test_the_sums_over_a_text():
    """Of the exercise."""
    v, k, c, length = 7, 2, 8, 40
    cached, again = (sum(count.decode_flops(CONFIG, t, cache=kept) for t in range(1, length + 1)) for kept in (True, False))
    n = length * (length + 1)
    assert_same("cached", cached, length * (24 * k * c**2 + 2 * v * c) + 2 * k * c * n, rtol=1e-14)
    assert_same("again", again, 12 * k * c**2 * n + 2 * v * c * length + 2 / 3 * k * c * n * (2 * length + 1), rtol=1e-14)


@pytest.mark.equation("eq-temperature")
def test_temperature(rng):
    z = rng.normal(size=6)
    for tau in (0.3, 1.0, 4.0):
        p = np.array([math.exp(z[i] / tau) / sum(math.exp(z[j] / tau) for j in range(6)) for i in range(6)])
        assert_same("implementation", generate.probabilities(z[None], tau)[0], p, rtol=1e-13)
        plain = softmax(z)
        assert_same("ratios", p[0] / p[1], (plain[0] / plain[1]) ** (1 / tau), rtol=1e-12)
    assert_same("cold: the largest", generate.probabilities(z[None], 1e-3)[0], np.eye(6)[z.argmax()], rtol=1e-12)
    assert_same("hot: all alike", generate.probabilities(z[None], 1e9)[0], np.full(6, 1 / 6), rtol=1e-8)
    assert generate.sample(z[None], temperature=0)[0] == z.argmax()


@pytest.mark.equation("eq-temperature-entropy", formula_only=True)
def test_entropy_grows_with_the_temperature(rng):
    z = rng.normal(size=6)

    def entropy(tau):
        p = generate.probabilities(z[None], float(tau[0]))[0]
        return -(p * np.log(p)).sum()

    for tau in (0.5, 1.0, 3.0):
        beta, p = 1 / tau, softmax(z / tau)
        mean, log_z = (p * z).sum(), np.log(np.exp(beta * z).sum())
        variance = (p * (z - mean) * z).sum()
        assert_same("log p", np.log(p), beta * z - log_z, rtol=1e-12)
        assert_same("H", entropy([tau]), log_z - beta * mean, rtol=1e-12)
        slope = numerical_gradient(lambda b: np.log(np.exp(b[0] * z).sum()), np.array([beta]))[0]
        assert_same("d log Z", slope, mean, rtol=1e-7)
        by_beta = numerical_gradient(lambda b: entropy(1 / b), np.array([beta]))[0]
        assert_lines_agree([by_beta, -beta * variance], rtol=1e-6)
        by_tau = numerical_gradient(entropy, np.array([tau]))[0]
        assert_lines_agree([by_tau, by_beta * (-1 / tau**2), p @ (z - mean) ** 2 / tau**3], rtol=1e-6)
        assert by_tau > 0


@pytest.mark.equation("eq-top-k")
def test_top_k(rng):
    z = rng.normal(size=8)
    p = softmax(z)
    for k in (1, 3, 8):
        kept = np.array([sum(p[j] > p[i] for j in range(8)) < k for i in range(8)])  # fewer than k are more likely
        assert_same("implementation", generate.probabilities(z[None], top_k=k)[0], p * kept / (p * kept).sum(), rtol=1e-13)
    assert_same("k = 1 is greedy", generate.probabilities(z[None], top_k=1)[0], np.eye(8)[z.argmax()], rtol=1e-14)


@pytest.mark.equation("eq-top-p")
def test_top_p(rng):
    z = rng.normal(size=8)
    p = softmax(z)
    order = sorted(range(8), key=lambda i: -p[i])
    for threshold in (0.01, 0.4, 0.8, 0.99, 1.0):
        sums = [sum(p[i] for i in order[:n]) for n in range(1, 9)]
        m = next((n for n, total in enumerate(sums, 1) if total >= threshold - 1e-12), 8)
        kept = np.isin(np.arange(8), order[:m])
        assert_same("implementation", generate.probabilities(z[None], top_p=threshold)[0], p * kept / (p * kept).sum(), rtol=1e-12)
    below = generate.probabilities(z[None], top_p=0.5 * p.max())[0]
    assert_same("below the largest is greedy", below, np.eye(8)[z.argmax()], rtol=1e-14)

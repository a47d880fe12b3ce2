"""The equations of the chapter on BERT, line by line."""

import math

import numpy as np
import pytest

from dlcourse.boundary import IGNORED
from dlcourse.config import BERTConfig
from dlcourse.data import mask_tokens
from dlcourse.numpy import BERT, Adam, Learner
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient
from tests.numpy.bert_cases import BASE, embedded, sentences
from tests.numpy.transformer_cases import moved_gpt


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def loaded(config):
    model = BERT(config)
    model.load_state(moved_gpt(config))
    return model, model.state()


@pytest.mark.equation("eq-bert")
def test_embeddings_and_blocks(rng):
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    h = embedded(state, BASE, x)  # LN(E + P + S), token by token
    assert_same("h_0", model._embed(x, None)[0], h, rtol=1e-12)
    for block in model.blocks:
        a, _ = block.attn(h, mask=(x != BASE.pad)[:, None, None, :])
        r, _ = block.ln_1(h + a)
        m, _ = block.mlp(r)
        h, _ = block.ln_2(r + m)
    assert_same("h_L", model._hidden(x, None)[0], h, rtol=1e-12)


@pytest.mark.equation("eq-bert")
def test_three_embeddings_get_the_same_gradient(rng):
    """Rows that are used several times add up; that of a position sums over the batch."""
    model, _ = loaded(BASE)
    x = sentences(BASE, rng)
    h, back = model._embed(x, None)
    dh = rng.normal(size=h.shape)
    back(dh)
    _, ln_back = model.ln(pre_norm(model, x))
    d = ln_back(dh)
    tok, pos, seg = (np.zeros_like(e.weight.data) for e in (model.tok, model.pos, model.seg))
    before = np.minimum(np.cumsum(x == BASE.sep, axis=1) - (x == BASE.sep), 1)
    for n, t in np.ndindex(x.shape):
        tok[x[n, t]] += d[n, t]
        pos[t] += d[n, t]
        seg[before[n, t]] += d[n, t]
    for name, gradient in (("tok", tok), ("pos", pos), ("seg", seg)):
        assert_same(name, getattr(model, name).weight.grad, gradient, rtol=1e-10)


def pre_norm(model, x):
    before = np.minimum(np.cumsum(x == BASE.sep, axis=1) - (x == BASE.sep), 1)
    return model.tok.weight.data[x] + model.pos.weight.data[: x.shape[1]] + model.seg.weight.data[before]


def gaps(rng, shape=(3, 5), v=6):
    z, x = rng.normal(size=(*shape, v)), rng.integers(0, v, shape)
    chosen = rng.random(shape) < 0.5
    chosen[0, 0] = True
    return z, x, chosen


@pytest.mark.equation("eq-mlm")
def test_hidden_tokens(rng):
    z, x, chosen = gaps(rng)
    p = softmax(z)
    each = [-math.log(p[n, t, x[n, t]]) for n, t in np.argwhere(chosen)]
    lines = [
        np.array(-math.log(math.prod(math.exp(-loss) for loss in each)) / len(each)),  # -log of the product of the answers
        np.array(sum(each) / chosen.sum()),  # as printed
        np.array(f.cross_entropy(z, np.where(chosen, x, IGNORED))[0]),
    ]
    assert_lines_agree(lines, rtol=1e-12)


@pytest.mark.equation("eq-mlm-vjp")
def test_gradient_of_hidden_tokens(rng):
    z, x, chosen = gaps(rng)
    targets = np.where(chosen, x, IGNORED)
    p = softmax(z)
    printed = np.where(chosen[..., None], (p - np.eye(6)[x]) / chosen.sum(), 0.0)
    lines = [numerical_gradient(lambda z: float(f.cross_entropy(z, targets)[0]), z), printed]
    assert_lines_agree(lines, rtol=1e-7)
    assert_same("implementation", f.cross_entropy(z, targets)[1](), printed, rtol=1e-12)


def test_package_hides_what_the_loss_asks(rng):
    x = rng.integers(5, 40, (6, 20))
    read, targets = mask_tokens(x, rng, 40)
    assert (targets[read != x] != IGNORED).all() and (targets[targets != IGNORED] == x[targets != IGNORED]).all()


@pytest.mark.equation("eq-pooler", formula_only=True)
def test_summary_and_next_sentence(rng):
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    h, _ = model._hidden(x, None)
    s = np.tanh(h[:, 0] @ state["pooler.weight"].T + state["pooler.bias"])
    z = s @ state["nsp.weight"].T + state["nsp.bias"]
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert_same("s", model._pool(h)[0], s, rtol=1e-12)
    assert_same("q", softmax(model(x)[0][1]), q, rtol=1e-12)


@pytest.mark.equation("eq-bert-loss")
def test_sum_of_both_means(rng):
    model, _ = loaded(BASE)
    x = sentences(BASE, rng)
    words, follows = model(x)[0]
    chosen = rng.random(x.shape) < 0.4
    chosen[0, 1] = True
    labels = rng.integers(0, 2, len(x))
    p, q = softmax(words), softmax(follows)
    hidden = -np.mean([math.log(p[n, t, x[n, t]]) for n, t in np.argwhere(chosen)])
    pairs = -np.mean([math.log(q[n, y]) for n, y in enumerate(labels)])
    targets = np.concatenate([labels[:, None], np.where(chosen, x, IGNORED)], axis=1)
    lines = [np.array(hidden + pairs), np.array(float(f.pretraining_loss(words, follows, targets)[0]))]
    assert_lines_agree(lines, rtol=1e-12)
    learner = Learner(model, Adam(model), "pretraining")
    loss, gradients = learner.gradients((x, targets))
    assert_same("of the learner", np.array(loss), lines[0], rtol=1e-12)
    parts = []  # through one question at a time: their gradients add
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        (words, follows), backward = model(x)
        model.zero_gradients()
        backward(f.pretraining_loss(words, follows, targets, weights)[1]())
        parts.append(model.gradients())
    for name in ("tok.weight", "blocks.0.mlp.up.weight", "ln.bias"):
        assert_same(name, parts[0][name] + parts[1][name], gradients[name], rtol=1e-10)


@pytest.mark.equation("eq-corruption", formula_only=True)
@pytest.mark.parametrize(("a", "b", "c"), [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.9, 0.0, 0.1), (0.0, 0.0, 1.0)])
def test_the_best_answer(rng, a, b, c):
    v = 7
    pi = rng.dirichlet(np.ones(v))
    truth, read = np.arange(v)[:, None], np.arange(v)[None]
    joint = pi[:, None] * (b / v + c * (truth == read))  # P(truth, read), enumerated
    bayes = joint / joint.sum(axis=0)
    printed = pi[:, None] * (b / v + c * (truth == read)) / (b / v + c * pi[None])
    assert_lines_agree([bayes, printed], rtol=1e-13)
    assert_same("the three fates", joint.sum() + a, np.array(1.0), rtol=1e-13)
    # no answer has a smaller expected loss
    best = -(joint * np.log(np.maximum(printed, 1e-300))).sum()
    for _ in range(20):
        other = rng.dirichlet(np.ones(v), size=v).T
        assert -(joint * np.log(other)).sum() >= best - 1e-12
    if c == 1.0:
        assert_same("copied", printed, np.eye(v), rtol=1e-13)
    if b == c:  # a token that is read is believed V + 1 times as much as the context believes it
        odds = printed[2, 2] / printed[3, 2]
        assert_same("belief", np.array(odds), np.array((v + 1) * pi[2] / pi[3]), rtol=1e-12)


@pytest.mark.equation("eq-span")
@pytest.mark.equation("eq-span-vjp", formula_only=True)
def test_span(rng):
    config = BERTConfig(9, context=6, layers=1, heads=2, width=4, hidden=6, task="span")
    model, state = loaded(config)
    x, y = rng.integers(4, 9, (1, 6)), np.array([[1, 3]])
    h, _ = model._hidden(x, None)
    w, bias = state["head.weight"], state["head.bias"]
    scores = np.array([[w[k] @ h[0, t] + bias[k] for t in range(6)] for k in range(2)])
    assert_same("scores", model(x)[0][0], scores, rtol=1e-12)
    p = softmax(scores)
    loss = -0.5 * (math.log(p[0, 1]) + math.log(p[1, 3]))
    learner = Learner(model, Adam(model))
    value, gradients = learner.gradients((x, y))
    assert_same("loss", np.array(value), np.array(loss), rtol=1e-12)
    ds = 0.5 * (p - np.eye(6)[y[0]])
    numeric = numerical_gradient(lambda s: float(f.cross_entropy(s, y[0])[0]), scores)
    assert_lines_agree([numeric, ds], rtol=1e-7)
    assert_same("dw", gradients["head.weight"], ds @ h[0], rtol=1e-10)
    assert abs(ds.sum(axis=1)).max() < 1e-15 and abs(gradients["head.bias"]).max() < 1e-15

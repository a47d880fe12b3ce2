"""The equations of the chapter on BERT, line by line."""

import math

import numpy as np
import pytest

from dlcourse.boundary import IGNORED
from dlcourse.config import BERTConfig
from dlcourse.data import mask_tokens, people
from dlcourse.numpy import BERT, Adam, Learner
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient
from tests.numpy.bert_cases import BASE, embedded, sentences, slow_gelu
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


@pytest.mark.equation("eq-mlm-head")
def test_head_of_hidden_tokens(rng):
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    h, _ = model._hidden(x, None)
    g = slow_gelu(h @ state["transform.weight"].T + state["transform.bias"], exact=True)
    centred = g - g.mean(axis=-1, keepdims=True)
    u = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + BASE.eps)
    u = u * state["transform_ln.weight"] + state["transform_ln.bias"]
    z = np.einsum("vc,ntc->ntv", state["tok.weight"], u) + state["decoder_bias"]
    (words, follows), backward = model(x)
    assert_same("z", words, z, rtol=1e-12)
    # the one table of tokens has two gradients, which add: as output, sum dz u^T, and as input
    dwords, dfollows = rng.normal(size=words.shape), rng.normal(size=follows.shape)
    model.zero_gradients()
    backward((dwords, dfollows))
    both = model.tok.weight.grad.copy()
    words_vjp = f.linear(u, state["tok.weight"], state["decoder_bias"])[1]
    as_output = np.einsum("ntv,ntc->vc", dwords, u)
    assert_same("as output", words_vjp(dwords)[1], as_output, rtol=1e-12)

    def value(table):  # the output's table stays what it is
        moved = dict(state, **{"tok.weight": table})
        other = BERT(BASE)
        other.load_state(moved)
        other_h, _ = other._hidden(x, None)
        t, _ = other.transform(other_h)
        t, _ = other.transform_ln(slow_gelu(t, exact=True))
        pooled, _ = other._pool(other_h)
        nsp, _ = other.nsp(pooled)
        return float((dwords * (t @ state["tok.weight"].T + state["decoder_bias"])).sum() + (dfollows * nsp).sum())

    direction = rng.normal(size=both.shape)
    step = 1e-6 * direction
    numeric = (value(state["tok.weight"] + step) - value(state["tok.weight"] - step)) / 2e-6
    assert_same("as input", np.array(((both - as_output) * direction).sum()), np.array(numeric), rtol=1e-6)


def test_outputs_that_are_not_asked_have_no_gradient(rng):
    """What they hold reaches the loss through attention alone: the last output has no gradient there, the one before it has."""
    model, _ = loaded(BASE)
    x = sentences(BASE, rng)
    h, _ = model._hidden(x, None)
    _, back = model._pretrain(h, None)
    dwords = np.zeros((*x.shape, BASE.vocab))
    dwords[:, 2] = rng.normal(size=(len(x), BASE.vocab))
    dh = back((dwords, np.zeros((len(x), 2))))
    assert np.flatnonzero(np.abs(dh).max(axis=(0, 2))).tolist() == [2]
    _, block_back = model.blocks[-1](h, mask=(x != BASE.pad)[:, None, None, :])
    assert (np.abs(block_back(dh)).max(axis=2)[x != BASE.pad] > 0).all()


def test_package_hides_what_the_loss_asks(rng):
    x = rng.integers(5, 40, (6, 20))
    read, targets = mask_tokens(x, rng, 40)
    assert (targets[read != x] != IGNORED).all() and (targets[targets != IGNORED] == x[targets != IGNORED]).all()


@pytest.mark.equation("eq-pooler")
def test_summary_and_next_sentence(rng):
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    h, _ = model._hidden(x, None)
    g = np.tanh(h[:, 0] @ state["pooler.weight"].T + state["pooler.bias"])
    z = g @ state["nsp.weight"].T + state["nsp.bias"]
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert_same("g", model._pool(h)[0], g, rtol=1e-12)
    assert_same("q", softmax(model(x)[0][1]), q, rtol=1e-12)


def of_parameters(model, x, names, value):
    """Numerical gradients of value(logits) for the parameters `names`."""
    state = model.state()

    def moved(name, array):
        model.load_state(state | {name: array})
        found = value(model(x)[0])
        model.load_state(state)
        return found

    return {name: numerical_gradient(lambda array, name=name: moved(name, array), state[name]) for name in names}


@pytest.mark.equation("eq-mlm-head-vjp")
def test_gradient_of_the_head_of_hidden_tokens(rng):
    """From dz to dh, line by line; of E the part as output."""
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    h, _ = model._hidden(x, None)
    a = h @ state["transform.weight"].T + state["transform.bias"]
    norm = lambda g: f.layer_norm(g, state["transform_ln.weight"], state["transform_ln.bias"], BASE.eps)  # noqa: E731
    u, n_back = norm(slow_gelu(a, exact=True))
    dz = rng.normal(size=(*x.shape, BASE.vocab))
    du = np.einsum("vc,ntv->ntc", state["tok.weight"], dz)
    through_norm, dweight, dbias = n_back(du)
    slope = (slow_gelu(a + 1e-6, exact=True) - slow_gelu(a - 1e-6, exact=True)) / 2e-6
    da = through_norm * slope
    dh = da @ state["transform.weight"]
    printed = {
        "transform.weight": np.einsum("nti,ntj->ij", da, h),
        "transform.bias": da.sum(axis=(0, 1)),
        "transform_ln.weight": dweight,
        "transform_ln.bias": dbias,
        "decoder_bias": dz.sum(axis=(0, 1)),
    }
    numeric = of_parameters(model, x, printed, lambda logits: float((dz * logits[0]).sum()))
    model.zero_gradients()
    _, back = model._pretrain(h, None)
    assert_lines_agree([numerical_gradient(lambda h: float((dz * model._pretrain(h, None)[0][0]).sum()), h), dh], rtol=1e-6)
    assert_same("dh", back((dz, np.zeros((len(x), 2)))), dh, rtol=1e-8)
    found = model.gradients()
    for name, line in printed.items():
        assert_lines_agree([numeric[name], line], rtol=1e-6)
        assert_same(name, found[name], line, rtol=1e-8)
    assert_same("E as output", found["tok.weight"], np.einsum("ntv,ntc->vc", dz, u), rtol=1e-12)


@pytest.mark.equation("eq-pooler-vjp")
def test_gradient_of_summary_and_next_sentence(rng):
    """From the softmax to dh at position zero, line by line, for the mean of the batch."""
    model, state = loaded(BASE)
    x = sentences(BASE, rng)
    labels = rng.integers(0, 2, len(x))
    h, _ = model._hidden(x, None)
    g = np.tanh(h[:, 0] @ state["pooler.weight"].T + state["pooler.bias"])
    q = softmax(g @ state["nsp.weight"].T + state["nsp.bias"])
    df = (q - np.eye(2)[labels]) / len(x)
    dg = df @ state["nsp.weight"]
    do = dg * (1 - g * g)
    dh = np.zeros_like(h)
    dh[:, 0] = do @ state["pooler.weight"]
    printed = {
        "nsp.weight": np.einsum("ni,nj->ij", df, g),
        "nsp.bias": df.sum(axis=0),
        "pooler.weight": np.einsum("ni,nj->ij", do, h[:, 0]),
        "pooler.bias": do.sum(axis=0),
    }
    loss = lambda logits: -float(np.log(softmax(logits[1])[np.arange(len(x)), labels]).mean())  # noqa: E731
    numeric = of_parameters(model, x, printed, loss)
    model.zero_gradients()
    logits, back = model._pretrain(h, None)
    assert_lines_agree([numerical_gradient(lambda h: loss(model._pretrain(h, None)[0]), h), dh], rtol=1e-6)
    assert_same("dh", back((np.zeros_like(logits[0]), df)), dh, rtol=1e-10)
    found = model.gradients()
    for name, line in printed.items():
        assert_lines_agree([numeric[name], line], rtol=1e-6)
        assert_same(name, found[name], line, rtol=1e-10)


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


@pytest.mark.equation("eq-corruption")
@pytest.mark.parametrize(("masked", "b", "c"), [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.9, 0.0, 0.1), (0.0, 0.0, 1.0)])
def test_the_best_answer(rng, masked, b, c):
    """b is the share of random tokens, c of those that stay."""
    v = 7
    pi = rng.dirichlet(np.ones(v))
    truth, read = np.arange(v)[:, None], np.arange(v)[None]
    joint = pi[:, None] * (b / v + c * (truth == read))  # P(truth, read), enumerated
    bayes = joint / joint.sum(axis=0)
    printed = pi[:, None] * (b / v + c * (truth == read)) / (b / v + c * pi[None])
    assert_lines_agree([bayes, printed], rtol=1e-13)
    assert_same("the three fates", joint.sum() + masked, np.array(1.0), rtol=1e-13)
    behind = pi * masked / max((pi * masked).sum(), 1e-300)  # each truth becomes a mask alike
    if masked:
        assert_same("behind a mask", behind, pi, rtol=1e-13)
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
        one = np.array([1 / (v + 2), *np.full(v - 1, (1 - 1 / (v + 2)) / (v - 1))])  # believed with probability one half
        assert_same("one half", one[0] * (b / v + c) / (b / v + c * one[0]), np.array(0.5), rtol=1e-12)


@pytest.mark.equation("eq-corruption")
@pytest.mark.parametrize("split", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2)])
def test_the_perfect_reader_follows_it(split):
    row = np.array([[2, *people.encode("anna lives in rome anna plays golf [SEP] anna eats [MASK] anna works as nurse"), 3]])
    place = int(np.argmax(row == people.NUMBER["[MASK]"]))
    targets = np.where(np.arange(row.shape[1]) == place, 5, IGNORED)[None]
    pi = people.best_answers(row, targets, share=1e-9, split=split)[0]  # behind a mask
    v = len(people.WORDS) - len(people.SPECIAL)
    for word in ("rice", "nurse", "bean"):
        r = people.NUMBER[word]
        row[0, place] = r
        read = people.best_answers(row, targets, share=1e-9, split=split)[0]
        printed = pi * (split[1] / v + split[2] * (np.arange(len(pi)) == r)) / (split[1] / v + split[2] * pi[r])
        assert_same(word, read, printed, rtol=1e-12)


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

    def of_outputs(h):
        return sum(float(f.cross_entropy((h @ w[k] + bias[k])[None], y[:, k])[0]) for k in range(2)) / 2

    dh = np.outer(ds[0], w[0]) + np.outer(ds[1], w[1])
    assert_lines_agree([numerical_gradient(of_outputs, h[0]), dh], rtol=1e-7)
    assert_same("dh", model._span(h, None)[1](ds[None])[0], dh, rtol=1e-10)
    assert abs(dh.sum(axis=0)).max() < 1e-14, "the bias of the last norm is heard by nobody"
    assert abs(ds.sum(axis=1)).max() < 1e-15 and abs(gradients["head.bias"]).max() < 1e-15

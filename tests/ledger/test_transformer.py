"""The Transformer: each line of the chapter at random points."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import check, metrics
from dlcourse.config import TransformerConfig
from dlcourse.data.translation import START, STOP
from dlcourse.generate import penalty, translate
from dlcourse.initial import initial_state
from dlcourse.numpy import Adam, Learner, Transformer
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import LayerNorm
from dlcourse.numpy.transformer import Block, FeedForward
from dlcourse.positions import sinusoidal
from tests.equations import assert_lines_agree, assert_same, numerical_gradient, numerical_jacobian

C, HEADS, HIDDEN = 6, 2, 5
D = C // HEADS


def random_layer(layer, rng):
    layer.load_state({name: rng.normal(size=array.shape) for name, array in layer.state().items()})
    layer.zero_gradients()
    return layer


def model_of(rng, **changes):
    """A small encoder-decoder in float64, with weights at which all matters."""
    config = TransformerConfig(**{"vocab": 7, "source": 4, "target": 3, "layers": 1, "heads": 2, "width": 4} | changes)
    model = Transformer(config)
    model.load_state({name: array + 0.3 * rng.normal(size=array.shape) for name, array in initial_state(config, 0, np.float64).items()})
    return model


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def soft(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ---------------------------------------------------------------- a model of targets


@pytest.mark.equation("eq-seq2seq", formula_only=True)
def test_the_probabilities_of_all_targets_sum_to_one(rng):
    """Every target ends with the first STOP, or with the last position."""
    model, source = model_of(rng), np.array([[3, 5, 4, 0]])
    total, steps, vocab = 0.0, 3, 7
    for target in itertools.product(range(vocab), repeat=steps):
        logp = log_softmax(model(np.concatenate([source, [[START, *target[:-1]]]], axis=1))[0])[0]
        stop = target.index(STOP) if STOP in target else steps - 1
        if all(token == 0 for token in target[stop + 1 :]):  # each target once
            total += math.prod(math.exp(logp[t, target[t]]) for t in range(stop + 1))
    assert_same("sum of p(y | x)", total, 1.0, rtol=1e-12)


@pytest.mark.equation("eq-teacher-forcing")
def test_the_loss_of_teacher_forcing(rng):
    model = model_of(rng)
    source = np.array([[3, 5, 4, 0], [6, 0, 0, 0]])
    targets = np.array([[4, 3, STOP], [5, STOP, -100]])
    given = np.array([[START, 4, 3], [START, 5, STOP]])
    assert_same("what the decoder is given", check.shift_right.reference(targets, START, 0), given, rtol=0)
    x = np.concatenate([source, given], axis=1)
    terms = []
    for b, t in itertools.product(range(2), range(3)):
        if targets[b, t] != -100:  # position t alone, with what stands before it
            prefix = np.concatenate([source[b], given[b, : t + 1]])[None]
            terms.append(-log_softmax(model(prefix)[0])[0, t, targets[b, t]])
    learner = Learner(model, Adam(model))
    assert_lines_agree([sum(terms) / 5, learner.evaluate((x, targets))[0]], rtol=1e-10)
    changed = np.where(x == STOP, 6, x)  # behind the last target that counts
    assert_same("what stands behind", learner.evaluate((changed, targets))[0], learner.evaluate((x, targets))[0], rtol=1e-12)


# ---------------------------------------------------------------- the block


def gelu_slope(z):
    return numerical_jacobian(lambda z: f.gelu(z)[0], z[None])[0, :, 0].diagonal() if z.ndim == 1 else np.array([gelu_slope(r) for r in z])


@pytest.mark.equation("eq-feed-forward", "eq-feed-forward-vjp")
def test_feed_forward(rng):
    layer, x, dy = random_layer(FeedForward(C, HIDDEN, "relu"), rng), rng.normal(size=(4, C)), rng.normal(size=(4, C))
    s = layer.state()
    z = x @ s["up.weight"].T + s["up.bias"]
    g = np.maximum(z, 0)
    y, backward = layer(x)
    assert_same("y", y, g @ s["down.weight"].T + s["down.bias"], rtol=1e-12)
    dg = dy @ s["down.weight"]
    dz = dg * (z > 0)
    dx = dz @ s["up.weight"]
    assert_lines_agree([numerical_gradient(lambda x: (dy * layer(x)[0]).sum(), x), dx, backward(dy)], rtol=1e-7)
    printed = {"down.weight": dy.T @ g, "down.bias": dy.sum(axis=0), "up.weight": dz.T @ x, "up.bias": dz.sum(axis=0)}
    for name, array in layer.gradients().items():
        assert_same(name, array, printed[name], rtol=1e-12)


def forward(s, x, memory=None):
    """The printed lines of the pre-norm block, for one sequence and GELU: every value by its letter."""
    norm = lambda x, name: f.layer_norm(x, s[f"{name}.weight"], s[f"{name}.bias"])[0]  # noqa: E731
    v = {"h": norm(x, "ln_1")}
    v |= {a: v["h"] @ s[f"attn.{a}_proj.weight"].T + s[f"attn.{a}_proj.bias"] for a in "qkv"}
    part = lambda a, i: v[a][:, i * D : (i + 1) * D]  # noqa: E731
    v["P"] = [soft(part("q", i) @ part("k", i).T / math.sqrt(D)) for i in range(HEADS)]
    v["c"] = np.concatenate([p @ part("v", i) for i, p in enumerate(v["P"])], axis=1)
    v["r"] = x + v["c"] @ s["attn.out_proj.weight"].T + s["attn.out_proj.bias"]
    v["u"] = norm(v["r"], "ln_2")
    v["z"] = v["u"] @ s["mlp.up.weight"].T + s["mlp.up.bias"]
    v["g"] = f.gelu(v["z"])[0]
    v["y"] = v["r"] + v["g"] @ s["mlp.down.weight"].T + s["mlp.down.bias"]
    return v


@pytest.mark.equation("eq-transformer-block")
def test_block(rng):
    block, x = random_layer(Block(C, HEADS, HIDDEN), rng), rng.normal(size=(4, C))
    assert_same("y", block(x[None])[0][0], forward(block.state(), x)["y"], rtol=1e-12)


@pytest.mark.equation("eq-transformer-block-vjp", "eq-transformer-block-vjp-weights")
def test_block_gradient(rng):
    """Line by line, from dy to dx, and every parameter."""
    block, x, dy = random_layer(Block(C, HEADS, HIDDEN), rng), rng.normal(size=(4, C)), rng.normal(size=(4, C))
    s, heads = block.state(), [slice(i * D, (i + 1) * D) for i in range(HEADS)]
    v = forward(s, x)
    back_1 = f.layer_norm(x, s["ln_1.weight"], s["ln_1.bias"])[1]
    back_2 = f.layer_norm(v["r"], s["ln_2.weight"], s["ln_2.bias"])[1]
    dg = dy @ s["mlp.down.weight"]
    dz = dg * gelu_slope(v["z"])
    du = dz @ s["mlp.up.weight"]
    through_norm, dn2, db2 = back_2(du)
    dr = dy + through_norm
    dc = dr @ s["attn.out_proj.weight"]
    dq, dk, dv = (np.zeros_like(x) for _ in range(3))
    for p, own in zip(v["P"], heads, strict=True):
        dP = dc[:, own] @ v["v"][:, own].T
        dS = p * (dP - (p * dP).sum(axis=1, keepdims=True))
        dq[:, own] = dS @ v["k"][:, own] / math.sqrt(D)
        dk[:, own] = dS.T @ v["q"][:, own] / math.sqrt(D)
        dv[:, own] = p.T @ dc[:, own]
        assert np.abs(dS.sum(axis=1)).max() < 1e-12
    dh = sum(d @ s[f"attn.{a}_proj.weight"] for a, d in (("q", dq), ("k", dk), ("v", dv)))
    through_norm, dn1, db1 = back_1(dh)
    dx = dr + through_norm
    numeric = numerical_gradient(lambda x: (dy * forward(s, x)["y"]).sum(), x)
    _, backward = block(x[None])
    assert_lines_agree([numeric, dx, backward(dy[None])[0]], rtol=1e-6)
    printed = {"mlp.down": (dy, v["g"]), "mlp.up": (dz, v["u"]), "attn.out_proj": (dr, v["c"])}
    printed |= {f"attn.{a}_proj": (d, v["h"]) for a, d in (("q", dq), ("k", dk), ("v", dv))}
    found = block.gradients()
    for name, (upstream, given) in printed.items():
        assert_same(f"{name}.weight", found[f"{name}.weight"], upstream.T @ given, rtol=1e-8)
        if name != "attn.k_proj":
            assert_same(f"{name}.bias", found[f"{name}.bias"], upstream.sum(axis=0), rtol=1e-8)
    assert np.abs(found["attn.k_proj.bias"]).max() < 1e-12, "the gradient of the keys' bias is zero"
    for name, array in {"ln_1.weight": dn1, "ln_1.bias": db1, "ln_2.weight": dn2, "ln_2.bias": db2}.items():
        assert_same(name, found[name], array, rtol=1e-8)


@pytest.mark.equation("eq-post-norm", "eq-post-norm-vjp", formula_only=True)
def test_post_norm(rng):
    block, x, dy = random_layer(Block(C, HEADS, HIDDEN, norm_first=False), rng), rng.normal(size=(1, 4, C)), rng.normal(size=(1, 4, C))
    e_1 = x + block.attn(x)[0]
    r, ln_1_back = block.ln_1(e_1)
    e_2 = r + block.mlp(r)[0]
    y, ln_2_back = block.ln_2(e_2)
    assert_same("y", block(x)[0], y, rtol=1e-12)
    de_2 = ln_2_back(dy)
    dr = de_2 + block.mlp(r)[1](de_2)
    de_1 = ln_1_back(dr)
    dx = de_1 + block.attn(x)[1](de_1)
    assert_lines_agree([numerical_gradient(lambda x: (dy * block(x)[0]).sum(), x), dx, block(x)[1](dy)], rtol=1e-6)


@pytest.mark.equation("eq-pre-norm-growth", formula_only=True)
def test_growth_of_the_stream(rng):
    """Branches of variance 1 without correlation: the variance of the stream after l of them is that at the start plus l, and a norm divides a
    gradient by the root of it, but for the two directions that it removes."""
    draws = rng.normal(size=(50, 12))
    parts = np.linalg.qr(np.hstack([np.ones((50, 1)), draws]))[0][:, 1:].T * math.sqrt(50)  # mean 0, variance 1, orthogonal
    norm, stream = LayerNorm(50, eps=1e-14), parts[0]
    norm.load_state({name: array.astype(float) for name, array in norm.state().items()})
    for l in range(1, 9):  # noqa: E741
        stream = stream + parts[l]
        assert_same(f"after {l}", stream.var(), 1.0 + l, rtol=1e-12)
        dy = parts[-1]  # orthogonal to the stream and to the constants
        back = norm(stream[None])[1](dy[None])
        assert_same("the way back through a norm", np.linalg.norm(back), np.linalg.norm(dy) / math.sqrt(1 + l), rtol=1e-10)
    chance = sum(rng.normal(size=100_000) for _ in range(5))
    assert abs(chance.var() - 5) < 0.2, "independent ones: the same, up to chance"


@pytest.mark.equation("eq-cross-attention", "eq-cross-attention-vjp", formula_only=True)
def test_cross_attention(rng):
    """Two blocks look at one memory, and its gradients add."""
    blocks = [random_layer(Block(C, HEADS, HIDDEN, cross=True), rng) for _ in range(2)]
    x, memory, dy = rng.normal(size=(1, 3, C)), rng.normal(size=(1, 5, C)), rng.normal(size=(1, 3, C))

    def run(memory):
        h, backs = x, []
        for block in blocks:
            h, back = block(h, memory)
            backs.append(back)
        return h, backs

    _, backs = run(memory)
    shares, dh = [], dy
    for back in reversed(backs):
        dh, share = back(dh)
        shares.append(share)
    assert_lines_agree([numerical_gradient(lambda m: (dy * run(m)[0]).sum(), memory), sum(shares)], rtol=1e-6)
    layer, s = blocks[0].cross_attn, blocks[0].cross_attn.state()
    r, q = rng.normal(size=(3, C)), None
    q, k, v = (a @ s[f"{n}_proj.weight"].T + s[f"{n}_proj.bias"] for n, a in (("q", r), ("k", memory[0]), ("v", memory[0])))
    heads = [slice(i * D, (i + 1) * D) for i in range(HEADS)]
    P = [soft(q[:, own] @ k[:, own].T / math.sqrt(D)) for own in heads]
    c = np.concatenate([p @ v[:, own] for p, own in zip(P, heads, strict=True)], axis=1)
    y, back = layer(r[None], memory)
    assert_same("y", y[0], c @ s["out_proj.weight"].T + s["out_proj.bias"], rtol=1e-12)
    dc = dy[0] @ s["out_proj.weight"]
    dk, dv = np.zeros_like(k), np.zeros_like(v)
    for p, own in zip(P, heads, strict=True):
        dP = dc[:, own] @ v[:, own].T
        dk[:, own] = (p * (dP - (p * dP).sum(axis=1, keepdims=True))).T @ q[:, own] / math.sqrt(D)
        dv[:, own] = p.T @ dc[:, own]
    assert_same("dm", back(dy)[1][0], dk @ s["k_proj.weight"] + dv @ s["v_proj.weight"], rtol=1e-10)


@pytest.mark.equation("eq-decoder-block", "eq-decoder-block-vjp")
def test_decoder_block(rng):
    """Line by line from dy to dx and dm; x, m and every weight of the cross-attention by differences."""
    block = random_layer(Block(C, HEADS, HIDDEN, cross=True), rng)
    s, T, S = block.state(), 3, 5
    x, m, dy = rng.normal(size=(T, C)), rng.normal(size=(S, C)), rng.normal(size=(T, C))
    heads = [slice(i * D, (i + 1) * D) for i in range(HEADS)]
    norm = lambda a, i, s=s: f.layer_norm(a, s[f"ln_{i}.weight"], s[f"ln_{i}.bias"])  # noqa: E731
    tril = np.tri(T, dtype=bool)

    def lines(x, m, s):
        """(r_1, n_2(r_1), q, k, v, P, c, r_2, y) as printed; the attention to itself is that of the package."""
        r_1 = x + block.self_attn(norm(x, 1)[0][None], mask=tril)[0][0]
        h = norm(r_1, 2)[0]
        given = {"q": h, "k": m, "v": m}
        q, k, v = (given[a] @ s[f"cross_attn.{a}_proj.weight"].T + s[f"cross_attn.{a}_proj.bias"] for a in "qkv")
        P = [soft(q[:, own] @ k[:, own].T / math.sqrt(D)) for own in heads]
        c = np.concatenate([p @ v[:, own] for p, own in zip(P, heads, strict=True)], axis=1)
        r_2 = r_1 + c @ s["cross_attn.out_proj.weight"].T + s["cross_attn.out_proj.bias"]
        return r_1, h, q, k, v, P, c, r_2, r_2 + block.mlp(norm(r_2, 3)[0])[0]

    r_1, h, q, k, v, P, c, r_2, y = lines(x, m, s)
    found, backward = block(x[None], m[None], mask=tril)
    assert_same("y", found[0], y, rtol=1e-12)
    dr_2 = dy + norm(r_2, 3)[1](block.mlp(norm(r_2, 3)[0])[1](dy))[0]
    dc = dr_2 @ s["cross_attn.out_proj.weight"]
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for p, own in zip(P, heads, strict=True):
        dP = dc[:, own] @ v[:, own].T
        da = p * (dP - (p * dP) @ np.ones((S, S)))
        dq[:, own], dk[:, own], dv[:, own] = da @ k[:, own] / math.sqrt(D), da.T @ q[:, own] / math.sqrt(D), p.T @ dc[:, own]
    dr_1 = dr_2 + norm(r_1, 2)[1](dq @ s["cross_attn.q_proj.weight"])[0]
    dm = dk @ s["cross_attn.k_proj.weight"] + dv @ s["cross_attn.v_proj.weight"]
    self_back = block.self_attn(norm(x, 1)[0][None], mask=tril)[1]
    dx = dr_1 + norm(x, 1)[1](self_back(dr_1[None])[0])[0]
    block.zero_gradients()
    found_dx, found_dm = backward(dy[None])
    value = lambda x, m, s=s: float((dy * lines(x, m, s)[-1]).sum())  # noqa: E731
    assert_lines_agree([numerical_gradient(lambda a: value(a, m), x), dx, found_dx[0]], rtol=1e-6)
    assert_lines_agree([numerical_gradient(lambda a: value(x, a), m), dm, found_dm[0]], rtol=1e-6)
    printed = {"out_proj": (dr_2, c), "q_proj": (dq, h), "k_proj": (dk, m), "v_proj": (dv, m)}
    gradients = block.gradients()
    for name, (upstream, given) in printed.items():
        weight = f"cross_attn.{name}.weight"
        numeric = numerical_gradient(lambda a, weight=weight: value(x, m, s | {weight: a}), s[weight])
        assert_lines_agree([numeric, upstream.T @ given, gradients[weight]], rtol=1e-6)
    assert_same("db_O", gradients["cross_attn.out_proj.bias"], dr_2.sum(axis=0), rtol=1e-10)


# ---------------------------------------------------------------- the whole


def pieces(model, source, given):
    """sqrt(C) E[x] + p of both sides, by the formula."""
    table, scale = model.state()["tok.weight"], math.sqrt(model.config.width)
    return [scale * table[tokens] + sinusoidal(tokens.shape[1], model.config.width) for tokens in (source, given)]


def stack(blocks, h, norm, **options):
    backs = []
    for block in blocks:
        h, back = block(h, **options)
        backs.append(back)
    h, norm_back = norm(h)
    return h, backs, norm_back


@pytest.mark.equation("eq-transformer", "eq-transformer-vjp")
def test_transformer(rng):
    """The logits from their parts, and the three contributions to the gradient of the embeddings."""
    model = model_of(rng, layers=2)
    source, given = rng.integers(1, 7, (2, 4)), rng.integers(0, 7, (2, 3))
    E, scale, x = model.state()["tok.weight"], 2.0, np.concatenate([source, given], axis=1)
    a, b = pieces(model, source, given)
    memory, encoder_backs, encoder_norm_back = stack(model.encoder, a, model.encoder_norm)
    H, decoder_backs, decoder_norm_back = stack(model.decoder, b, model.decoder_norm, memory=memory, causal=True)
    logits, backward = model(x)
    assert_same("logits", logits, H @ E.T, rtol=1e-12)
    dlogits = rng.normal(size=logits.shape)
    dh, dmemory = decoder_norm_back(dlogits @ E), 0.0
    for back in reversed(decoder_backs):
        dh, share = back(dh)
        dmemory = dmemory + share
    da = encoder_norm_back(dmemory)
    for back in reversed(encoder_backs):
        da = back(da)
    of_head = np.einsum("btv,btc->vc", dlogits, H)
    of_target, of_source = (scale * np.einsum("btv,btc->vc", np.eye(7)[t], d) for t, d in ((given, dh), (source, da)))
    model.zero_gradients()
    backward(dlogits)

    def loss(E):
        model.load_state(model.state() | {"tok.weight": E})
        return (dlogits * model(x)[0]).sum()

    analytic = model.gradients()["tok.weight"]
    assert_lines_agree([numerical_gradient(loss, E), of_head + of_target + of_source, analytic], rtol=1e-6)


# ---------------------------------------------------------------- writing


@pytest.mark.equation("eq-greedy", "eq-beam-score")
def test_greedy_and_beam_search(rng):
    """One beam takes the likeliest token each time; as many as there are targets find the best score of all."""
    model, source = model_of(rng, vocab=5), np.array([[3, 4, 3, 0]])

    def logp(target):
        x = np.concatenate([source, [[START, *target[:-1]]]], axis=1)
        rows = log_softmax(model(x)[0])[0]
        return sum(rows[t, token] for t, token in enumerate(target))

    greedy = []
    while len(greedy) < 3 and STOP not in greedy:
        x = np.concatenate([source, [[START, *greedy]]], axis=1)
        greedy.append(int(model(x)[0][0, -1].argmax()))
    found = translate(model, source, START, STOP)[0]
    assert_same("greedy", found[: len(greedy)], greedy, rtol=0)
    score = lambda y: logp(y) / ((5 + len(y)) / 6) ** 0.6  # noqa: E731
    every = [y for n in (1, 2, 3) for y in itertools.product(range(5), repeat=n) if STOP not in y[:-1] and (y[-1] == STOP or n == 3)]
    best = max(every, key=score)
    found = translate(model, source, START, STOP, beams=125, length_penalty=0.6)[0]
    assert_same("the best of all", found[: len(best)], best, rtol=0)
    assert_same("penalty", penalty(np.array([1, 7, 13]), 0.6), [1.0, 2.0**0.6, 3.0**0.6], rtol=1e-12)
    assert_same("by hand", [0.6 * 0.5, 0.4 * 1.0], [0.3, 0.4], rtol=1e-12)


def ngrams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@pytest.mark.equation("eq-bleu")
@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (
            ["the cat sat on the mat today", "we like green tea very much"],
            ["the cat sat on a mat today", "we all like green tea very much"],
        ),
        (["a b c d e f g"], ["a b c d e f g h i"]),
        (["a b c d e f g h i"], ["a b c d e f g"]),
    ],
)
def test_bleu(written, wanted):
    """From the counts, against sacrebleu."""
    pairs = [(a.split(), b.split()) for a, b in zip(written, wanted, strict=True)]
    precisions = []
    for n in range(1, 5):
        matches = total = 0
        for a, b in pairs:
            mine, theirs = ngrams(a, n), ngrams(b, n)
            matches += sum(min(mine.count(gram), theirs.count(gram)) for gram in set(mine))
            total += len(mine)
        precisions.append(matches / total)
    c, r = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
    by_hand = 100 * min(1.0, math.exp(1 - r / c)) * math.prod(precisions) ** 0.25
    assert_same("BLEU", metrics.bleu(written, wanted), by_hand, rtol=1e-10)

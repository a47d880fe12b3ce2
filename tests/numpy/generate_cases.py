"""What `dlcourse.generate` must do, token by token; models are tables of logits. `tests/test_mutants.py` asks the same of its mutants."""

import inspect
import math
from types import SimpleNamespace

import numpy as np

PAD, START, STOP = 0, 1, 2


class Last:
    """The largest number that a generator draws."""

    def random(self, shape):
        return np.full(shape, 1 - 2.0**-53)


# ---------------------------------------------------------------- one token

LOGITS = np.log([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]])


def slow_probabilities(row, temperature, top_k=None, top_p=None):
    """The probabilities (V) of one row of logits."""
    top = max(row)
    p = [math.exp((z - top) / temperature) for z in row]
    total = math.fsum(p)
    p = [each / total for each in p]
    order = sorted(range(len(p)), key=lambda token: -p[token])[:top_k]
    whole, kept, total = math.fsum(p[token] for token in order), [], 0.0
    for token in order:
        kept.append(token)
        total += p[token] / whole
        if top_p is not None and total >= top_p:
            break
    whole = math.fsum(p[token] for token in kept)
    return [p[token] / whole if token in kept else 0.0 for token in range(len(p))]


def check_probabilities(m):
    rng = np.random.default_rng(0)
    for top_k in (None, 1, 3, 6, 9):
        for top_p in (None, 0.1, 0.5, 0.9, 1.0):
            for temperature in (0.5, 1.0, 3.0):
                logits = rng.normal(0, 2, size=(4, 6)) * [[1], [1], [1], [1e3]] + [[0], [1e4], [-1e4], [0]]
                before = logits.copy()
                p = m.probabilities(logits, temperature, top_k, top_p)
                np.testing.assert_allclose(p, [slow_probabilities(row, temperature, top_k, top_p) for row in logits], rtol=1e-9, atol=1e-15)
                assert np.array_equal(logits, before)
    np.testing.assert_allclose(m.probabilities(LOGITS), np.exp(LOGITS), rtol=1e-12)
    assert m.probabilities(LOGITS.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(m.probabilities(LOGITS, top_k=3)[0], [4 / 7, 2 / 7, 1 / 7, 0], rtol=1e-12)  # of equals the lower token
    few = rng.integers(0, 3, (1, 1000))
    kept = np.flatnonzero(m.probabilities(few, top_k=500)).tolist()
    assert kept == sorted(sorted(range(1000), key=lambda token: -few[0, token])[:500])
    quarters = np.zeros((1, 4))  # exact in binary: two of them are at least a half
    assert m.probabilities(quarters, top_p=0.5).tolist() == [[0.5, 0.5, 0.0, 0.0]]


def check_sample(m, raises):
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    for options in ({}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.6}, {"temperature": 2.0, "top_k": 5, "top_p": 0.9}):
        logits = np.random.default_rng(1).normal(0, 2, size=(40, 6))
        drawn, wanted = again.random((40, 1)), []
        for row, (number,) in zip(logits, drawn, strict=True):
            p = slow_probabilities(row, options.get("temperature", 1.0), options.get("top_k"), options.get("top_p"))
            wanted.append(next(token for token in range(6) if math.fsum(p[: token + 1]) > number))
        assert m.sample(logits, rng=rng, **options).tolist() == wanted
    state = rng.bit_generator.state
    assert m.sample(LOGITS, temperature=0, rng=rng).tolist() == [0, 3] and rng.bit_generator.state == state
    assert m.sample(LOGITS, 0, 1, 0.5, rng).tolist() == [0, 3]
    many = np.repeat(LOGITS, 50, axis=0)
    assert m.sample(many).tolist() == m.sample(many, 1.0, None, None, np.random.default_rng(0)).tolist()
    for tokens in (7, 10, 13, 49):  # 1 / V is rounded, and so is the sum
        assert m.sample(np.zeros((1, tokens)), rng=Last()).tolist() == [tokens - 1]
    assert m.sample(LOGITS, top_k=1, rng=Last()).tolist() == [0, 3]
    zeros = SimpleNamespace(random=np.zeros)  # the number on an edge belongs to the token after it
    assert m.sample(np.log([[1e-300, 0.5, 0.5]]), top_k=2, rng=zeros).tolist() == [1]
    half = SimpleNamespace(random=lambda shape: np.full(shape, 0.5))
    assert m.sample(np.zeros((1, 4)), rng=half).tolist() == [2]
    for call in (m.sample, m.generate):
        model = Chain(4, 3)
        given = (LOGITS,) if call is m.sample else (model, [1], 2)
        for options, message in SAMPLING:
            raises(ValueError, message, lambda call=call, given=given, options=options: call(*given, **options))
        assert model.seen == [], "refused before anything is computed"
    m.check_sampling(0, 1, 1)


SAMPLING = [
    ({"temperature": -0.1}, "temperature=-0.1: it must not be negative"),
    ({"temperature": math.nan}, "temperature=nan: it must not be negative"),
    ({"top_k": 0}, "top_k=0: it must be a whole number of at least 1"),
    ({"top_p": 0.0}, "top_p=0.0: it is a probability above 0 and at most 1"),
    ({"top_p": 1.5}, "top_p=1.5: it is a probability above 0 and at most 1"),
    ({"top_p": math.nan}, "top_p=nan: it is a probability"),
]

# ---------------------------------------------------------------- texts


class Chain:
    """A language model whose logits depend on all tokens that it sees, and on their places; it notes how many it was given."""

    def __init__(self, vocab, context):
        self.config = SimpleNamespace(vocab=vocab, context=context)
        self.training, self.seen = True, []

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def new_cache(self, rows):
        return [[] for _ in range(rows)]

    def rule(self, tokens):
        return np.random.default_rng(list(map(int, tokens))).normal(0, 2, size=self.config.vocab)

    def logits(self, tokens, cache=None):
        assert not self.training and tokens.dtype == np.int64
        self.seen.append((tokens.shape[1], cache is not None))
        rows = [[] for _ in tokens] if cache is None else cache
        for row, new in zip(rows, tokens, strict=True):
            row.extend(new)
        assert len(rows[0]) <= self.config.context
        return np.stack([self.rule(row) for row in rows])


def slow_text(model, prompt, length, rng, **options):
    tokens = [list(row) for row in prompt]
    for _ in range(length):
        windows = [row[-model.config.context :] for row in tokens]
        numbers = rng.random((len(tokens), 1))
        for row, window, (number,) in zip(tokens, windows, numbers, strict=True):
            p = slow_probabilities(model.rule(window), **{"temperature": 1.0} | options)
            row.append(next(token for token in range(len(p)) if math.fsum(p[: token + 1]) > number))
    return tokens


def check_generate(m, raises):
    prompt = np.array([[3, 1, 4], [1, 5, 0]])
    for options in ({}, {"temperature": 0.5, "top_k": 3, "top_p": 0.9}):
        wanted = slow_text(Chain(6, 5), prompt, 6, np.random.default_rng(7), **options)
        for cache in (True, False):
            model = Chain(6, 5)
            tokens = m.generate(model, prompt, 6, rng=np.random.default_rng(7), cache=cache, **options)
            assert tokens.tolist() == wanted and tokens.dtype == np.int64 and model.training
            kept = [(3, True), (1, True), (1, True)] if cache else [(3, False), (4, False), (5, False)]
            assert model.seen == kept + [(5, False)] * 3
    wanted = slow_text(Chain(6, 5), [[2, 5, 1, 0, 3, 4, 1]], 2, np.random.default_rng(0))[0]
    model = Chain(6, 5)
    assert m.generate(model, [2, 5, 1, 0, 3, 4, 1], 2).tolist() == wanted and model.seen == [(5, False)] * 2  # longer than the context
    exact = Chain(6, 5)
    m.generate(exact, [2, 5, 1, 0, 3], 2)
    assert exact.seen == [(5, True), (5, False)]
    model = Chain(6, 9)
    m.generate(model, [2, 5], 3)
    assert model.seen == [(2, True), (1, True), (1, True)], "the cache is the default"
    learner = SimpleNamespace(model=Chain(6, 5))
    assert m.generate(learner, [2, 5], 3, temperature=0).tolist() == m.generate(Chain(6, 5), (2, 5), 3, 0.0).tolist()
    parameters = inspect.signature(m.generate).parameters
    assert [parameters[name].default for name in ("temperature", "top_k", "top_p", "rng", "cache")] == [1.0, None, None, None, True]
    for prompt, message in (
        ([], "the prompt is empty, but the first token needs one before it"),
        ([0.5], "the prompt is float64 of shape (1,): pass tokens (T,) or (B, T)"),
        ([[[1]]], "of shape (1, 1, 1): pass tokens"),
        (3, "of shape (): pass tokens"),
        ([True], "the prompt is bool"),
    ):
        raises(ValueError, message, lambda prompt=prompt: m.generate(Chain(6, 5), prompt, 2))
    assert m.generate(Chain(6, 5), np.array([2, 5], np.uint8), 1).dtype == np.int64
    raises(ValueError, "length=0: it must be a whole number of at least 1", lambda: m.generate(Chain(6, 5), [1], 0))


def check_evaluation(m, raises):
    """The mode is what it was, after an error, too."""
    for mode in (True, False):
        model = Chain(4, 3)
        model.training = mode
        with m.evaluation(model):
            assert not model.training
        assert model.training == mode

        def fails(model=model):
            with m.evaluation(model):
                raise KeyError("in the middle")

        raises(KeyError, "in the middle", fails)
        assert model.training == mode


# ---------------------------------------------------------------- search


class Table:
    """A model whose next token depends on the source and on all tokens so far, by a table of log p."""

    def __init__(self, rule, vocab, target):
        self.config = SimpleNamespace(vocab=vocab, target=target, pad=PAD)
        self.rule, self.training, self.calls = rule, True, 0

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def new_cache(self, source):
        return Past([(tuple(row), ()) for row in source])

    def logits(self, tokens, cache):
        assert not self.training and tokens.shape == (len(cache.rows), 1)
        self.calls += 1
        cache.rows = [(source, (*past, int(token))) for (source, past), token in zip(cache.rows, tokens[:, 0], strict=True)]
        assert all(past[0] == START for _, past in cache.rows)
        return np.array([self.rule(source, past[1:]) for source, past in cache.rows])


class Past:
    def __init__(self, rows):
        self.rows = rows

    def select(self, rows):
        self.rows = [self.rows[row] for row in rows]


def random_rule(seed, vocab):
    known = {}

    def rule(source, past):
        if (source, past) not in known:
            known[source, past] = 2.0 * np.random.default_rng([seed, *source, 99, *past]).normal(size=vocab)
        return known[source, past]

    return rule


def slow_log_softmax(row):
    row, top = list(map(float, row)), float(max(row))
    total = math.log(math.fsum(math.exp(z - top) for z in row))
    return [z - top - total for z in row]


def slow_beam_search(model, source, beams, length_penalty):
    """Hypotheses in a list, each extended by every token unless it has ended; the best `beams` by score stay."""
    kept, steps = [((), 0.0)], 0
    for _ in range(model.config.target):
        grown = []
        for tokens, logp in kept:
            if tokens and tokens[-1] == STOP:
                grown.append((tokens, logp))
            else:
                each = slow_log_softmax(model.rule(source, tokens))
                grown += [((*tokens, token), logp + each[token]) for token in range(model.config.vocab)]
        grown.sort(key=lambda hypothesis: -hypothesis[1] / ((5 + len(hypothesis[0])) / 6) ** length_penalty)
        kept, steps = grown[:beams], steps + 1
        if all(tokens[-1] == STOP for tokens, _ in kept):
            break
    return kept[0][0], steps


def check_search(m):
    """Ended hypotheses and longer ones meet in the beam, where the penalty decides who stays."""
    lengths = set()
    sources = np.array([(3, 1), (4, 4), (5, 0), (0, 0)])
    for beams in (1, 2, 3):
        for length_penalty in (0.0, 0.6, 5.0):
            for seed in range(5):
                model = Table(random_rule(seed, 5), 5, 6)
                found = m.translate(model, sources, START, STOP, beams, length_penalty)
                each = [slow_beam_search(model, tuple(source.tolist()), beams, length_penalty) for source in sources]
                assert found.tolist() == [[*tokens, *[PAD] * (6 - len(tokens))] for tokens, _ in each]
                assert model.training and model.calls == max(steps for _, steps in each), "it ends when all have ended"
                lengths |= {len(tokens) for tokens, _ in each}
    assert len(lengths) > 3
    model = Table(random_rule(0, 5), 5, 6)
    single = m.translate(SimpleNamespace(model=model), (3, 1), START, STOP)
    assert single.tolist() == m.translate(model, sources, START, STOP, 1, 0.6)[0].tolist()
    parameters = inspect.signature(m.translate).parameters
    assert parameters["beams"].default == 1 and parameters["length_penalty"].default == 0.6
    # of equal scores the lower token, and the hypothesis that came first
    few = np.random.default_rng(0).integers(0, 3, 300).astype(float)
    flat = Table(lambda source, past: np.roll(few, sum(past)), 300, 3)
    assert tuple(m.translate(flat, [3], START, STOP, 3).tolist()) == slow_beam_search(flat, (3,), 3, 0.6)[0]


def check_search_refusals(m, raises):
    model = Table(random_rule(0, 5), 5, 6)
    for options, message in (
        ({"source": []}, "the source is empty: pass at least one token"),
        ({"source": [0.5]}, "the source is float64 of shape (1,)"),
        ({"beams": 0}, "beams=0: it must be a whole number of at least 1"),
        ({"length_penalty": -1}, "length_penalty=-1: it must not be negative"),
        ({"length_penalty": math.nan}, "length_penalty=nan: it must not be negative"),
        ({"start": 5}, "start=5 but vocab is 5: it is a token of the model, 0 ... 4"),
        ({"start": -1}, "start=-1 but vocab is 5"),
        ({"stop": -1}, "stop=-1 but vocab is 5"),
        ({"stop": 5}, "stop=5 but vocab is 5"),
    ):
        arguments = {"learner_or_model": model, "source": [3, 4], "start": START, "stop": STOP} | options
        raises(ValueError, message, lambda arguments=arguments: m.translate(**arguments))
    m.check_search(5, 0, 4, 1, 0)


def check_parts(m):
    assert m.penalty(np.array([1, 7]), 1.0).tolist() == [1.0, 2.0] and m.penalty(7, 0.0) == 1.0 and m.penalty(13, 2.0) == 9.0
    rng = np.random.default_rng(0)
    for shape in ((5,), (3, 5), (2, 5, 3)):
        for scale in (2, 2000):
            logits = np.float32(rng.normal(0, scale, size=shape) + rng.normal(0, 1e4, size=(*shape[:-1], 1)))
            wanted = [slow_log_softmax(row) for row in logits.astype(float).reshape(-1, shape[-1])]
            assert m.log_softmax(logits).dtype == np.float64
            np.testing.assert_allclose(m.log_softmax(logits), np.reshape(wanted, shape), rtol=1e-12, atol=1e-12)


def check_everything(m, raises):
    check_probabilities(m)
    check_sample(m, raises)
    check_generate(m, raises)
    check_evaluation(m, raises)
    check_parts(m)
    check_search(m)
    check_search_refusals(m, raises)

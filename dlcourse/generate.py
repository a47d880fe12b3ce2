"""Text from a model, token after token: one sampler and one search for all backends."""

import contextlib

import numpy as np

from dlcourse.boundary import check_whole


def generate(
    learner_or_model,
    prompt,
    length,
    temperature=1.0,
    top_k=None,
    top_p=None,
    rng=None,
    cache=True,
):
    """`length` tokens after `prompt`, each drawn from softmax(logits / temperature)  (eq-temperature).

    `prompt` holds tokens (T,), or (B, T) for several at once -> tokens (T + length,) or (B, T + length), the prompt first. Temperature 0 takes
    the most likely token. `top_k` keeps the k most likely ones, `top_p` the fewest whose probability is at least p (eq-top-p; Holtzman et al. 2020).
    `rng` is the generator of the draws, numpy.random.default_rng(0) where it is None.

    With `cache` the keys and values of earlier tokens are kept: the same tokens, sooner, as long as they fit in the model's context. Beyond it the
    model reads the last `context` tokens; then every token has a new position, and nothing can be kept. Raises ValueError for an empty
    prompt, a negative temperature, top_k below 1 and top_p outside (0, 1]."""
    check_sampling(temperature, top_k, top_p)
    check_whole(length=length)
    model = getattr(learner_or_model, "model", learner_or_model)
    rng = np.random.default_rng(0) if rng is None else rng
    tokens = _as_batch(prompt)  # (B, T)
    start, context = tokens.shape[1], model.config.context
    tokens = np.pad(tokens, ((0, 0), (0, length)))
    kept = None
    with evaluation(model):
        for stop in range(start, start + length):
            window = tokens[:, max(0, stop - context) : stop]
            if cache and stop <= context:
                if kept is None:
                    kept = model.new_cache(len(tokens))
                else:
                    window = window[:, -1:]  # the others are in the cache
                logits = model.logits(window, kept)
            else:
                logits = model.logits(window)
            tokens[:, stop] = sample(logits, temperature, top_k, top_p, rng)
    return tokens if np.ndim(prompt) == 2 else tokens[0]


def sample(logits, temperature=1.0, top_k=None, top_p=None, rng=None):
    """One token (B,) from each row of logits (B, V); see `generate`."""
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(axis=1)
    rng = np.random.default_rng(0) if rng is None else rng
    sums = probabilities(logits, temperature, top_k, top_p).cumsum(axis=1)
    # the last sum is 1 up to rounding: were it below the number drawn, the token would be V
    drawn = rng.random((len(sums), 1)) * sums[:, -1:]
    return (sums <= drawn).sum(axis=1)


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """What `sample` draws from, (B, V) in float64: softmax(logits / temperature) of the tokens that are kept  (eq-temperature, eq-top-k, eq-top-p)."""
    scaled = np.asarray(logits, np.float64) / temperature
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    order = np.argsort(-p, kind="stable")  # the most likely first, the lower token of two equals
    ranked = np.take_along_axis(p, order, 1)
    if top_k is not None:
        ranked[:, top_k:] = 0.0
    if top_p is not None:
        sums = ranked.cumsum(axis=1)
        ranked[:, 1:][sums[:, :-1] >= top_p * sums[:, -1:]] = 0.0  # those before it are enough
    np.put_along_axis(p, order, ranked, 1)
    return p / p.sum(axis=1, keepdims=True)


def translate(learner_or_model, source, start, stop, beams=1, length_penalty=0.6):
    """The target that a Transformer finds for each source, by beam search: hypotheses y are ranked by
    log p(y | source) / lp(y),  lp(y) = ((5 + |y|) / 6)^length_penalty  (eq-beam-score; Wu et al. 2016).

    Sources (B, S), or (S,) for one -> tokens (B, T), or (T,): what follows `start`, up to and with `stop`, then padding. The best `beams` hypotheses
    are kept at each step, ended ones among them; one beam is greedy search (eq-greedy). Each source is encoded once. Raises ValueError for an empty
    source, beams below 1, a negative length_penalty, and signs outside the vocabulary."""
    model = getattr(learner_or_model, "model", learner_or_model)
    config = model.config
    check_search(config.vocab, start, stop, beams, length_penalty)
    sources = _as_batch(source, "source")
    rows, steps = len(sources), config.target
    tokens = np.full((rows, beams, steps), config.pad)
    logp = np.full((rows, beams), -np.inf)  # log p of each hypothesis
    logp[:, 0] = 0.0  # at first there is one, without a token
    length, ended = np.zeros((rows, beams), int), np.zeros((rows, beams), bool)
    last = np.full((rows * beams, 1), start)
    with evaluation(model):
        cache = model.new_cache(sources)
        cache.select(np.repeat(np.arange(rows), beams))
        for step in range(steps):
            next_logp = log_softmax(model.logits(last, cache)).reshape(rows, beams, -1)
            next_logp[ended] = -np.inf
            next_logp[ended, config.pad] = 0.0  # what has ended stays as it is
            sums = (logp[..., None] + next_logp).reshape(rows, -1)
            length += ~ended
            scores = sums / np.repeat(penalty(length, length_penalty), config.vocab, axis=1)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :beams]
            parent, token = np.divmod(best, config.vocab)
            logp = np.take_along_axis(sums, best, axis=1)
            length, ended = (np.take_along_axis(each, parent, axis=1) for each in (length, ended))
            tokens = np.take_along_axis(tokens, parent[..., None], axis=1)
            tokens[:, :, step] = token
            ended |= token == stop
            if ended.all():
                break
            cache.select((np.arange(rows)[:, None] * beams + parent).ravel())
            last = token.reshape(-1, 1)
    best = (logp / penalty(length, length_penalty)).argmax(axis=1)
    found = tokens[np.arange(rows), best]
    return found if np.ndim(source) == 2 else found[0]


def penalty(length, length_penalty):
    """lp = ((5 + |y|) / 6)^length_penalty of hypotheses of `length` tokens; 1 where length_penalty is 0."""
    return ((5.0 + length) / 6.0) ** length_penalty


def log_softmax(logits):
    """log softmax of the last axis, in float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def check_search(vocab, start, stop, beams, length_penalty):
    """Raise ValueError for beams below 1, a negative length_penalty, and a `start` or `stop` outside the vocabulary."""
    check_whole(beams=beams)
    if not length_penalty >= 0:
        raise ValueError(
            f"length_penalty={length_penalty}: it must not be negative, and 0 compares the probabilities as they are"
        )
    for name, token in (("start", start), ("stop", stop)):
        if not 0 <= token < vocab:
            raise ValueError(
                f"{name}={token} but vocab is {vocab}: it is a token of the model, 0 ... {vocab - 1}"
            )


def check_sampling(temperature, top_k=None, top_p=None):
    """Raise ValueError for a temperature below 0, a top_k below 1 and a top_p outside (0, 1]."""
    if not temperature >= 0:
        raise ValueError(
            f"temperature={temperature}: it must not be negative, and 0 takes the most likely token"
        )
    if top_k is not None:
        check_whole(top_k=top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: it is a probability above 0 and at most 1")


@contextlib.contextmanager
def evaluation(model):
    """Inside: nothing is dropped. Afterwards the mode is what it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _as_batch(prompt, name="prompt"):
    tokens = np.asarray(prompt)
    if tokens.size == 0 and name == "source":
        raise ValueError(
            "the source is empty: pass at least one token, such as the one that ends a text"
        )
    if tokens.size == 0:
        raise ValueError(
            "the prompt is empty, but the first token needs one before it: begin with a token that starts a text, such as that of a line break"
        )
    if tokens.ndim not in (1, 2) or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"the {name} is {tokens.dtype} of shape {tokens.shape}: pass tokens (T,) or (B, T), as the tokeniser's encode returns them"
        )
    return np.atleast_2d(tokens).astype(np.int64)

"""BERT's checkpoints: logits, loss and every gradient equal to those of `transformers`, and the way there and back."""

import functools
from dataclasses import replace

import numpy as np
import pytest

import dlcourse
from dlcourse.errors import need
from dlcourse.state import compare, from_huggingface, to_huggingface

SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 28}
CLASSES = {
    "pretrain": "BertForPreTraining",
    "classify": "BertForSequenceClassification",
    "label": "BertForTokenClassification",
    "span": "BertForQuestionAnswering",
}
WORDS = "bert.embeddings.word_embeddings.weight"
UNSEEN = ("layer.1.output.LayerNorm.bias", "qa_outputs.bias")  # they add the same to every score, which a softmax does not see
CASES = [("numpy", np.float64), ("numpy", np.float32), ("torch", np.float32), ("torch", np.float64), ("mlx", np.float32)]
each_task = pytest.mark.parametrize("task", CLASSES)
each_case = pytest.mark.parametrize(("backend", "dtype"), CASES, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype in CASES])


@functools.cache
def theirs(task):
    """A model of theirs with random weights, none of which is 0 or 1 as at the start."""
    torch, transformers = need("torch", extra="torch"), need("transformers", extra="test")
    config = transformers.BertConfig(
        **SIZES,
        max_position_embeddings=12,
        num_labels=2 if task == "span" else 5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    model = getattr(transformers, CLASSES[task])(config).double().train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def tensors(task, dtype=np.float64):
    return {name: p.detach().numpy().astype(dtype) for name, p in theirs(task).state_dict().items()}


def batch(task):
    """Pairs of sentences of several lengths, padded, and targets of which some do not count."""
    rng = np.random.default_rng(1)
    x = rng.integers(4, 40, size=(5, 12))
    x[:, 0] = 2
    for row, (first, second) in enumerate([(4, 11), (6, 8), (2, 5), (9, 11), (3, 10)]):
        x[row, first], x[row, second], x[row, second + 1 :] = 3, 3, 0
    if task == "pretrain":
        words = np.where((rng.random(x.shape) < 0.3) & (x > 3), x, -100)
        return x, np.concatenate([rng.integers(0, 2, (5, 1)), words], axis=1)
    if task == "label":
        return x, np.where(x > 3, rng.integers(0, 5, x.shape), -100)
    return x, rng.integers(0, 5, 5) if task == "classify" else rng.integers(0, 8, (5, 2))


@functools.cache
def expected(task):
    """Their logits, loss and gradients in float64, under their names."""
    torch, model = need("torch", extra="torch"), theirs(task)
    x, y = (torch.from_numpy(a) for a in batch(task))
    ends = (x == 3).long()
    given = {"attention_mask": (x != 0).long(), "token_type_ids": (ends.cumsum(1) - ends).clamp(max=1)}
    if task == "pretrain":
        given |= {"labels": y[:, 1:].contiguous(), "next_sentence_label": y[:, 0]}
    elif task != "span":  # there their loss leaves out positions beyond the end; ours is written out below
        given["labels"] = y
    model.zero_grad()
    out = model(x, **given)
    if task == "span":
        logits = torch.stack([out.start_logits, out.end_logits], dim=1)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
    else:
        logits = (out.prediction_logits, out.seq_relationship_logits) if task == "pretrain" else out.logits
        loss = out.loss
    loss.backward()
    gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    return rows(tuple(part.detach().numpy() for part in logits) if task == "pretrain" else logits.detach().numpy(), loss.item()), gradients


def rows(logits, loss):
    parts = logits if isinstance(logits, tuple) else (logits,)
    return {f"logits {i}": part for i, part in enumerate(parts)} | {"loss": loss}


def learner_of(backend, task, dtype):
    package = dlcourse.backend(backend)
    config, state = from_huggingface("bert", tensors(task, dtype), heads=3)
    model = package.BERT(config)
    model.load_state(state)
    return package.Learner(model, package.SGD(model), "pretraining" if task == "pretrain" else "cross_entropy")


@each_task
@each_case
def test_logits_loss_and_gradients_are_those_of_transformers(task, backend, dtype, record_parity):
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    learner = learner_of(backend, task, dtype)
    values, gradients = expected(task)
    loss, ours = learner.gradients(batch(task))
    seen = compare(rows(learner.predict(batch(task)[0]), loss), values).check(tolerance)
    ours = to_huggingface("bert", learner.model.config, ours)
    assert set(ours) == set(gradients)
    if task == "span":  # where padding has a score; theirs never trains its embedding (padding_idx)
        assert not gradients[WORDS][0].any() and np.abs(ours[WORDS][0]).max() > 1e-3
        ours[WORDS] = np.where(np.arange(40)[:, None] > 0, ours[WORDS], 0)
    zero = {name for name in ours if name.endswith(("self.key.bias", *(UNSEEN if task == "span" else ())))}
    assert max(np.abs(ours[name]).max() for name in zero) < (1e-15 if dtype == np.float64 else 1e-6)
    found = compare(*({name: rows[name] for name in set(ours) - zero} for rows in (ours, gradients))).check(tolerance)
    what = f"BERT, {task}, {backend}, {np.dtype(dtype)}, transformers"
    record_parity(f"{what}: {seen.worst[0]}", seen.worst[2])
    record_parity(f"{what}: gradient {found.worst[0]}", found.worst[2])


def drawn(seed):
    """Sizes of a BERT at random."""
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 6))
    draw = {"vocab_size": (8, 60), "max_position_embeddings": (4, 20), "num_hidden_layers": (1, 5), "intermediate_size": (1, 40)}
    sizes = {name: int(rng.integers(*between)) for name, between in draw.items()}
    # two channels at least: a layer norm of one returns its bias
    return sizes | {"num_attention_heads": heads, "hidden_size": heads * int(rng.integers(2, 9))}


@pytest.mark.parametrize("seed", range(5))
@each_case
def test_random_sizes(backend, dtype, seed):
    """The logits of a BertForPreTraining, of sequences with padding and a second segment."""
    torch, transformers = need("torch", extra="torch"), need("transformers", extra="test")
    sizes = drawn(seed)
    torch.manual_seed(seed)
    model = transformers.BertForPreTraining(transformers.BertConfig(**sizes, attn_implementation="eager")).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    held = {name: p.numpy().astype(dtype) for name, p in model.state_dict().items()}
    config, state = from_huggingface("bert", held, heads=sizes["num_attention_heads"])
    names = ("vocab", "context", "layers", "hidden", "heads", "width")
    assert [getattr(config, name) for name in names] == list(sizes.values())
    x = np.random.default_rng(seed).integers(4, config.vocab, (3, config.context))
    x[:, 1], x[1, 3:] = 3, 0
    package = dlcourse.backend(backend)
    ours = package.BERT(config)
    ours.load_state(state)
    given = torch.from_numpy(x)
    ends = (given == 3).long()
    out = model(given, attention_mask=(given != 0).long(), token_type_ids=(ends.cumsum(1) - ends).clamp(max=1))
    expected = out.prediction_logits.detach().numpy(), out.seq_relationship_logits.detach().numpy()
    found = package.Learner(ours, package.SGD(ours), "pretraining").predict(x)
    compare(rows(found, 0.0), rows(expected, 0.0)).check(1e-10 if dtype == np.float64 else 1e-5)


@each_task
def test_there_and_back(task):
    torch = need("torch", extra="torch")
    own = tensors(task)
    config, state = from_huggingface("bert", own, heads=3)
    back = to_huggingface("bert", config, state)
    copies = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"} if task == "pretrain" else set()
    assert set(own) - set(back) == copies and set(back) <= set(own)
    for name, array in back.items():
        assert np.array_equal(array, own[name]), name
    done = theirs(task).load_state_dict({name: torch.from_numpy(array) for name, array in back.items()}, strict=False)
    assert set(done.missing_keys) == copies and not done.unexpected_keys
    assert (config.task, config.outputs) == (task, {"pretrain": 40, "span": 12}.get(task, 5))
    assert (config.vocab, config.context, config.layers, config.heads, config.width, config.hidden) == (40, 12, 2, 3, 24, 28)
    assert (config.sep, config.pad, config.eps, config.exact_gelu) == (3, 0, 1e-12, True)


def test_names_of_the_first_checkpoints_and_without_prefix():
    own = tensors("label")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta").removeprefix("bert."): array
        for name, array in own.items()
    } | {"embeddings.position_ids": np.arange(12)[None]}
    config, state = from_huggingface("bert", old, heads=3)
    again, expected_state = from_huggingface("bert", own, heads=3)
    assert config == again and all(np.array_equal(state[name], array) for name, array in expected_state.items())


def test_sep_of_the_published_models_and_heads_of_64():
    rng = np.random.default_rng(0)
    own = tensors("label")
    own["bert.embeddings.word_embeddings.weight"] = rng.normal(size=(200, 24))
    assert from_huggingface("bert", own, heads=3)[0].sep == 102
    with pytest.raises(ValueError, match="width 24 is no multiple of 64.*pass heads="):
        from_huggingface("bert", own)


def test_strict():
    own = tensors("pretrain")
    with pytest.raises(
        ValueError, match="these are no tensors of BERT: bert.embeddings.word_embeddings.weight.* missing, so pass the whole file"
    ):
        from_huggingface("bert", {"layers.0.weight": np.zeros((4, 4))})
    with pytest.raises(ValueError, match=r"missing cls.seq_relationship.bias \(2,\)"):
        from_huggingface("bert", {name: array for name, array in own.items() if name != "cls.seq_relationship.bias"}, heads=3)
    with pytest.raises(ValueError, match="unknown bert.extra"):
        from_huggingface("bert", own | {"extra": np.zeros(3)}, heads=3)
    untied = own | {"cls.predictions.decoder.weight": own["cls.predictions.decoder.weight"] + 1}
    with pytest.raises(ValueError, match="unknown cls.predictions.decoder.weight"):
        from_huggingface("bert", untied, heads=3)
    config, state = from_huggingface("bert", own, heads=3)
    with pytest.raises(ValueError, match=r"missing pooler.weight"):
        to_huggingface("bert", config, {name: array for name, array in state.items() if name != "pooler.weight"})
    with pytest.raises(ValueError, match="unknown nsp.weight"):
        to_huggingface("bert", replace(config, task="classify", outputs=2), state)

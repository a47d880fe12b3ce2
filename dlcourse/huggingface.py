"""The names and layouts of Hugging Face's `transformers`, beside those of the course."""

import numpy as np

from dlcourse.config import BERTConfig, GPTConfig
from dlcourse.errors import suggestion

SIGNS = {
    "gpt2": ("GPT-2", "wte.weight"),
    "bert": ("BERT", "embeddings.word_embeddings.weight"),
}
HEAD_SIZE = 64  # channels of a head in every published GPT-2 and BERT


def layout_of(model_type):
    """(tensors in order, their configuration, the table of names): the three functions of a model type. Raises ValueError for another type."""
    if model_type not in LAYOUTS:
        raise ValueError(
            f"unknown model type {model_type!r}{suggestion(model_type, LAYOUTS)}: choose one of {', '.join(LAYOUTS)}"
        )
    return LAYOUTS[model_type]


def check_type(model_type, tensors):
    """Raise ValueError for tensors of another model type, known by the name of its embedding."""
    for other, (name, embedding) in SIGNS.items():
        if other != model_type and any(tensor.endswith(embedding) for tensor in tensors):
            raise ValueError(f"these are the tensors of a {name}: pass model_type={other!r}")


def to_ours(tensors, table):
    """{our name: array} of {their name: array}: what they keep side by side is split, their Conv1D (I, O) turned."""
    state = {}
    for theirs, (_, names) in table.items():
        array = np.asarray(tensors[theirs])
        array = array.T if _is_conv1d(theirs, array) else array
        for name, part in zip(names, np.split(array, len(names)), strict=True):
            state[name] = np.array(part, order="C")
    return state


def to_theirs(state, table):
    """{their name: array} of {our name: array}."""
    tensors = {}
    for theirs, (_, names) in table.items():
        array = np.concatenate([state[name] for name in names])
        tensors[theirs] = np.array(array.T if _is_conv1d(theirs, array) else array, order="C")
    return tensors


def heads_of(width, heads):
    """`heads`, or width / 64, as no tensor tells it."""
    if heads is None and width % HEAD_SIZE:
        raise ValueError(
            f"width {width} is no multiple of {HEAD_SIZE}, the head size of the published models, so the number of heads is not known: pass heads="
        )
    return width // HEAD_SIZE if heads is None else heads


def _is_conv1d(name, array):
    return ".c_" in name and array.ndim == 2


# ---------------------------------------------------------------- GPT-2


def gpt2_tensors(tensors):
    """The tensors under the names of GPT2LMHeadModel, without the causal masks that old checkpoints hold, and without a head that is the embedding."""
    named = {
        name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}": array
        for name, array in tensors.items()
        if not name.endswith((".attn.bias", ".attn.masked_bias"))
    }
    tok, head = named.get("transformer.wte.weight"), named.get("lm_head.weight")
    if head is not None and tok is not None and np.array_equal(np.asarray(head), np.asarray(tok)):
        del named["lm_head.weight"]
    return named


def gpt2_config(tensors, heads=None):
    """The GPTConfig of what `gpt2_tensors` returns. Raises ValueError where the tensors that tell the sizes are missing."""
    sources = {name: f"transformer.{name}.weight" for name in ("wte", "wpe", "h.0.mlp.c_fc")}
    missing = [name for name in sources.values() if name not in tensors]
    if missing:
        raise ValueError(
            f"these are no tensors of GPT-2: {', '.join(missing)} missing, so pass the whole file of a GPT2LMHeadModel"
        )
    (vocab, width), (context, _), (_, hidden) = (np.shape(tensors[n]) for n in sources.values())
    layers = len({name.split(".")[2] for name in tensors if name.startswith("transformer.h.")})
    return GPTConfig(
        vocab,
        context,
        layers,
        heads_of(width, heads),
        width,
        hidden,
        bias=True,
        tied="lm_head.weight" not in tensors,
    )


def gpt2_table(config):
    """{their name: (their shape, our names)}  (eq-gpt; Radford et al. 2019). Raises ValueError for a GPT that is no GPT-2."""
    needed = {"bias": True, "positions": "learned", "norm": "layer", "activation": "gelu"}
    wrong = [
        f"{key}={getattr(config, key)!r}" for key, v in needed.items() if getattr(config, key) != v
    ]
    if wrong:
        raise ValueError(
            f"GPT-2 has no {', '.join(wrong)}: build the model with bias=True and the default positions, norm and activation"
        )
    width, hidden = config.width, config.hidden
    table = {
        "wte.weight": ((config.vocab, width), ["tok.weight"]),
        "wpe.weight": ((config.context, width), ["pos.weight"]),
    }
    thirds = ["attn.q_proj", "attn.k_proj", "attn.v_proj"]
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"h.{i}"
        for name, inputs, outputs, parts in [
            ("ln_1", None, width, ["ln_1"]),
            ("attn.c_attn", width, 3 * width, thirds),
            ("attn.c_proj", width, width, ["attn.out_proj"]),
            ("ln_2", None, width, ["ln_2"]),
            ("mlp.c_fc", width, hidden, ["mlp.up"]),
            ("mlp.c_proj", hidden, width, ["mlp.down"]),
        ]:
            shape = (outputs,) if inputs is None else (inputs, outputs)
            table[f"{theirs}.{name}.weight"] = shape, [f"{ours}.{part}.weight" for part in parts]
            table[f"{theirs}.{name}.bias"] = (outputs,), [f"{ours}.{part}.bias" for part in parts]
    for part in ("weight", "bias"):
        table[f"ln_f.{part}"] = (width,), [f"ln_f.{part}"]
    table = {f"transformer.{name}": entry for name, entry in table.items()}
    if not config.tied:
        table["lm_head.weight"] = (config.vocab, width), ["head.weight"]
    return table


# ---------------------------------------------------------------- BERT


def bert_tensors(tensors):
    """The tensors under the names of BertForPreTraining and its like, without the positions' numbers, and without a head that is the embedding."""
    named = {}
    for name, array in tensors.items():
        # as the first checkpoints call them
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        if not name.startswith(("bert.", "cls.", "classifier.", "qa_outputs.")):
            name = f"bert.{name}"
        if not name.endswith("position_ids"):
            named[name] = array
    for copy, original in [
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ]:
        both = named.get(copy), named.get(original)
        if all(each is not None for each in both) and np.array_equal(*map(np.asarray, both)):
            del named[copy]
    return named


def bert_config(tensors, heads=None):
    """The BERTConfig of what `bert_tensors` returns. Raises ValueError where the tensors that tell the sizes are missing.

    No tensor tells which token is [SEP]: it is taken for 102, as in the published models, where there are so many."""
    sources = [
        "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.position_embeddings.weight",
        "bert.encoder.layer.0.intermediate.dense.weight",
    ]
    missing = [name for name in sources if name not in tensors]
    if missing:
        raise ValueError(
            f"these are no tensors of BERT: {', '.join(missing)} missing, so pass the whole file of a BertForPreTraining or its like"
        )
    (vocab, width), (context, _), (hidden, _) = (np.shape(tensors[name]) for name in sources)
    layers = {name.split(".")[3] for name in tensors if name.startswith("bert.encoder.layer.")}
    task, outputs = "pretrain", None
    if "qa_outputs.weight" in tensors:
        task = "span"
    elif "classifier.weight" in tensors:
        task = "classify" if "bert.pooler.dense.weight" in tensors else "label"
        outputs = len(tensors["classifier.weight"])
    return BERTConfig(
        vocab,
        context,
        len(layers),
        heads_of(width, heads),
        width,
        hidden,
        sep=102 if vocab > 102 else BERTConfig.sep,
        task=task,
        outputs=outputs,
    )


def bert_table(config):
    """{their name: (their shape, our names)}  (eq-bert; Devlin et al. 2019)."""
    width, table = config.width, {}

    def entry(theirs, ours, *shape, bias=True):
        table[f"{theirs}.weight"] = shape, [f"{ours}.weight"]
        if bias:
            table[f"{theirs}.bias"] = shape[:1], [f"{ours}.bias"]

    embeddings = "bert.embeddings"
    entry(f"{embeddings}.word_embeddings", "tok", config.vocab, width, bias=False)
    entry(f"{embeddings}.position_embeddings", "pos", config.context, width, bias=False)
    entry(f"{embeddings}.token_type_embeddings", "seg", 2, width, bias=False)
    entry(f"{embeddings}.LayerNorm", "ln", width)
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"bert.encoder.layer.{i}"
        for name, part in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")]:
            entry(f"{theirs}.attention.self.{name}", f"{ours}.attn.{part}", width, width)
        entry(f"{theirs}.attention.output.dense", f"{ours}.attn.out_proj", width, width)
        entry(f"{theirs}.attention.output.LayerNorm", f"{ours}.ln_1", width)
        entry(f"{theirs}.intermediate.dense", f"{ours}.mlp.up", config.hidden, width)
        entry(f"{theirs}.output.dense", f"{ours}.mlp.down", width, config.hidden)
        entry(f"{theirs}.output.LayerNorm", f"{ours}.ln_2", width)
    if config.task in ("pretrain", "classify"):
        entry("bert.pooler.dense", "pooler", width, width)
    if config.task == "pretrain":
        entry("cls.predictions.transform.dense", "transform", width, width)
        entry("cls.predictions.transform.LayerNorm", "transform_ln", width)
        table["cls.predictions.bias"] = (config.vocab,), ["decoder_bias"]
        entry("cls.seq_relationship", "nsp", 2, width)
    elif config.task == "span":
        entry("qa_outputs", "head", 2, width)
    else:
        entry("classifier", "head", config.outputs, width)
    return table


# model type: (tensors as they are looked up, their configuration, the table of names)
LAYOUTS = {
    "gpt2": (gpt2_tensors, gpt2_config, gpt2_table),
    "bert": (bert_tensors, bert_config, bert_table),
}

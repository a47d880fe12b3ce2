"""The tests tested: every small error in a module is found by the checks that the module itself passes.

Mutants are made systematically from the syntax tree (`tests/mutation.py`): flipped signs, `*` for `/`, forgotten terms and factors, a missing mean,
wrong axes, transposed operands, `>=` for `>`, `=` for `+=`, deleted statements, constants one off, forgotten keywords, gradients in the wrong order.
A mutant that no check can find is listed under EQUIVALENT with the reason why it computes the same; an entry that is not needed fails."""

import importlib
import inspect
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from dlcourse.text.wordpiece import SCORES
from tests.check import gradient_cases
from tests.data import augment_cases, batch_cases, grammar_cases, masking_cases
from tests.metrics import cases as metric_cases
from tests.mutation import build, replaced, survives, syntax_mutants
from tests.numpy import (
    attention_cases,
    autograd_cases,
    bert_cases,
    cases,
    convolution_cases,
    count_cases,
    difference_cases,
    generate_cases,
    learner_cases,
    losses_cases,
    models,
    recurrent_cases,
    regression_cases,
    schedule_cases,
    transformer_cases,
    views_cases,
    worker_cases,
)
from tests.text import cases as text_cases

SHAPES = [((3,), 4), ((2, 2), 3), ((), 5), ((3,), 1)]


def check_functional(f, operation=None):
    """Everything that `tests/numpy/test_functional.py` asks, on a few shapes; of one operation first, then of those built on it."""
    mine = [operation] if operation in cases.EXTREME_CALLS else list(cases.EXTREME_CALLS)
    for case in cases.CASES:
        if case.operation in mine:
            for lead, width in SHAPES:
                for check in (cases.check_value, cases.check_case_gradient, cases.check_manners):
                    check(f, case, np.random.default_rng(0), lead, width)
    for name in mine:
        cases.check_extremes(f, name)
    for name, message, call in cases.REFUSED:
        if name in mine:
            models.raises(ValueError, message, lambda call=call: call(f))
    models.check_left_out(f)
    if operation in (None, "batch_norm"):
        cases.check_running_statistics(f)
    cases.exact_values(f)
    cases.check_targets_of_another_dtype(f)


def check_losses(losses, operation=None):
    losses_cases.check_everything(losses, models.raises, operation)


def check_optim(optim, _=None):
    models.check_clip(optim)
    models.check_optimizer_refusals(optim)
    for kind, options in models.OPTIMIZERS:
        models.check_optimizer(optim, kind, options, steps=3)
    models.check_buffer(optim)
    models.check_soft_threshold(optim)
    models.check_orthogonalize(optim)
    models.check_muon_kernels(optim)
    models.check_pieces(optim)


def check_layers(layers, _=None):
    models.check_linear_layer(layers)
    models.check_shared_layer(layers)
    models.check_embedding_layer(layers)
    models.check_norm_layers(layers)
    models.check_convolution_layers(layers)
    models.check_layer_refusals(layers)


def check_module(module, _=None):
    models.check_module(module)


def check_convolution(convolution, _=None):
    convolution_cases.check_everything(convolution, models.raises)


def check_geometry(geometry, _=None):
    convolution_cases.check_geometry(geometry, models.raises)


def check_mlp(mlp, _=None):
    models.check_mlp(mlp)
    models.check_mlp_dropout(mlp)


def check_cnn(cnn, _=None):
    models.check_cnn(cnn)
    models.check_cnn_order(cnn)
    models.check_cnn_dropout(cnn)


def check_resnet(resnet, _=None):
    models.check_block(resnet)
    models.check_resnet(resnet)


def check_learner(learner, _=None):
    learner_cases.check_learner(learner, models.raises)


def check_workers(workers, _=None):
    worker_cases.check_workers(workers, models.raises)


def check_recurrent(recurrent, _=None):
    recurrent_cases.check_cells(recurrent)
    recurrent_cases.check_layers(recurrent)
    recurrent_cases.check_refusals(recurrent, models.raises)


def check_rnn(rnn, _=None):
    recurrent_cases.check_network(rnn, models.raises)


def check_bert(bert, _=None):
    bert_cases.check_bert(bert)
    bert_cases.check_bert_dropout(bert)


def check_attention(attention, _=None):
    attention_cases.check_everything(attention, models.raises)


def check_transformer(transformer, _=None):
    transformer_cases.check_feed_forward(transformer)
    transformer_cases.check_block(transformer)
    transformer_cases.check_block_parts(transformer)
    transformer_cases.check_transformer(transformer)
    transformer_cases.check_transformer_dropout(transformer)
    transformer_cases.check_transformer_parts(transformer)
    transformer_cases.check_transformer_refusals(transformer, models.raises)


def check_gpt(gpt, _=None):
    transformer_cases.check_gpt(gpt)
    transformer_cases.check_gpt_dropout(gpt)
    transformer_cases.check_gpt_refusals(gpt, models.raises)


def check_initial(initial, _=None):
    models.check_initial(initial)
    models.check_initial_of_images(initial)
    models.check_whitened(initial)
    recurrent_cases.check_initial(initial)
    bert_cases.check_initial(initial)
    transformer_cases.check_initial(initial)


def check_autograd(autograd, _=None):
    autograd_cases.check_everything(autograd, models.raises)


def check_count(count, _=None):
    models.check_count(count)
    models.check_count_of_text(count)
    models.check_count_of_tokens(count)
    count_cases.check_costs(count)


def check_classes(classes, _=None):
    metric_cases.check_classes(classes)


def check_ranking(ranking, _=None):
    metric_cases.check_ranking(ranking)


def check_calibration(calibration, _=None):
    metric_cases.check_calibration(calibration)


def check_uncertainty(uncertainty, _=None):
    metric_cases.check_uncertainty(uncertainty)


def check_language(language, _=None):
    metric_cases.check_language(language)


def check_folds(folds, _=None):
    metric_cases.check_folds(folds)


def check_scaling(scaling, _=None):
    metric_cases.check_scaling(scaling)


def check_differences(differences, _=None):
    difference_cases.check_differences(differences, models.raises)


def check_operations(operations, _=None):
    difference_cases.check_watch(operations, models.raises)
    difference_cases.check_mlx_products(operations, models.raises)


def check_schedule(schedule, _=None):
    schedule_cases.check_schedule(schedule, models.raises)


def check_regression(regression, _=None):
    regression_cases.check_regression(regression, models.raises)


def check_augment(augment, _=None):
    augment_cases.check_augment(augment, models.raises)


def check_masking(masking, _=None):
    masking_cases.check_masking(masking, models.raises)


def check_batches(batches, _=None):
    batch_cases.check_batches(batches, models.raises)


def check_text(text, _=None):
    batch_cases.check_text(text, models.raises)


def check_grammar(grammar, _=None):
    grammar_cases.check_grammar(grammar, models.raises)


def check_translation(translation, _=None):
    batch_cases.check_translation(translation, models.raises)


def check_dataset(dataset, _=None):
    batch_cases.check_dataset(dataset)


def check_merges(merges, _=None):
    text_cases.check_merges(merges, SCORES.values())


def check_bpe(bpe, _=None):
    text_cases.check_bpe(bpe, models.raises)


def check_wordpiece(wordpiece, _=None):
    text_cases.check_wordpiece(wordpiece, models.raises)


def check_characters(characters, _=None):
    text_cases.check_characters(characters, models.raises)


def check_tokenizer(tokenizer, _=None):
    with tempfile.TemporaryDirectory() as folder:
        text_cases.check_tokenizer(tokenizer, models.raises, Path(folder))


def check_views(views, _=None):
    views_cases.check_views(views, models.raises)


def check_positions(positions, _=None):
    attention_cases.check_positions(positions, models.raises)


def check_generate(generate, _=None):
    generate_cases.check_everything(generate, models.raises)


def check_gradient(gradient, _=None):
    gradient_cases.check_gradient(gradient)


CORE = "dlcourse.numpy."
MODULES = {
    "dlcourse.numpy.functional": check_functional,
    "dlcourse.numpy.losses": check_losses,
    "dlcourse.numpy.convolution": check_convolution,
    "dlcourse.geometry": check_geometry,
    "dlcourse.numpy.optim": check_optim,
    "dlcourse.numpy.module": check_module,
    "dlcourse.numpy.layers": check_layers,
    "dlcourse.numpy.mlp": check_mlp,
    "dlcourse.numpy.cnn": check_cnn,
    "dlcourse.numpy.resnet": check_resnet,
    "dlcourse.numpy.recurrent": check_recurrent,
    "dlcourse.numpy.rnn": check_rnn,
    "dlcourse.numpy.bert": check_bert,
    "dlcourse.numpy.attention": check_attention,
    "dlcourse.numpy.transformer": check_transformer,
    "dlcourse.numpy.gpt": check_gpt,
    "dlcourse.numpy.learner": check_learner,
    "dlcourse.numpy.workers": check_workers,
    "dlcourse.numpy.autograd": check_autograd,
    "dlcourse.count": check_count,
    "dlcourse.initial": check_initial,
    "dlcourse.metrics.classes": check_classes,
    "dlcourse.metrics.ranking": check_ranking,
    "dlcourse.metrics.calibration": check_calibration,
    "dlcourse.metrics.uncertainty": check_uncertainty,
    "dlcourse.metrics.language": check_language,
    "dlcourse.data.folds": check_folds,
    "dlcourse.data.scaling": check_scaling,
    "dlcourse.data.augment": check_augment,
    "dlcourse.data.masking": check_masking,
    "dlcourse.data.batches": check_batches,
    "dlcourse.data.text": check_text,
    "dlcourse.data.dataset": check_dataset,
    "dlcourse.data.translation": check_translation,
    "dlcourse.data.grammar": check_grammar,
    "dlcourse.differences": check_differences,
    "dlcourse.operations": check_operations,
    "dlcourse.regression": check_regression,
    "dlcourse.schedule": check_schedule,
    "dlcourse.text.merges": check_merges,
    "dlcourse.text.bpe": check_bpe,
    "dlcourse.text.wordpiece": check_wordpiece,
    "dlcourse.text.characters": check_characters,
    "dlcourse.text.tokenizer": check_tokenizer,
    "dlcourse.views": check_views,
    "dlcourse.positions": check_positions,
    "dlcourse.generate": check_generate,
    "dlcourse.check.gradient": check_gradient,
}

ANY_NEGATIVE = "NumPy's reshape takes any negative size as the one to work out"
ADDS_ZERO = "without the shortcut a zero multiple is added: the same result, later"
NO_PADDING = "without the shortcut a copy without padding is made"
NO_BLOCK = "a block in which nothing is seen adds nothing"
NOTHING_YET = "at first it is multiplied by 0"
ONE_SHIFT = "the same number added to all scores changes no softmax"
STORED = "computed in float64, it is stored as float32"
RELATIVE = "rotary positions count from anywhere, as long as queries and keys do alike"
FIRST_TWO = "`_places` reads the first two entries"
AS_MANY = "the one is made to be as long as the other"
ONE_PADDING = "a configuration has one padding for each convolution"
ONE_ARRAY = "the state is one array: the first is the last"
SAME_SIZE = "all kernels have one size"
SAME_LENGTH = "the caches of all blocks hold equally many tokens"
ALREADY_COUNTED = "`apply` has counted the gradients"
COMPARED = "their lengths were compared"
LAST_AXIS = "of two axes the last is meant where none is named"
ANY_CACHE = "a cache of any size gives the same"
ONE_PART = "without the shortcut a copy is made, or a factor of 1 applied"
TWO_VECTORS = "an inner product of two vectors"
BELOW_ROUNDING = "what is left of the sentence is below the rounding of the sum"
NO_SUCH_FLOAT = "a float near 1, less 1, is never exactly a power of ten"
EQUIVALENT = {
    **{
        ("dlcourse.schedule", "one_cycle.__call__", what): "the peak comes before the last step, since the share of the rise is below one"
        for what in (
            "(step - peak) / (last - peak) if last > peak else 1.0 -> (step - peak) / (last - peak) if True else 1.0",
            "last > peak -> last >= peak",
            "1.0 -> 0.0",
            "1.0 -> 2.0",
        )
    },
    ("dlcourse.operations", "Watched.__array_ufunc__", "0 -> -1"): "there is one: the first is the last",
    ("dlcourse.regression", "stopped", "0.0 -> -1.0"): "without a direction every learning rate converges",
    ("dlcourse.numpy.autograd", "Tensor.__neg__", "self * -1.0 -> self / -1.0"): "divided by -1 is multiplied by it",
    ("dlcourse.numpy.autograd", "Tensor.backward", "True -> False"): ALREADY_COUNTED,
    (
        "dlcourse.numpy.autograd",
        "Tensor.backward",
        "zip(node.parents, node.vjp(dnode), strict=True) -> zip(node.parents, node.vjp(dnode))",
    ): ALREADY_COUNTED,
    ("dlcourse.metrics.uncertainty", "wilson", "0.5 + _level(level) / 2 -> 0.5 - _level(level) / 2"): "the quantile is squared",
    (
        "dlcourse.metrics.uncertainty",
        "permutation_test",
        "_distance(statistic, one, other, labels) >= observed - 1e-12 -> _distance(statistic, one, other, labels) > observed - 1e-12",
    ): "differences are equal to rounding, or far apart",
    (
        "dlcourse.metrics.uncertainty",
        "permutation_test",
        "rng.random(len(labels)) < 0.5 -> rng.random(len(labels)) <= 0.5",
    ): "exactly 0.5 is hardly ever drawn",
    (
        "dlcourse.metrics.uncertainty",
        "permutation_test",
        "rng.random(len(labels)) < 0.5 -> rng.random(len(labels)) > 0.5",
    ): "to exchange the others exchanges the models",
    ("dlcourse.metrics.uncertainty", "_groups", "0 -> -1"): "all have one length",
    ("dlcourse.metrics.uncertainty", "_groups", "0 -> -1 (number 3)"): "all have one length",
    ("dlcourse.metrics.classes", "_counts", "1 -> 2 (number 2)"): "a class that occurs nowhere does not count",
    ("dlcourse.numpy.attention", "streaming_attention", "64 -> 65"): "blocks of every size give the same",
    ("dlcourse.numpy.attention", "streaming_attention", "64 -> 63"): "blocks of every size give the same",
    (
        "dlcourse.numpy.attention",
        "streaming_attention",
        "rows.stop + keys - queries if causal else keys -> rows.stop + keys - queries if False else keys",
    ): NO_BLOCK,
    **{
        ("dlcourse.numpy.attention", "streaming_attention", f"0.0 -> {other}{number}"): NOTHING_YET
        for other in ("1.0", "-1.0")
        for number in ("", " (number 2)")
    },
    ("dlcourse.numpy.attention", "rope", "np.cos(angles).astype(x.dtype) -> np.cos(angles)"): STORED,
    ("dlcourse.numpy.attention", "rope", "np.sin(angles).astype(x.dtype) -> np.sin(angles)"): STORED,
    ("dlcourse.numpy.attention", "_hidden", "0 -> 1"): ONE_SHIFT,
    ("dlcourse.numpy.attention", "_hidden", "0 -> -1"): ONE_SHIFT,
    ("dlcourse.numpy.attention", "_merge", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.attention", "MultiHeadAttention._split", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.attention", "MultiHeadAttention.__call__", "0 -> 1"): RELATIVE,
    ("dlcourse.numpy.attention", "MultiHeadAttention.__call__", "0 -> -1"): RELATIVE,
    ("dlcourse.numpy.transformer", "Transformer.decode", "0 -> -1 (number 2)"): SAME_LENGTH,
    ("dlcourse.numpy.transformer", "DecoderCache.length", "0 -> -1"): SAME_LENGTH,
    ("dlcourse.numpy.gpt", "GPT.logits", "0 -> -1 (number 2)"): SAME_LENGTH,
    ("dlcourse.numpy.gpt", "GPT._hidden", "0 -> -1 (number 2)"): SAME_LENGTH,
    ("dlcourse.numpy.functional", "linear", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "linear", "1 -> 2 (number 5)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "embedding", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "embedding", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    (
        "dlcourse.numpy.functional",
        "embedding",
        "np.argsort(flat, kind='stable') -> np.argsort(flat)",
    ): "the terms of a sum in another order",
    ("dlcourse.numpy.functional", "cross_entropy", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "cross_entropy", "1 -> 2 (number 3)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "_kept_labels", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "_rows_of_features", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "_kept_labels", "1 -> 2 (number 3)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "cross_entropy", "if label_smoothing -> if True"): ADDS_ZERO,
    ("dlcourse.numpy.functional", "cross_entropy", "if label_smoothing -> if True (number 2)"): ADDS_ZERO,
    ("dlcourse.numpy.functional", "_soft_cross_entropy", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "_soft_cross_entropy", "1 -> 2 (number 3)"): ANY_NEGATIVE,
    ("dlcourse.numpy.functional", "_soft_cross_entropy", "if label_smoothing -> if True"): ADDS_ZERO,
    ("dlcourse.numpy.functional", "cross_entropy", "if count < len(labels) -> if True"): "sets no row to zero when all are kept",
    ("dlcourse.numpy.functional", "cross_entropy", "count < len(labels) -> count <= len(labels)"): "sets no row to zero when all are kept",
    (
        "dlcourse.numpy.functional",
        "cross_entropy",
        "0 -> -1",
    ): "the class picked for an ignored row is never used; -1 is the last class",
    (
        "dlcourse.numpy.functional",
        "binary_cross_entropy",
        "targets.astype(logits.dtype, copy=False) -> targets.astype(logits.dtype)",
    ): "a copy more",
    ("dlcourse.numpy.functional", "binary_cross_entropy", "False -> True"): "a copy more",
    ("dlcourse.numpy.functional", "_sigmoid", "x >= 0 -> x > 0"): "at x = 0 both branches are 1 / 2",
    ("dlcourse.numpy.losses", "kl_divergence", "1 -> 2"): "any logarithm that is finite: it is multiplied by q = 0",
    ("dlcourse.numpy.losses", "kl_divergence", "1 -> 2 (number 3)"): ANY_NEGATIVE,
    ("dlcourse.numpy.losses", "kl_divergence", "1 -> 2 (number 4)"): ANY_NEGATIVE,
    ("dlcourse.numpy.convolution", "_channel_sums", "0 -> -1"): "there is one group: the first is the last",
    ("dlcourse.numpy.convolution", "max_pool2d", "if stride < size -> if True"): ADDS_ZERO,
    ("dlcourse.numpy.convolution", "max_pool2d", "stride < size -> stride <= size"): ADDS_ZERO,
    ("dlcourse.numpy.convolution", "_pad", "0 -> -1"): NO_PADDING,
    ("dlcourse.numpy.convolution", "_pad", "if padding == 0 -> if False"): NO_PADDING,
    ("dlcourse.numpy.convolution", "_pad", "if value -> if True"): ADDS_ZERO,
    ("dlcourse.numpy.convolution", "_scatter", "3 -> 4 (number 2)"): FIRST_TWO,
    ("dlcourse.numpy.convolution", "_bands", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.convolution", "_unfold", "1 -> 2 (number 8)"): ANY_NEGATIVE,
    ("dlcourse.numpy.convolution", "_unfold", "1 -> 2 (number 10)"): ANY_NEGATIVE,
    ("dlcourse.numpy.convolution", "_unfold", "1 -> 2 (number 11)"): ANY_NEGATIVE,
    ("dlcourse.numpy.convolution", "_stacked", "0 -> -1"): SAME_SIZE,
    ("dlcourse.numpy.convolution", "_unfold", "zip(x.shape[1:3], kernel, strict=True) -> zip(x.shape[1:3], kernel)"): AS_MANY,
    ("dlcourse.numpy.convolution", "_unfold", "True -> False"): AS_MANY,
    (
        "dlcourse.numpy.convolution",
        "conv2d",
        "zip(bands, _bands(dmatrix, bands), strict=True) -> zip(bands, _bands(dmatrix, bands))",
    ): AS_MANY,
    (
        "dlcourse.numpy.convolution",
        "conv2d",
        "zip(bands, _bands(matrix, bands), strict=True) -> zip(bands, _bands(matrix, bands))",
    ): AS_MANY,
    ("dlcourse.numpy.convolution", "conv2d", "True -> False (number 2)"): AS_MANY,
    ("dlcourse.numpy.convolution", "conv2d", "True -> False (number 3)"): AS_MANY,
    ("dlcourse.numpy.convolution", "im2col", "3 -> 4"): FIRST_TWO,
    ("dlcourse.numpy.convolution", "im2col", "0 -> -1 (number 3)"): "there is one group: the first is the last",
    ("dlcourse.numpy.convolution", "_parts", "0 -> -1 (number 2)"): "all have equally many images",
    ("dlcourse.numpy.convolution", "max_pool2d", "if size == 1 -> if True"): "a copy that is not needed",
    ("dlcourse.numpy.convolution", "_by_group", "0 -> -1"): SAME_SIZE,
    (
        "dlcourse.numpy.transformer",
        "Transformer.logits",
        "check_room(cache.length, tokens.shape[1], self.config.target) -> pass",
    ): "the first block's cache refuses them in the same words, after the embedding was computed",
    ("dlcourse.geometry", "receptive_field", "0 -> -1"): "a list of one entry",
    ("dlcourse.numpy.optim", "Optimizer.__init__", "0 -> -1 (number 4)"): "the dtype of any parameter: they have one dtype",
    ("dlcourse.numpy.optim", "Optimizer.__init__", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.optim", "Optimizer.__init__", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.optim", "Optimizer.load_state", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.optim", "SGD.step", "if self.weight_decay -> if True"): ADDS_ZERO,
    ("dlcourse.numpy.optim", "Muon.step", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.numpy.optim", "orthogonalize", "c * squares @ squares -> squares @ (c * squares)"): "a matrix commutes with its multiple",
    ("dlcourse.numpy.optim", "Adam.step", "if self.weight_decay -> if True"): "multiplies by 1.0",
    ("dlcourse.numpy.optim", "clip_gradients", "norm > max_norm -> norm >= max_norm"): "where they are equal the factor is 1.0",
    ("dlcourse.numpy.module", "Module.dtype", "0 -> 1"): "the dtype of any parameter: they have one dtype",
    ("dlcourse.numpy.module", "Module.dtype", "0 -> -1"): "the dtype of any parameter: they have one dtype",
    ("dlcourse.numpy.module", "Module.load_state", "if isinstance(p, Parameter) -> if True"): "a buffer with a gradient that nothing reads",
    ("dlcourse.numpy.mlp", "MLP.__call__", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.numpy.cnn", "CNN.__call__", "1 -> 2"): ANY_NEGATIVE,
    (
        "dlcourse.numpy.cnn",
        "CNN.__call__",
        "(self.pool, activation) if commute else (activation, self.pool) -> (self.pool, activation) if False else (activation, self.pool)",
    ): "the same numbers, in more time",
    ("dlcourse.numpy.cnn", "CNN.__init__", "True -> False"): ONE_PADDING,
    ("dlcourse.numpy.cnn", "CNN.__init__", "zip(widths, config.padding, strict=True) -> zip(widths, config.padding)"): ONE_PADDING,
    ("dlcourse.count", "_", "True -> False"): ONE_PADDING,
    ("dlcourse.count", "_", "zip(config.channels, config.padding, strict=True) -> zip(config.channels, config.padding)"): ONE_PADDING,
    ("dlcourse.count", "_", "2 -> 3 (number 7)"): "half of 3 and of 1, rounded down, is their third",
    ("dlcourse.numpy.recurrent", "_elman", "np.tanh(a, out=a) -> np.tanh(a)"): "one array more",
    ("dlcourse.numpy.recurrent", "_elman", "return (0.0,) -> return (0.0,)"): ONE_ARRAY,
    ("dlcourse.numpy.recurrent", "_gru", "return (dh * z,) -> return (dh * z,)"): ONE_ARRAY,
    ("dlcourse.numpy.recurrent", "_Recurrent._state", "0 -> -1"): ONE_ARRAY,
    **{
        ("dlcourse.numpy.recurrent", "_Recurrent.__call__", what): "any step has the shape of a state"
        for what in ("0 -> 1 (number 3)", "0 -> -1 (number 3)", "0 -> -1 (number 7)", "0 -> 1 (number 8)", "0 -> -1 (number 8)")
    },
    **{("dlcourse.numpy.recurrent", "_Recurrent.__call__", f"1 -> 2 (number {n})"): ANY_NEGATIVE for n in (2, 7, 8, 9)},
    ("dlcourse.initial", "_", "1 -> 2 (number 6)"): ANY_NEGATIVE,
    ("dlcourse.initial", "whitened", "1 -> 2"): ANY_NEGATIVE,
    ("dlcourse.initial", "whitened", "1 -> 2 (number 2)"): ANY_NEGATIVE,
    ("dlcourse.count", "_", "True -> False (number 2)"): "its number of parameters is set in the next line",
    **{
        ("dlcourse.check.gradient", "gradient", what): why
        for what, why in (
            (
                "zip(_labels(operation, len(given)), given, arguments, strict=True) -> zip(_labels(operation, len(given)), given, arguments)",
                "there is a label for each argument",
            ),
            ("True -> False", COMPARED),
            ("zip(places, found, strict=True) -> zip(places, found)", COMPARED),
            ("True -> False (number 2)", "there is a label for each argument"),
        )
    },
    ("dlcourse.check.gradient", "_reason", "abs(factor * mean - 1) < 0.001 -> abs(factor * mean - 1) <= 0.001"): NO_SUCH_FLOAT,
    ("dlcourse.check.gradient", "_reason", "abs(factor / total - 1) < 0.001 -> abs(factor / total - 1) <= 0.001"): NO_SUCH_FLOAT,
    ("dlcourse.data.augment", "_mix", "1 -> 2"): ANY_NEGATIVE,
    **{
        ("dlcourse.data.grammar", "_choices", what): "there is a chance for each noun"
        for what in (
            "zip(allowed, chances, strict=True) -> zip(allowed, chances)",
            "zip(allowed, chances, strict=True) -> zip(allowed, chances) (number 2)",
            "True -> False",
            "True -> False (number 2)",
        )
    },
    ("dlcourse.data.grammar", "_entropies", "1.0 -> 2.0"): "any logarithm that is finite: it is multiplied by p = 0",
    (
        "dlcourse.data.grammar",
        "Grammar.entropy",
        "self._visits(length) @ _entropies(self._machine.probabilities) -> _entropies(self._machine.probabilities) @ self._visits(length)",
    ): TWO_VECTORS,
    (
        "dlcourse.data.grammar",
        "Grammar.markov_entropy",
        "share[seen] @ _entropies(joint[seen] / share[seen, None]) -> _entropies(joint[seen] / share[seen, None]) @ share[seen]",
    ): TWO_VECTORS,
    ("dlcourse.data.grammar", "Grammar._visits", "total += state -> total -= state"): "it is divided by its own sum",
    ("dlcourse.data.grammar", "Grammar._visits", "state.sum() > 1e-16 -> state.sum() >= 1e-16"): BELOW_ROUNDING,
    ("dlcourse.data.grammar", "Grammar._visits", "state.sum() -> state.mean()"): BELOW_ROUNDING,
    ("dlcourse.data.grammar", "_Machine.__init__", "1 -> 2"): "any negative number says that nothing follows",
    **{
        ("dlcourse.numpy.learner", function, what): why
        for function, what, why in (
            ("Learner._logits", "if len(parts) == 1 -> if False", ONE_PART),
            ("Learner._logits", "1 -> 0", ONE_PART),
            ("Learner._logits", "0 -> -1 (number 2)", "there is one part: the first is the last"),
            ("Learner._logits", "zip(*parts, strict=True) -> zip(*parts)", "every part has two logits"),
            ("Learner._logits", "True -> False", "every part has two logits"),
            ("Learner._loss", "if weights[0] == 1 -> if False", ONE_PART),
            ("Learner._loss", "1 -> 2", ONE_PART),
            ("Learner._loss", "1 -> 0", ONE_PART),
            *(
                ("Learner._loss", f"0 -> -1{n}", "all but pretraining have one weight")
                for n in (" (number 2)", " (number 3)", " (number 4)", " (number 5)")
            ),
            ("Learner._loss", "1 -> 2 (number 2)", ANY_NEGATIVE),
            ("Learner._weights", "return (share,) -> return (share,)", "a tuple of one"),
        )
    },
    **{
        ("dlcourse.numpy.workers", function, what): why
        for function, what, why in (
            ("Workers.__init__", "np.empty(KEPT, np.uint8) -> pass", "it changes the time of a step, not its result"),
            ("Workers.run", "0 -> -1 (number 2)", "there is one model: the first is the last"),
            (
                "Workers._collected",
                "zip(*map(_parameters, models), strict=True) -> zip(*map(_parameters, models))",
                "`_share` refuses twins with other parameters",
            ),
            ("Workers._collected", "True -> False", "`_share` refuses twins with other parameters"),
            ("Workers._collected", "zip(same, arrays, strict=True) -> zip(same, arrays)", "there is an array for each"),
            ("Workers._collected", "True -> False (number 2)", "there is an array for each"),
            ("Workers._add_up", "zip(arrays, totals, strict=True) -> zip(arrays, totals)", "there is an array for each"),
            ("Workers._add_up", "True -> False", "there is an array for each"),
            ("Workers._add_up", "1 -> 2", ANY_NEGATIVE),
            (
                "_shares",
                "zip(models, bounds[:-1], bounds[1:], strict=True) -> zip(models, bounds[:-1], bounds[1:])",
                "there is one bound more than models",
            ),
            ("_shares", "True -> False", "there is one bound more than models"),
            ("_shares", "0 -> 1", "all draw the same: any one may have the generator itself"),
            ("_shares", "0 -> -1", "all draw the same: any one may have the generator itself"),
        )
    },
    **{
        (f"dlcourse.text.{name}", f"{kind}.__init__", what): ANY_CACHE
        for name, kind, number in (("bpe", "BPETokenizer", " (number 2)"), ("wordpiece", "WordPieceTokenizer", ""))
        for what in ("2 ** 16 -> 2", "2 ** 16 -> 16", f"2 -> 3{number}", f"2 -> 1{number}", "16 -> 17", "16 -> 15")
    },
    ("dlcourse.text.bpe", "BPETokenizer.__init__", "256 -> 255"): "no text has a byte 255 in UTF-8",
    ("dlcourse.text.bpe", "_spellings", "256 -> 255 (number 2)"): "byte 255 is a visible one",
    ("dlcourse.text.bpe", "_ranges", "sys.maxunicode + 1 -> sys.maxunicode"): "the last code points are no characters",
    ("dlcourse.text.bpe", "_ranges", "sys.maxunicode + 1 -> sys.maxunicode - 1"): "the last code points are no characters",
    ("dlcourse.text.bpe", "_ranges", "1 -> 0"): "the last code points are no characters",
    ("dlcourse.text.bpe", "_ranges", "zip(starts, ends, strict=True) -> zip(starts, ends)"): "every range has two ends",
    ("dlcourse.text.bpe", "_ranges", "True -> False"): "every range has two ends",
    (
        "dlcourse.text.merges",
        "learn",
        "if score is not None -> if True",
    ): "counts of other pairs stay, and what is queued already is not queued again",
    ("dlcourse.text.merges", "learn", "list(word) -> word"): "a word is read, and then replaced",
    ("dlcourse.text.merges", "learn", "+1 -> 1"): "the same number",
    ("dlcourse.text.merges", "learn", "+1 -> 1 (number 2)"): "the same number",
    ("dlcourse.data.masking", "_check_masking", "abs(sum(split) - 1) > 1e-09 -> abs(sum(split) - 1) >= 1e-09"): NO_SUCH_FLOAT,
    ("dlcourse.data.masking", "mask_tokens", "drawn.argsort(axis=1) -> drawn.argsort()"): LAST_AXIS,
    ("dlcourse.data.masking", "mask_tokens", "drawn.argsort(axis=1).argsort(axis=1) -> drawn.argsort(axis=1).argsort()"): LAST_AXIS,
    ("dlcourse.data.masking", "mask_tokens", "2.0 -> 3.0"): "all numbers drawn are below 1",
    ("dlcourse.data.masking", "mask_tokens", "2.0 -> 1.0"): "all numbers drawn are below 1",
    **{
        ("dlcourse.data.dataset", "stratified", what): "there is a part for each share"
        for what in (
            "zip(parts, np.split(members, cuts), strict=True) -> zip(parts, np.split(members, cuts))",
            "True -> False",
        )
    },
    ("dlcourse.data.translation", "pairs", "zip(left, right, strict=True) -> zip(left, right)"): COMPARED,
    ("dlcourse.data.translation", "pairs", "True -> False"): COMPARED,
    **{
        ("dlcourse.data.translation", "apart", what): "every pair has two texts"
        for what in (
            "zip(*(pair for i in part for pair in groups[i]), strict=True) -> zip(*(pair for i in part for pair in groups[i]))",
            "True -> False (number 2)",
        )
    },
    **{
        ("dlcourse.metrics.language", function, what): COMPARED
        for function in ("exact_match", "span_scores")
        for what in ("zip(predicted, wanted, strict=True) -> zip(predicted, wanted)", "True -> False")
    },
    ("dlcourse.generate", "generate", "0 -> -1 (number 2)"): "one prompt is one row: the first is the last",
    **{
        ("dlcourse.generate", "translate", what): why
        for what, why in (
            ("0 -> -1", "at first all hypotheses are alike"),
            ("0 -> -1 (number 2)", "one source is one row: the first is the last"),
            ("np.take_along_axis(sums, best, axis=1) -> np.take_along_axis(sums, best)", LAST_AXIS),
            ("np.take_along_axis(each, parent, axis=1) -> np.take_along_axis(each, parent)", LAST_AXIS),
            ("np.argsort(-scores, axis=1, kind='stable') -> np.argsort(-scores, kind='stable')", LAST_AXIS),
            ("1 -> 2 (number 5)", ANY_NEGATIVE),
            ("1 -> 2 (number 6)", ANY_NEGATIVE),
            ("1 -> 2 (number 9)", ANY_NEGATIVE),
        )
    },
    ("dlcourse.initial", "_orthogonal", "q * np.sign(np.diagonal(r)) -> q / np.sign(np.diagonal(r))"): "by 1 or -1",
    (
        "dlcourse.initial",
        "whitened",
        "filters *= np.sign(flat[np.arange(kept), np.abs(flat).argmax(axis=1)])[:, None, None, None] -> "
        "filters /= np.sign(flat[np.arange(kept), np.abs(flat).argmax(axis=1)])[:, None, None, None]",
    ): "by 1 or -1",
}

# Errors that articles and students make, by name: each text must stand in the source exactly once.
LINEAR = (
    "f.linear(x, self.weight.data, self.bias.data if self.bias else None)\n\n"
    "        def backward(dy, need_dx=True):\n            dx, dweight, dbias = vjp(dy, need_dx)\n"
)
CONVOLUTION = (
    "c.conv2d(x, self.weight.data, bias, **self.geometry)\n\n        def backward(dy, need_dx=True):\n"
    "            dx, dweight, dbias = vjp(dy, need_dx)\n"
)
WEIGHT = "            self.weight.grad += dweight\n"
BIAS = "            if self.bias:\n                self.bias.grad += dbias\n"
FAMOUS = [
    ("dlcourse.numpy.functional", "softmax over the batch", "y /= y.sum(axis=-1, keepdims=True)", "y /= y.sum(axis=0, keepdims=True)"),
    (
        "dlcourse.numpy.functional",
        "softmax that overflows",
        "    y = x - x.max(axis=-1, keepdims=True)\n    np.exp(y, out=y)",
        "    y = np.exp(x)",
    ),
    (
        "dlcourse.numpy.functional",
        "softmax taken as element-wise",
        "dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))",
        "dy: dy * y * (1 - y)",
    ),
    ("dlcourse.numpy.functional", "cross-entropy summed, not averaged", "dz *= dloss / count", "dz *= dloss"),
    ("dlcourse.numpy.functional", "mean over ignored targets too", "where=kept) / count", "where=kept) / len(labels)"),
    (
        "dlcourse.numpy.functional",
        "smoothing spread over the other classes",
        "dz -= label_smoothing / classes",
        "dz -= label_smoothing / (classes - 1)",
    ),
    ("dlcourse.numpy.functional", "mse without its 2", "(2.0 * dloss / y.size)", "(dloss / y.size)"),
    ("dlcourse.numpy.functional", "mse over the batch only", "(2.0 * dloss / y.size)", "(2.0 * dloss / len(y))"),
    ("dlcourse.numpy.functional", "derivative of the sigmoid at y", "dy: dy * y * (1 - y)\n", "dy: dy * _sigmoid(y) * (1 - _sigmoid(y))\n"),
    ("dlcourse.numpy.functional", "weight gradient transposed", "dy_rows.T @ rows", "rows.T @ dy_rows"),
    ("dlcourse.numpy.functional", "bias gradient averaged", "else _column_sums(dy_rows)", "else dy_rows.mean(axis=0)"),
    ("dlcourse.numpy.functional", "ReLU's gradient 1 at zero", "dy: dy * (y > 0)", "dy: dy * (y >= 0)"),
    ("dlcourse.numpy.functional", "dropout not scaled", "scale *= 1.0 / (1.0 - p)", "scale *= 1.0"),
    ("dlcourse.numpy.functional", "dropout keeps with p", "dtype=np.float32) >= p", "dtype=np.float32) < p"),
    (
        "dlcourse.numpy.functional",
        "dropout's backward without the mask",
        "return x * scale, lambda dy: dy * scale",
        "return x * scale, lambda dy: dy",
    ),
    (
        "dlcourse.numpy.functional",
        "NumPy scalar that makes float64",
        "scale *= 1.0 / (1.0 - p)",
        "scale = scale * np.float64(1.0 / (1.0 - p))",
    ),
    (
        "dlcourse.numpy.optim",
        "Adam without bias correction",
        "update *= lr * correction / (1.0 - beta1**self.steps)",
        "update *= lr * correction",
    ),
    ("dlcourse.numpy.optim", "eps inside the root's correction forgotten", "update += self.eps * correction", "update += self.eps"),
    (
        "dlcourse.numpy.optim",
        "Adam that counts from 0",
        "correction = math.sqrt(1.0 - beta2**self.steps)",
        "correction = math.sqrt(1.0 - beta2 ** (self.steps + 1))",
    ),
    (
        "dlcourse.numpy.optim",
        "AdamW coupled: decay in the gradient",
        "if self.weight_decay:\n            self.data[self.decayed] *= 1.0 - lr * self.weight_decay",
        "if self.weight_decay:\n            self.grad[self.decayed] += self.weight_decay * self.data[self.decayed]",
    ),
    (
        "dlcourse.numpy.optim",
        "RMSProp that divides by the mean square",
        "np.sqrt(v, out=update)\n        update += self.eps\n",
        "update[...] = v\n        update += self.eps\n",
    ),
    (
        "dlcourse.numpy.optim",
        "Lion that remembers what it stepped by",
        "m *= beta2\n        m += (1.0 - beta2) * g",
        "m *= beta1\n        m += (1.0 - beta1) * g",
    ),
    ("dlcourse.numpy.optim", "Lion without the sign", "        np.sign(c, out=c)\n", ""),
    ("dlcourse.numpy.optim", "Muon with the gradient in place of its mean", "        ahead += fresh\n", "        ahead[...] = self.grad\n"),
    (
        "dlcourse.numpy.optim",
        "Muon whose factor is that of wide matrices",
        "matrix *= math.sqrt(max(1.0, rows / columns))",
        "matrix *= math.sqrt(max(1.0, columns / rows))",
    ),
    (
        "dlcourse.numpy.optim",
        "Newton-Schulz from the largest entry in place of the norm",
        "x = x / max(np.linalg.norm(x), SMALLEST)",
        "x = x / max(np.abs(x).max(), SMALLEST)",
    ),
    ("dlcourse.numpy.optim", "biases decay too", "if p.data.ndim >= 2))", "if p.data.ndim >= 1))"),
    ("dlcourse.numpy.optim", "Nesterov as plain momentum", "g = g + self.momentum * v if self.nesterov else v", "g = v"),
    ("dlcourse.numpy.optim", "momentum that averages", "            v += g\n", "            v += (1 - self.momentum) * g\n"),
    (
        "dlcourse.numpy.optim",
        "ascent",
        "np.multiply(g, lr, out=self.scratch)\n        self.data -= self.scratch",
        "np.multiply(g, lr, out=self.scratch)\n        self.data += self.scratch",
    ),
    (
        "dlcourse.numpy.optim",
        "each tensor clipped by itself",
        "norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))",
        "norm = max(math.sqrt(float(np.vdot(g, g))) for g in gradients)",
    ),
    *[
        ("dlcourse.numpy.layers", f"the last use overwrites a shared {layer}'s {name} gradient", call + WEIGHT + BIAS, call + new)
        for layer, call in (("Linear", LINEAR), ("Conv2d", CONVOLUTION))
        for name, new in (("weight", WEIGHT.replace("+=", "[...] =") + BIAS), ("bias", WEIGHT + BIAS.replace("+=", "[...] =")))
    ],
    (
        "dlcourse.numpy.convolution",
        "overlapping windows overwrite each other",
        "padded[place] += part.reshape",
        "padded[place] = part.reshape",
    ),
    ("dlcourse.numpy.convolution", "gradient to every maximum", "                free ^= first\n", ""),
    (
        "dlcourse.numpy.convolution",
        "gradient to the last maximum",
        "for _, _, place in places:\n                first",
        "for _, _, place in places[::-1]:\n                first",
    ),
    ("dlcourse.numpy.convolution", "padding of max-pooling by zeros", "-math.inf", "0"),
    (
        "dlcourse.numpy.convolution",
        "the kernel flipped",
        "windows.transpose(3, 0, 1, 2, 5, 6, 4)",
        "windows[..., ::-1, ::-1].transpose(3, 0, 1, 2, 5, 6, 4)",
    ),
    (
        "dlcourse.numpy.convolution",
        "bias gradient averaged",
        "return np.ones(len(rows), rows.dtype) @ rows",
        "return np.ones(len(rows), rows.dtype) @ rows / len(rows)",
    ),
    (
        "dlcourse.numpy.convolution",
        "the window flattened channels first",
        "transpose(3, 0, 1, 2, 5, 6, 4)",
        "transpose(3, 0, 1, 2, 4, 5, 6)",
    ),
    ("dlcourse.geometry", "output size rounded up", "- span) // stride + 1", "- span + stride - 1) // stride + 1"),
    ("dlcourse.geometry", "one bias a kernel position", "* outputs + outputs", "* outputs + kernel * kernel"),
    ("dlcourse.geometry", "stride applied before its own layer", "        field += ", "        jump *= stride\n        field += "),
    ("dlcourse.numpy.layers", "batch norm that never leaves training", "self.training, self.momentum", "True, self.momentum"),
    ("dlcourse.numpy.layers", "a frozen batch norm that goes on learning its statistics", "mode and not self.weight.frozen", "mode"),
    ("dlcourse.numpy.module", "what is frozen still trains", " if not p.frozen]", "]"),
    (
        "dlcourse.numpy.functional",
        "running variance biased",
        "(variance * (count / (count - 1)) - running_var)",
        "(variance - running_var)",
    ),
    (
        "dlcourse.numpy.functional",
        "momentum the other way round",
        "momentum * (mean - running_mean)",
        "(1 - momentum) * (mean - running_mean)",
    ),
    (
        "dlcourse.numpy.functional",
        "batch norm's statistics taken as constants",
        "        if training:\n            dx = centred",
        "        if False:\n            dx = centred",
    ),
    ("dlcourse.numpy.functional", "batch norm without the path through the mean", "            dx -= dbias / count\n", ""),
    (
        "dlcourse.numpy.functional",
        "layer norm without the path through the mean",
        "        dx -= (dx @ share)[:, None]\n",
        "",
    ),
    (
        "dlcourse.numpy.functional",
        "eps outside the root",
        "scale = 1.0 / np.sqrt(variance + eps)",
        "scale = 1.0 / (np.sqrt(variance) + eps)",
    ),
    (
        "dlcourse.numpy.functional",
        "soft targets summed, not averaged",
        "        dz -= q\n        dz *= dloss / len(q)\n",
        "        dz -= q\n        dz *= dloss\n",
    ),
    ("dlcourse.numpy.functional", "soft targets averaged over classes too", "-np.sum(q * log_p) / len(q)", "-np.mean(q * log_p)"),
    ("dlcourse.numpy.functional", "GELU's cube without its 3", "dx *= 3.0 * GELU_CUBE", "dx *= GELU_CUBE"),
    (
        "dlcourse.numpy.mlp",
        "the activation before the norm",
        "            if self.norms:\n                z, norm_back = self.norms[i](z)\n                backs.append(norm_back)\n"
        "            a, activation_back = activation(z)\n            h, dropout_back = f.dropout(a, self.config.dropout, rng)\n"
        "            backs += [activation_back, dropout_back]\n",
        "            a, activation_back = activation(z)\n            backs.append(activation_back)\n            if self.norms:\n"
        "                a, norm_back = self.norms[i](a)\n                backs.append(norm_back)\n"
        "            h, dropout_back = f.dropout(a, self.config.dropout, rng)\n            backs.append(dropout_back)\n",
    ),
    ("dlcourse.numpy.mlp", "backward in the order of forward", "for back in reversed(backs[1:]):", "for back in backs[1:]:"),
    ("dlcourse.numpy.mlp", "activation after the last layer", "self.layers[-1](h)  # (B, O)", "self.layers[-1](activation(h)[0])"),
    (
        "dlcourse.numpy.mlp",
        "dropout before the activation",
        "            a, activation_back = activation(z)\n            h, dropout_back = f.dropout(a, self.config.dropout, rng)\n",
        "            a, dropout_back = f.dropout(z, self.config.dropout, rng)\n            h, activation_back = activation(a)\n",
    ),
    ("dlcourse.numpy.mlp", "gradient of the input flat", "else dx.reshape(x.shape)", "else dx"),
    ("dlcourse.initial", "gain 1 before a ReLU", '{"relu": 2.0', '{"relu": 1.0'),
    (
        "dlcourse.initial",
        "gain 2 for the last layer",
        "GAINS.get(config.activation, 1.0) if is_hidden else 1.0",
        "GAINS.get(config.activation, 1.0)",
    ),
    (
        "dlcourse.initial",
        "variance by the outputs",
        "gain / inputs, dtype)\n        if hidden",
        "gain / outputs, dtype)\n        if hidden",
    ),
    ("dlcourse.initial", "a standard deviation of gain / I", "rng.normal(0.0, math.sqrt(variance),", "rng.normal(0.0, variance,"),
    ("dlcourse.initial", "weights (I, O)", "(outputs, inputs), gain", "(inputs, outputs), gain"),
    ("dlcourse.initial", "kernels OIHW", "(outputs, size, size, inputs)", "(outputs, inputs, size, size)"),
    ("dlcourse.initial", "variance of a kernel by its channels alone", "gain / (size * size * inputs)", "gain / inputs"),
    ("dlcourse.initial", "variance of a kernel by its side", "gain / (size * size * inputs)", "gain / (size * inputs)"),
    ("dlcourse.initial", "gain 2 for a projection", "outputs, 1, inputs, 1.0)", "outputs, 1, inputs, 2.0)"),
    ("dlcourse.numpy.cnn", "backward in the order of forward", "for back in reversed(backs[1:]):", "for back in backs[1:]:"),
    (
        "dlcourse.numpy.cnn",
        "the maps flattened channels first",
        "h = h.reshape(len(h), -1)",
        "h = h.transpose(0, 3, 1, 2).reshape(len(h), -1)",
    ),
    ("dlcourse.numpy.cnn", "the gradient left flat", "dh.reshape(maps)", "dh"),
    (
        "dlcourse.numpy.cnn",
        "the activation's way back forgotten",
        "backs.append(back)",
        "backs.append((lambda dh: dh) if step is activation else back)",
    ),
    (
        "dlcourse.numpy.cnn",
        "every activation after the pooling",
        'self.config.pool == "max" and self.config.activation == "relu"',
        "True",
    ),
    ("dlcourse.numpy.cnn", "one padding for all", "padding=p)", "padding=config.padding[0])"),
    ("dlcourse.numpy.cnn", "activation after the last layer", "self.layers[-1](h)  # (B, O)", "self.layers[-1](activation(h)[0])"),
    ("dlcourse.numpy.resnet", "the skip's gradient forgotten", "return dx + dz if self.skip else dx", "return dx"),
    (
        "dlcourse.numpy.resnet",
        "the skip's gradient without the last ReLU",
        "return dx + dz if self.skip else dx",
        "return dx + dy if self.skip else dx",
    ),
    ("dlcourse.numpy.resnet", "the projection's gradient forgotten", "return dx + project_back(project_norm_back(dz))", "return dx"),
    ("dlcourse.numpy.resnet", "the projection taken for the identity", "return dx + project_back(project_norm_back(dz))", "return dx + dz"),
    (
        "dlcourse.numpy.resnet",
        "the projection's norm forgotten on the way back",
        "project_back(project_norm_back(dz))",
        "project_back(dz)",
    ),
    (
        "dlcourse.numpy.resnet",
        "norm and convolution exchanged on the way back",
        "conv_2_back(norm_2_back(dz))",
        "norm_2_back(conv_2_back(dz))",
    ),
    ("dlcourse.numpy.resnet", "the first ReLU forgotten on the way back", "relu_1_back(dh)", "dh"),
    ("dlcourse.numpy.resnet", "ReLU before the sum", "z, norm_2_back = self.norm_2(z)\n", "z, norm_2_back = self.norm_2(f.relu(z)[0])\n"),
    (
        "dlcourse.numpy.resnet",
        "both convolutions strided",
        "self.conv_2 = Conv2d(outputs, outputs, 3, padding=1, bias=bias)",
        "self.conv_2 = Conv2d(outputs, outputs, 3, stride, padding=1, bias=bias)",
    ),
    (
        "dlcourse.numpy.resnet",
        "a projection where only the stride changes forgotten",
        "(stride > 1 or inputs != outputs)",
        "inputs != outputs",
    ),
    ("dlcourse.numpy.resnet", "one norm for both convolutions", "self.norm_2(z)", "self.norm_1(z)"),
    ("dlcourse.numpy.resnet", "blocks' way back in the order of forward", "for back in reversed(backs[1:]):", "for back in backs[1:]:"),
    (
        "dlcourse.numpy.resnet",
        "pooling and norm exchanged on the way back",
        "conv_back(pool_back(norm_back(relu_back(dy))))",
        "conv_back(pool_back(relu_back(dy)))",
    ),
    ("dlcourse.numpy.resnet", "pooling of two pixels, whatever the stride", "MaxPool2d(stride)", "MaxPool2d(2)"),
    ("dlcourse.numpy.attention", "scores not scaled", "scale = 1.0 / math.sqrt(q.shape[-1])\n    q_scaled", "scale = 1.0\n    q_scaled"),
    (
        "dlcourse.numpy.attention",
        "softmax over the queries",
        "p.sum(axis=2, keepdims=True)\n    w,",
        "p.sum(axis=3, keepdims=True)\n    w,",
    ),
    (
        "dlcourse.numpy.attention",
        "softmax's way back without the sum",
        "        ds *= p\n        dq = np",
        "        ds = p * v @ turned(dy)\n        dq = np",
    ),
    (
        "dlcourse.numpy.attention",
        "a causal mask that counts from the first key",
        "keys - queries, dtype=bool) if causal",
        "0, dtype=bool) if causal",
    ),
    (
        "dlcourse.numpy.attention",
        "each position hidden from itself",
        "keys - queries, dtype=bool) if causal",
        "keys - queries - 1, dtype=bool) if causal",
    ),
    ("dlcourse.numpy.attention", "dq not scaled", "        dq *= scale\n        return", "        return"),
    (
        "dlcourse.numpy.attention",
        "heads mixed up with positions",
        "self.heads, -1).swapaxes(1, 2)",
        "self.heads, -1).reshape(len(x), self.heads, x.shape[1], -1)",
    ),
    ("dlcourse.numpy.attention", "the rotation not turned back", "turn(dy, -sin)", "turn(dy, sin)"),
    ("dlcourse.numpy.attention", "rotary positions without the cache's length", "start = cache.length if cache else 0", "start = 0"),
    ("dlcourse.numpy.attention", "values rotated", "self._split(v)\n", "_rope(self._split(v))[0] if rope else self._split(v)\n"),
    ("dlcourse.numpy.attention", "earlier blocks not rescaled", "weighted = weighted * shrink +", "weighted = weighted +"),
    ("dlcourse.numpy.transformer", "the skip around the perceptron forgotten", "dr = dy + ln_mlp_back", "dr = ln_mlp_back"),
    ("dlcourse.numpy.transformer", "the skip around attention forgotten", "dx = dr + ln_1_back", "dx = ln_1_back"),
    (
        "dlcourse.numpy.transformer",
        "norm and attention exchanged on the way back",
        "ln_1_back(attn_back(dr))  #",
        "attn_back(ln_1_back(dr))  #",
    ),
    ("dlcourse.numpy.transformer", "the norm before the sum", "r, ln_1_back = self.ln_1(x + a)", "r, ln_1_back = self.ln_1(a)"),
    ("dlcourse.numpy.gpt", "a tied head that keeps its gradient", "self.tok.weight.grad += dweight", "pass"),
    (
        "dlcourse.numpy.gpt",
        "a tied head that overwrites the gradient",
        "self.tok.weight.grad += dweight",
        "self.tok.weight.grad[...] = dweight",
    ),
    ("dlcourse.numpy.gpt", "not causal", '"causal": True', '"causal": False'),
    ("dlcourse.numpy.gpt", "positions that begin anew behind a cache", "np.arange(start, start + x.shape[1])", "np.arange(x.shape[1])"),
    ("dlcourse.numpy.gpt", "the mean over sequences for the positions' gradient", "dh.sum(axis=0)", "dh.mean(axis=0)"),
    (
        "dlcourse.numpy.autograd",
        "a gradient that overwrites",
        "shares[parent] + share if parent in shares else share",
        "share",
    ),
    (
        "dlcourse.numpy.autograd",
        "in the order of the program",
        "node = nodes.pop()  #",
        "node = nodes.pop(0)  #",
    ),
    (
        "dlcourse.numpy.autograd",
        "two parents that share one array",
        "shares[parent] = shares[parent] + share if parent in shares else share",
        "shares[parent] = np.add(shares[parent], share, out=shares[parent]) if parent in shares else share",
    ),
    ("dlcourse.numpy.autograd", "a broadcast that is averaged", "np.sum(dy, axis=tuple(i for", "np.mean(dy, axis=tuple(i for"),
    ("dlcourse.numpy.autograd", "a tape that is kept", "if not retain:", "if False:"),
    ("dlcourse.numpy.autograd", "a refusal that comes late", "if any(node.vjp is _let_go for node in nodes):", "if False:"),
    ("dlcourse.count", "a bias beside a batch norm", 'bias=norm != "batch" or i == last', "bias=True"),
    ("dlcourse.count", "multiplications alone", "2 * inputs * outputs)", "inputs * outputs)"),
    ("dlcourse.count", "the projection behind the first convolution", 'b}.project_norm", before,', 'b}.project_norm", sides,'),
    *[
        ("dlcourse.initial", f"the same seed for all {kind}s", text, text.replace("(seed)", "(0)"))
        for kind, text in [
            ("MLP", "config, np.random.default_rng(seed), dtype"),
            ("CNN", "rng = np.random.default_rng(seed)\n"),
            ("ResNet", "rng, state = np.random.default_rng(seed), {}"),
        ]
    ],
    ("dlcourse.numpy.recurrent", "back-propagation through time, first to last", "in reversed(range(time))", "in range(time)"),
    ("dlcourse.numpy.recurrent", "back-propagation that stays in its step", "dh = dh + dr[t] @ weight_hh", "dh = dh"),
    ("dlcourse.numpy.recurrent", "the loss of a step overwrites what comes from later", "(dh + dy[:, t], *dc)", "(dy[:, t], *dc)"),
    ("dlcourse.numpy.recurrent", "the cell's gradient without that of the step after", "        dc += dc_new", "        dc += 0"),
    ("dlcourse.numpy.recurrent", "the states after, not before, in dW_hh", "h[:-1].reshape(-1, hidden)", "h[1:].reshape(-1, hidden)"),
    ("dlcourse.numpy.recurrent", "a GRU that keeps where it should renew", "    h_new = h - n\n", "    h_new = n - h\n"),
    ("dlcourse.numpy.rnn", "a classifier that reads the first state", "h = h[:, -1]  #", "h = h[:, 0]  #"),
    ("dlcourse.differences", "two steps divided by one", "_step(up[i] - down[i], h)", "_step(up[i] - x[i], h)"),
    ("dlcourse.differences", "a real step in the place of an imaginary one", "1j * h)", "h)"),
    ("dlcourse.differences", "the step asked for, not the one that rounding leaves", "    return made\n", "    return abs(h)\n"),
    ("dlcourse.operations", "multiplications counted, additions not", "count = 2 * plain", "count = plain"),
    ("dlcourse.operations", "a gradient's zeros between strides multiplied, too", "shapes[0] if is_flipped else made", "made"),
    ("dlcourse.numpy.losses", "Huber's slope not clipped", "return clipped * (dloss", "return residual * (dloss"),
    ("dlcourse.numpy.losses", "the hinge without its flat side", "sign * (slack > 0) *", "sign *"),
    ("dlcourse.numpy.losses", "the slope of the focal weight forgotten", "(gamma * p * log_p - q)", "-q"),
    ("dlcourse.numpy.losses", "1 - p of the rounded p", "f.sigmoid(-u)[0]", "1 - np.exp(log_p)"),
    ("dlcourse.numpy.losses", "the divergence the other way round", "q * (log_q - log_p)", "np.exp(log_p) * (log_p - log_q)"),
    ("dlcourse.numpy.losses", "the entropy of the targets left in", "q * (log_q - log_p)", "-q * log_p"),
    ("dlcourse.numpy.losses", "the mean over classes, too", "np.sum(q * (log_q - log_p)) / len(q)", "np.mean(q * (log_q - log_p))"),
    (
        "dlcourse.metrics.classes",
        "precision divided by the true ones",
        '_ratio(hits, called, "precision")',
        '_ratio(hits, there, "precision")',
    ),
    ("dlcourse.metrics.classes", "confusion transposed", "labels * classes + predicted, min", "predicted * classes + labels, min"),
    ("dlcourse.metrics.ranking", "ties ranked by the last of them", "(np.cumsum(count) - (count - 1) / 2)", "np.cumsum(count)"),
    (
        "dlcourse.metrics.ranking",
        "a point for every example, equal scores too",
        "ordered[1:] != ordered[:-1]",
        "ordered[1:] == ordered[1:]",
    ),
    (
        "dlcourse.metrics.calibration",
        "an edge belongs to the bin above",
        "np.searchsorted(edges[1:-1], p)",
        'np.searchsorted(edges[1:-1], p, "right")',
    ),
    ("dlcourse.metrics.calibration", "the Brier parts without what lies within", "np.mean(dp * dp - 2 * dp * positive)", "0 * np.mean(dp)"),
    (
        "dlcourse.metrics.uncertainty",
        "a bootstrap without replacement",
        "rng.integers(0, len(group), len(group))",
        "rng.permutation(len(group))",
    ),
    ("dlcourse.metrics.uncertainty", "one-sided McNemar", "2 * tail / 2**n", "tail / 2**n"),
    ("dlcourse.metrics.uncertainty", "a permutation test that may give zero", "extreme / (rounds + 1)", "(extreme - 1) / rounds"),
    ("dlcourse.metrics.uncertainty", "one answer exchanged, not both", "np.where(swap, a, b)", "b"),
    ("dlcourse.data.folds", "folds of neighbours", "order = rng.permutation(len(labels))", "order = np.arange(len(labels))"),
    ("dlcourse.data.scaling", "each part scaled by itself", "- self.mean)", "- np.mean(x, axis=0))"),
    (
        "dlcourse.data.augment",
        "one shift for all images of a batch",
        "rng.integers(0, 2 * self.padding + 1, size=(2, n))",
        "np.repeat(rng.integers(0, 2 * self.padding + 1, size=(2, 1)), n, axis=1)",
    ),
    ("dlcourse.data.augment", "images upside down", "x[chosen, :, ::-1]", "x[chosen, ::-1]"),
    (
        "dlcourse.data.augment",
        "a square that keeps clear of the border",
        "rng.integers(0, height, size=n)",
        "rng.integers(self.size // 2, max(height - self.size // 2, self.size // 2 + 1), size=n)",
    ),
    ("dlcourse.data.augment", "images mixed, labels not", "_mix(share, q, q[partner])", "q"),
    ("dlcourse.data.augment", "labels mixed by the other's share", "_mix(share, q, q[partner])", "_mix(1 - share, q, q[partner])"),
    (
        "dlcourse.data.augment",
        "smoothing spread over the other classes",
        "+ self.epsilon / self.classes",
        "+ self.epsilon / (self.classes - 1)",
    ),
    ("dlcourse.data.masking", "marks hidden, too", "ordinary = ~np.isin(x, special)", "ordinary = np.ones(x.shape, bool)"),
    ("dlcourse.data.masking", "a loss of all tokens", "np.where(chosen, x, IGNORED)", "x"),
    ("dlcourse.data.masking", "all that is chosen hidden", "np.where(chosen & (fate < split[0]), mask, x)", "np.where(chosen, mask, x)"),
    (
        "dlcourse.data.batches",
        "examples shuffled, their labels not",
        "self.x[index], self.y[index]",
        "self.x[index], self.y[np.sort(index)]",
    ),
    ("dlcourse.data.batches", "every epoch in one order", "self.rng.permutation", "np.random.default_rng(0).permutation"),
    ("dlcourse.data.text", "targets that are what is read", "all_windows[1::stride]", "all_windows[:-1:stride]"),
    (
        "dlcourse.data.text",
        "targets two tokens on",
        "all_windows[:-1:stride], all_windows[1::stride]",
        "all_windows[:-2:stride], all_windows[2::stride]",
    ),
    ("dlcourse.metrics.language", "perplexity of nats as if they were bits", "else math.exp(loss)", "else 2**loss"),
    ("dlcourse.metrics.language", "bits a token, not a byte", "loss * tokens / (size * math.log(2))", "loss / math.log(2)"),
    ("dlcourse.data.translation", "a decoder that is given what it shall say", "[START, *answer]", "[*answer, STOP]"),
    ("dlcourse.data.translation", "padding that counts", "target), IGNORED, np.int64)", "target), PAD, np.int64)"),
    ("dlcourse.data.translation", "parts that share a target", '= find(("target", target))', '= find(("source", source))'),
    ("dlcourse.text.merges", "words counted once, however often they occur", "sign * times[place]", "sign"),
    ("dlcourse.text.merges", "pairs that overlap", "            i += 2\n", "            i += 1\n"),
    (
        "dlcourse.text.bpe",
        "merges from the left, not the first learned first",
        "min(pairwise(ids), key=lambda pair: self._rank.get(pair, len(self._rank)))",
        "next((pair for pair in pairwise(ids) if pair in self._rank), None)",
    ),
    ("dlcourse.text.wordpiece", "the shortest piece first", "range(len(word), start, -1)", "range(start + 1, len(word) + 1)"),
    ("dlcourse.data.grammar", "an entropy in bits", "np.log(np.where(p > 0, p, 1.0))", "np.log2(np.where(p > 0, p, 1.0))"),
    (
        "dlcourse.data.grammar",
        "a verb that agrees with the noun before it",
        "NOUNS.index(waiting[-1])",
        "NOUNS.index(last.split()[-1] if last.split()[-1] in NOUNS else waiting[-1])",
    ),
    (
        "dlcourse.data.grammar",
        "the mean entropy of all states, however often they are met",
        "self._visits(length) @ _entropies",
        "np.mean(self._visits(length) > 0) * _entropies",
    ),
    ("dlcourse.views", "a mirror image upside down", "part[:, :, ::-1]", "part[:, ::-1]"),
    ("dlcourse.text.characters", "the rarest characters kept", "(-counts[c], c)", "(counts[c], c)"),
    ("dlcourse.text.tokenizer", "the shortest special token that fits", "sorted(self.special, reverse=True)", "sorted(self.special)"),
    ("dlcourse.numpy.learner", "evaluation in the mode of training", "self.model.eval()\n        check_batch", "check_batch"),
    (
        "dlcourse.numpy.learner",
        "workers weighted by their positions, those that do not count among them",
        "float(np.count_nonzero(t[part] != IGNORED) / np.count_nonzero(t != IGNORED))",
        "share",
    ),
    ("dlcourse.numpy.workers", "gradients that pile up", "array[place] = ", "array[place] += "),
    (
        "dlcourse.numpy.workers",
        "the gradient of the last use of a layer",
        "part if self.total is None else self.total + part",
        "part",
    ),
    ("dlcourse.numpy.workers", "gradients of the first worker alone", "[a[place] for a in parts])", "[a[place] for a in parts[:1]])"),
    ("dlcourse.numpy.workers", "masks of its own for each worker", "_Rows(drawn, part, examples)", "drawn"),
    ("dlcourse.numpy.workers", "warnings that the caller silenced", "submit(contextvars.copy_context().run, *call)", "submit(*call)"),
    (
        "dlcourse.positions",
        "first all sines, then all cosines",
        "table[:, 0::2], table[:, 1::2]",
        "table[:, : width // 2], table[:, width // 2 :]",
    ),
    ("dlcourse.positions", "frequencies of i, not of 2 i", "np.arange(0, width, 2) / width", "np.arange(width // 2) / width"),
    ("dlcourse.positions", "slopes that begin with one", "np.arange(1, heads + 1)", "np.arange(heads)"),
    (
        "dlcourse.generate",
        "logits times the temperature",
        "np.asarray(logits, np.float64) / temperature",
        "np.asarray(logits, np.float64) * temperature",
    ),
    ("dlcourse.generate", "the token that reaches p left out", "sums[:, :-1] >= top_p", "sums[:, 1:] >= top_p"),
    ("dlcourse.generate", "a draw that rounding sends beyond the vocabulary", " * sums[:, -1:]\n", "\n"),
    ("dlcourse.generate", "short translations favoured", "sums / np.repeat(penalty(length, length_penalty), config.vocab, axis=1)", "sums"),
    (
        "dlcourse.generate",
        "ended translations that go on",
        "            next_logp[ended] = -np.inf\n            next_logp[ended, config.pad] = 0.0  # what has ended stays as it is\n",
        "",
    ),
    ("dlcourse.generate", "the caches of other hypotheses", "cache.select((np.arange(rows)[:, None] * beams + parent).ravel())", "pass"),
    (
        "dlcourse.check.gradient",
        "a cotangent of ones",
        "np.random.default_rng([seed, STREAM]).normal(size=np.shape(y))",
        "np.ones(np.shape(y))",
    ),
    (
        "dlcourse.check.gradient",
        "a cotangent that is the reader's data",
        "np.random.default_rng([seed, STREAM]).normal(size=np.shape(y))",
        "np.random.default_rng(seed).normal(size=np.shape(y))",
    ),
    ("dlcourse.check.gradient", "one wrong entry lost among many", "np.linalg.norm(found * v)", "np.abs(found * v).sum()"),
]


def run(name, source, function=None, seconds=60.0):
    """Whether a mutant of the module survives; one that takes longer than `seconds` may never end, and is found."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return survives(lambda: MODULES[name](build(name, source), function), seconds)


def check_every_small_error(name):
    module = importlib.import_module(name)
    begin = time.process_time()
    MODULES[name](module)  # the real one passes
    seconds = 0.5 + 5 * (time.process_time() - begin)
    mutants = syntax_mutants(inspect.getsource(module))
    survived = {(name, function, what) for function, what, tree in mutants if run(name, tree, function, seconds)}
    listed = {key for key in EQUIVALENT if key[0] == name}
    assert not survived - listed, f"of {len(mutants)} mutants no check finds {sorted(survived - listed)}"
    assert not listed - survived, f"listed as equivalent, but found or no longer made: {sorted(listed - survived)}"
    print(f"{name}: {len(mutants)} mutants, {len(mutants) - len(survived)} killed, {len(survived)} equivalent")


def check_famous_error(name, what, old, new):
    assert not run(name, replaced(importlib.import_module(name), old, new)), f"no check finds: {what}"


def of(core):
    """Two decorators, for the names of modules and for famous errors: of the NumPy core, or of the rest."""
    famous = [error for error in FAMOUS if error[0].startswith(CORE) == core]
    each_module = pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(CORE) == core])
    each_error = pytest.mark.parametrize(("name", "what", "old", "new"), famous, ids=[what for _, what, _, _ in famous])
    return each_module, each_error

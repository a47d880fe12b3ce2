"""Exercises that answer back: `check.softmax(softmax)` prints one line a case and names the likely cause of a known wrong answer.

A check never changes the caller's arrays and takes functions written with NumPy, PyTorch or MLX.
`check.use("softmax", softmax)` puts a function that passed its check in the place of the package's own."""

from dlcourse.check.attention import attend, attention_backward, merge_halves, rotate
from dlcourse.check.autograd import (
    checkpoint_cost,
    graph_gradient,
    linear_jvp,
    logits_hessian_vector,
    tape_gradient,
)
from dlcourse.check.bert import best_span, hidden_loss, hide_tokens
from dlcourse.check.cnn import (
    batched_accuracy,
    cnn_parameters,
    crop_images,
    reorder_columns,
    soft_cross_entropy,
)
from dlcourse.check.convolution import (
    conv1d,
    conv1d_backward,
    conv2d_forward,
    max_pool_backward,
    output_size,
)
from dlcourse.check.engine import Case, Diagnosis, Exercise, Result, exercise
from dlcourse.check.evaluation import (
    calibration_gap,
    paired_bootstrap,
    precision_recall_f1,
    rank_auc,
    standardize_split,
)
from dlcourse.check.frameworks import (
    next_scale,
    round_to_bfloat16,
    seconds_per_call,
    to_oihw,
)
from dlcourse.check.gpt import (
    gpt_parameters,
    next_token_pairs,
    nucleus,
    perplexity,
    top_k_probabilities,
)
from dlcourse.check.gradient import gradient
from dlcourse.check.large import (
    bottleneck_parameters,
    gpt_training_flops,
    token_seconds,
    training_bytes,
    training_flops,
)
from dlcourse.check.losses import focal, huber, kl, log_sum_exp
from dlcourse.check.mlp import (
    central_difference,
    cross_entropy,
    linear_backward,
    mlp_backward,
    output_error,
    parameter_count,
    relu_backward,
    sgd_momentum,
    sigmoid,
    softmax,
)
from dlcourse.check.norms import batch_norm_predict, dead_units, layer_norm, layer_norm_backward
from dlcourse.check.optimizers import (
    adam_step,
    batch_noise,
    best_momentum,
    lion_step,
    orthogonalize,
)
from dlcourse.check.recurrent import clip_together, elman_backward, lstm_step
from dlcourse.check.regularization import bias_variance, ridge_weights, soft_threshold, stop_early
from dlcourse.check.resnet import block_parameters, fold_norm, residual_backward
from dlcourse.check.tokenization import bits_per_byte, encode_bytes, merge_pair
from dlcourse.check.transfer import l2_sp_step, probe_gradient, trained_parameters
from dlcourse.check.transformer import (
    beam_step,
    mlp_branch_backward,
    shift_right,
    transformer_parameters,
)
from dlcourse.check.use import restore, use
from dlcourse.check.vectors import chain_cost, complex_step, gradient_error, sum_to_shape

EXERCISES = {
    e.name: e
    for e in (
        sigmoid,
        softmax,
        linear_backward,
        relu_backward,
        cross_entropy,
        output_error,
        mlp_backward,
        central_difference,
        parameter_count,
        sgd_momentum,
        output_size,
        conv1d,
        conv1d_backward,
        conv2d_forward,
        max_pool_backward,
        layer_norm,
        layer_norm_backward,
        batch_norm_predict,
        dead_units,
        cnn_parameters,
        reorder_columns,
        soft_cross_entropy,
        crop_images,
        batched_accuracy,
        block_parameters,
        residual_backward,
        fold_norm,
        trained_parameters,
        probe_gradient,
        l2_sp_step,
        lstm_step,
        elman_backward,
        clip_together,
        transformer_parameters,
        shift_right,
        mlp_branch_backward,
        beam_step,
        attend,
        attention_backward,
        rotate,
        merge_halves,
        bits_per_byte,
        merge_pair,
        encode_bytes,
        next_token_pairs,
        perplexity,
        top_k_probabilities,
        nucleus,
        gpt_parameters,
        hide_tokens,
        hidden_loss,
        best_span,
        chain_cost,
        sum_to_shape,
        gradient_error,
        complex_step,
        log_sum_exp,
        huber,
        kl,
        focal,
        tape_gradient,
        graph_gradient,
        linear_jvp,
        logits_hessian_vector,
        checkpoint_cost,
        training_flops,
        training_bytes,
        bottleneck_parameters,
        gpt_training_flops,
        token_seconds,
        round_to_bfloat16,
        to_oihw,
        next_scale,
        seconds_per_call,
        batch_noise,
        best_momentum,
        adam_step,
        lion_step,
        orthogonalize,
        standardize_split,
        precision_recall_f1,
        rank_auc,
        calibration_gap,
        paired_bootstrap,
        soft_threshold,
        ridge_weights,
        bias_variance,
        stop_early,
    )
}

__all__ = [
    "EXERCISES",
    "Case",
    "Diagnosis",
    "Exercise",
    "Result",
    "exercise",
    "gradient",
    "restore",
    "use",
    *EXERCISES,
]

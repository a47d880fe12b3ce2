"""Every check is proven: right answers pass, every wrong one fails with its own diagnosis, a stub passes nothing."""

import functools
import inspect
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from dlcourse import check
from tests.check import numpy_answers
from tests.check.solutions import mlx_solutions, numpy_solutions, torch_solutions
from tests.mutation import build, syntax_mutants

NAMES = list(check.EXERCISES)
EQUIVALENT = {  # small changes that change nothing
    ("mlp_backward", "zip(x, labels, strict=True) -> zip(x, labels)"),
    ("mlp_backward", "zip(gradients, pieces, strict=True) -> zip(gradients, pieces)"),
    ("mlp_backward", "True -> False"),
    ("mlp_backward", "True -> False (number 2)"),
    ("mlp_backward", "z1 > 0 -> z1 >= 0 (number 2)"),  # z1 * (z1 >= 0) is relu, too
    ("mlp_backward", "z1 > 0 -> z1 >= 0 (number 3)"),
}


@functools.cache
def unproven(name):
    """What is not as it must be, one sentence each; an empty list proves the check."""
    exercise, found = check.EXERCISES[name], []
    for kind, solution in {"reference": exercise.reference, "other formulas": numpy_solutions()[name]}.items():
        result = exercise.examine(solution)
        if not result.passed or result.causes:
            found.append(f"{kind} fails: {result.lines}")
    for diagnosis in exercise.diagnoses:
        for number, wrong in enumerate(diagnosis.wrong):
            result = exercise.examine(wrong)
            if result.passed:
                found.append(f"a wrong solution passes ({number}): {diagnosis.text}")
            elif result.causes != [diagnosis.text]:
                found.append(f"diagnosed as {result.causes} ({number}): {diagnosis.text}")
    for stub in stubs(len(exercise.arguments)):
        result = exercise.examine(stub)
        if result.passed or result.attempted or result.lines != [f"{name}: not attempted yet"]:
            found.append(f"a stub is answered with {result.lines}")
    return found


def stubs(count):
    """What a reader has before they begin, for a function of `count` arguments."""
    arguments = ", ".join(f"a{i}" for i in range(count))
    bodies = (
        "...",
        "pass",
        "return None",
        "return ...",
        "raise NotImplementedError",
        "raise NotImplementedError('your turn')",
        "'''text'''",
        "y = ...; return y / y.sum()",
        "y = ...; return y, y, y",
        "y = ...; return y[0] + 1",
    )
    for body in bodies:
        scope = {}
        exec(f"def stub({arguments}):\n    {body}", scope)
        yield scope["stub"]


@pytest.mark.parametrize("name", NAMES)
def test_check_is_proven(name):
    assert unproven(name) == []


def test_count_of_proven_checks_is_recorded(pytestconfig):
    proven = [name for name in NAMES if not unproven(name)]
    folder = Path(pytestconfig.rootpath) / "_build"
    folder.mkdir(exist_ok=True)
    wrong = sum(len(diagnosis.wrong) for name in proven for diagnosis in check.EXERCISES[name].diagnoses)
    (folder / "checks.json").write_text(json.dumps({"exercises": len(proven), "wrong_solutions": wrong}) + "\n", encoding="utf-8")
    assert proven == NAMES
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_diagnoses_have_texts_of_their_own(name):
    exercise = check.EXERCISES[name]
    texts = [diagnosis.text for diagnosis in exercise.diagnoses]
    assert len(set(texts)) == len(texts) >= 6
    assert all(
        text.endswith(".") and "\n" not in text and diagnosis.wrong for text, diagnosis in zip(texts, exercise.diagnoses, strict=True)
    )
    assert exercise.__doc__.startswith(f"{name}({', '.join(exercise.arguments)}) -> ")


@pytest.mark.parametrize("name", NAMES)
def test_torch_solution_passes(name):
    result = check.EXERCISES[name].examine(torch_solutions()[name])
    assert result.passed, result.lines
    assert result.lines[-1].endswith("cases ok (torch)") or name == "central_difference"  # found out by the check


@pytest.mark.parametrize("name", NAMES)
def test_mlx_solution_passes(name):
    result = check.EXERCISES[name].examine(mlx_solutions()[name])
    assert result.passed, result.lines
    assert result.lines[-1].endswith("cases ok (mlx)")


def test_every_small_error_in_a_right_answer_is_found():
    mutants = syntax_mutants(inspect.getsource(numpy_answers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        survivors = {
            (name, what) for name, what, tree in mutants if check.EXERCISES[name].examine(getattr(build("mutant", tree), name)).passed
        }
    assert {name for name, _, _ in mutants} == set(NAMES)
    assert survivors == EQUIVALENT


def wrong_answers(framework):
    """A typical wrong answer in another framework, and a word of its diagnosis."""
    if framework == "torch":
        import torch as t

        log, where, largest = t.log, t.where, lambda z: z.amax(-1, keepdim=True)
    else:
        import mlx.core as t

        log, where, largest = t.log, t.where, lambda z: z.max(-1, keepdims=True)

    def softmax_overflow(z):
        return t.exp(z) / t.exp(z).sum(-1)[..., None]

    def softmax_axis(z):
        e = t.exp(z - largest(z)) if z.shape[0] else z
        return e / e.sum(0)

    def linear_transposed(x, weight, dy):
        return t.matmul(dy, weight.T), dy.T @ x, dy.sum(0)

    def relu_at_zero(x, dy):
        return where(x >= 0, dy, 0 * dy)

    def entropy_log_of_zero(logits, labels):
        p = t.softmax(logits, -1)
        onehot = t.eye(logits.shape[1], dtype=logits.dtype)[labels]
        return -log((p * onehot).sum(-1)).mean(), (p - onehot) / len(labels)

    def momentum_reset(weight, gradient, velocity, lr, momentum):
        return t.subtract(weight, lr * gradient), gradient

    def difference_of_squares(x, weight, bias, eps):
        m = x.mean(-1)[..., None]
        return weight * (x - m) / t.sqrt((x**2).mean(-1)[..., None] - m**2 + eps) + bias

    return [
        ("layer_norm", difference_of_squares, "float32 has rounded the variance away"),
        ("softmax", softmax_overflow, "exp(1000) overflows"),
        ("linear_backward", linear_transposed, "dx = dy W, without transpose"),
        ("relu_backward", relu_at_zero, "x >= 0"),
        ("cross_entropy", entropy_log_of_zero, "log(0) is -inf"),
        ("sgd_momentum", momentum_reset, "starts anew"),
    ]


@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_wrong_answers_of_other_frameworks_are_recognised(framework):
    for name, fn, words in wrong_answers(framework):
        result = check.EXERCISES[name].examine(fn)
        assert not result.passed
        assert len(result.causes) == 1, (name, result.lines)
        assert words in result.causes[0]
        assert result.lines[-1].endswith(f"({framework})")


def test_two_mistakes_get_two_causes():
    def linear_backward(x, weight, dy):
        return dy @ weight, x.T @ dy, dy.mean(axis=0)

    result = check.linear_backward.examine(linear_backward)
    assert [cause.split(".")[0] for cause in result.causes] == ["dweight is transposed", "dbias is the mean over the batch"]


def test_the_simpler_of_two_causes_is_told():
    def cross_entropy(logits, labels):  # a sum over the batch, and log(0); p[:, labels] would give log(0) as well
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        return -np.log(p[rows, labels]).sum(), (p - np.eye(p.shape[1])[labels]) / len(labels)

    result = check.cross_entropy.examine(cross_entropy)
    assert [cause.split(".")[0] for cause in result.causes] == [
        "the loss is the sum over the batch",
        "p of the right class rounds to 0, and log(0) is -inf",
    ]


def test_a_right_value_with_a_warning_is_called_right():
    def output_error(logits, targets):
        return (1 / (1 + np.exp(-logits)) - targets) / len(logits)

    result = check.output_error.examine(output_error)
    words = "has the right value, but warns: overflow encountered in exp"
    assert f"output_error: sure and right FAILED: output_error([1000, -1000], [1, 0]) {words}" in result.lines
    assert [cause.split(" ")[0] for cause in result.causes] == ["len(logits)", "1"]


def test_an_epsilon_too_small_to_see_is_told():
    def cross_entropy(logits, labels):
        loss, dlogits = check.cross_entropy.reference(logits, labels)
        return loss + 6e-8, dlogits

    assert (
        "cross_entropy: loss FAILED: loss is 2.95 only up to a relative error of 2e-08" in check.cross_entropy.examine(cross_entropy).lines
    )


def test_an_unknown_mistake_gets_no_cause():
    result = check.softmax.examine(lambda z: 0.3 * np.cos(z))
    assert not result.passed
    assert result.causes == []
    assert not any("likely cause" in line for line in result.lines)


def test_one_of_several_results_is_named():
    right = check.cross_entropy.reference
    result = check.cross_entropy.examine(lambda logits, labels: (min(right(logits, labels)[0], 30.0), right(logits, labels)[1]))
    assert "cross_entropy: sure and wrong FAILED: cross_entropy([[1000, 0]], [1]) gives loss 30, should be 1000" in result.lines

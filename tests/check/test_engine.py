"""What the reader sees: one line a case, the same on every run; their arrays and their notebook stay as they are."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from dlcourse import check
from dlcourse.check import answer
from dlcourse.check.compare import close, contrast, text


def good(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def naive(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


GOOD = """\
softmax: signature ok
softmax: shape ok
softmax: rows sum to 1 ok
softmax: values ok
softmax: as many rows as classes ok
softmax: three axes ok
softmax: empty ok
softmax: ties ok
softmax: overflow ok
softmax: large and close ok
softmax: rows of very different size ok
softmax: arguments unchanged ok
softmax: all 12 cases ok
"""

OVERFLOW = """\
softmax: overflow FAILED: softmax([1000, 0]) is [nan, 0], should be [1, 0]
  likely cause: exp(1000) overflows. Subtract the row maximum first; eq-softmax-shift says why that
    changes nothing.
"""


def test_right_answer_prints_a_line_a_case(capfd):
    result = check.softmax(good)
    assert capfd.readouterr() == (GOOD, "")
    assert result.passed
    assert result.attempted
    assert repr(result) == "<softmax: all 12 cases ok>"


def test_wrong_answer_prints_its_cause(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what the function warns of is caught, not shown
        result = check.softmax(naive)
    out, err = capfd.readouterr()
    assert OVERFLOW in out
    assert out.endswith("softmax: 9 of 12 cases ok\n")
    assert err == ""
    assert not result.passed


def test_stub_prints_one_line(capsys):
    def softmax(z): ...

    check.softmax(softmax)
    assert capsys.readouterr().out == "softmax: not attempted yet\n"


def test_a_notebook_shows_nothing_but_the_lines(tmp_path):
    cells = [
        "from dlcourse import check",
        "def softmax(z):\n    ...",
        "check.softmax(softmax)",
        "check.use('softmax', check.softmax.reference)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": Path(check.__file__).parents[2]}}).execute()
    outputs = [dict(output) for cell in notebook.cells for output in cell.outputs]
    assert outputs == [{"output_type": "stream", "name": "stdout", "text": "softmax: not attempted yet\n"}]


SCRIPT = """
import numpy as np
from dlcourse import check
for name, exercise in check.EXERCISES.items():
    exercise(exercise.reference)
    exercise(exercise.diagnoses[0].wrong[0])
    exercise(exercise.diagnoses[-1].wrong[-1])
"""


def test_output_is_deterministic(capsys):
    exec(SCRIPT, {})
    first = capsys.readouterr().out
    np.random.seed(1)  # noqa: NPY002  (a reader's global seed plays no part)
    exec(SCRIPT, {})
    assert capsys.readouterr().out == first
    fresh = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert fresh.stdout == first
    assert fresh.stderr == ""
    assert not re.search(r"0x[0-9a-f]{4}|/[a-z]+/", first)  # no addresses, no paths
    for line in first.splitlines():
        long = any(len(digits) > 3 for digits in re.findall(r"0\.0*([1-9]\d*)", line))
        pair = re.search(r"is (-?[\d.]+), should be (-?[\d.]+)$", line)
        alike = pair and f"{float(pair[1]):.3g}" == f"{float(pair[2]):.3g}"  # three digits would not tell the two apart
        assert alike or not long, line


def test_checking_leaves_numpy_as_it_was():
    state, settings = np.random.get_state()[1].copy(), np.geterr()  # noqa: NPY002
    check.softmax(naive)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert np.geterr() == settings


# ---------------------------------------------------------------- what goes wrong in the reader's function


def lines_of(exercise, fn, **options):
    return exercise.examine(fn, **options).lines


def test_exception_is_one_line_with_the_readers_code():
    def helper(z):
        return z.no_such_thing()

    def softmax(z):
        return helper(z)

    lines = lines_of(check.softmax, softmax, backend="numpy")
    number = helper.__code__.co_firstlineno + 1
    words = "AttributeError: 'numpy.ndarray' object has no attribute 'no_such_thing'"
    assert lines[1] == f"softmax: shape FAILED: {words}, in line {number}: return z.no_such_thing()"
    assert lines[2] == "softmax: rows sum to 1 FAILED: the same"
    assert len(lines) == 13
    assert all("\n" not in line for line in lines)


def test_exception_without_source_or_message():
    scope = {}
    exec("def softmax(z):\n    raise KeyError", scope)
    assert lines_of(check.softmax, scope["softmax"])[1] == "softmax: shape FAILED: KeyError, in line 2"


def test_long_and_many_lined_messages_are_cut():
    def softmax(z):
        text = "first " * 60 + "\nsecond"
        raise RuntimeError(text)

    line = lines_of(check.softmax, softmax)[1]
    assert "first" in line
    assert "second" not in line
    assert len(line) < 260


def test_exception_in_an_edge_case_only():
    def softmax(z):
        if z.shape[0] == 0:
            raise ValueError("nothing here")
        return good(z)

    lines = lines_of(check.softmax, softmax)
    assert next(line for line in lines if "FAILED" in line).startswith("softmax: empty FAILED: ValueError: nothing here, in line ")
    assert lines[-1] == "softmax: 11 of 12 cases ok"


@pytest.mark.parametrize(
    ("fn", "sentence"),
    [
        (lambda z, axis: z, "it is called as softmax(z), but yours is written softmax(z, axis)"),
        (lambda: 0, "it is called as softmax(z), but yours is written softmax()"),
        (np.ones(3), "pass the function itself, check.softmax(softmax), not ndarray"),
    ],
)
def test_signature(fn, sentence):
    assert lines_of(check.softmax, fn) == [f"softmax: signature FAILED: {sentence}"]


def test_more_arguments_with_defaults_are_welcome():
    def softmax(z, axis=-1):
        return good(z)

    assert check.softmax.examine(softmax).passed


@pytest.mark.parametrize(
    ("fn", "sentence"),
    [
        (lambda z: (good(z), None), "it returns 2 results, but should return y alone"),
        (lambda z: (good(z), z), "it returns 2 results, but should return y alone"),
        (lambda z: "text", "y is of type str, but should be numbers"),
        (lambda z: {"y": 1}, "y is of type dict, but should be numbers"),
        (lambda z: [[1, 2], [3]], "y is of type list, but should be numbers"),
        (lambda z: good(z).sum(axis=-1), "y has shape (3,), should be (3, 4)"),
        (lambda z: print(end=""), "it returns None: is a return missing?"),
    ],
)
def test_answers_of_another_kind(fn, sentence):
    assert lines_of(check.softmax, fn)[1] == f"softmax: shape FAILED: {sentence}"


def test_forgotten_return_is_no_stub():
    def relu_backward(x, dy):
        dx = dy * (x > 0)  # noqa: F841

    assert lines_of(check.relu_backward, relu_backward)[1] == "relu_backward: shape FAILED: it returns None: is a return missing?"


def test_half_done_answers():
    lines = lines_of(check.linear_backward, lambda x, weight, dy: (dy @ weight, None, ...))
    assert lines[1] == "linear_backward: shapes FAILED: dweight is not there yet (it is None)"
    lines = lines_of(check.linear_backward, lambda x, weight, dy: dy @ weight)
    assert lines[1] == "linear_backward: shapes FAILED: it returns one result, but should return dx, dweight, dbias"


def test_empty_arrays_for_each_backend():
    """MLX's own sum of an empty array that it took from NumPy runs without end in every second process."""
    for backend, kinds in (("numpy", ("f8", "i8")), ("torch", ("f8", "i8")), ("mlx", ("f4", "i8"))):
        for given, kind in zip((np.zeros((0, 3)), np.zeros((0, 3), int)), kinds, strict=True):
            array = answer.to_backend(given, backend)
            total = answer.to_numpy(array.sum(0))
            assert answer.to_numpy(array).dtype == kind and total.tolist() == [0, 0, 0], backend


def test_dtypes():
    lines = lines_of(check.relu_backward, lambda x, dy: (dy * (x > 0)).astype(np.float32))
    assert lines[2] == "relu_backward: values FAILED: dx is float32, but the arguments are float64"
    lines = lines_of(check.relu_backward, lambda x, dy: x > 0)
    assert lines[2] == "relu_backward: values FAILED: dx holds True and False (bool), should be floating point"
    assert lines[3].startswith("  likely cause: dy is forgotten")
    lines = lines_of(check.relu_backward, lambda x, dy: (dy * (x > 0)).astype(int))
    assert lines[2] == "relu_backward: values FAILED: dx holds whole numbers (int64), should be floating point"
    assert check.gradient_error.examine(lambda *given: check.gradient_error.reference(*given) or 0).passed  # a number may be a whole one
    lines = lines_of(check.parameter_count, lambda i, h, o: float(check.parameter_count.reference(i, h, o)))
    assert lines[1] == "parameter_count: two hidden layers FAILED: count is float64, should be a whole number"
    lines = check.merge_pair.examine(lambda ids, a, b, new: np.array(check.merge_pair.reference(ids, a, b, new).tolist())).lines
    cure = "an empty list becomes floats unless dtype=int is given"
    assert lines[8] == f"merge_pair: no token FAILED: ids is float64, should be a whole number: {cure}"


def test_changed_arguments_are_found():
    def softmax(z):
        z -= z.max(axis=-1, keepdims=True)
        return good(z)

    lines = lines_of(check.softmax, softmax)
    assert lines[-2:] == ["softmax: arguments unchanged FAILED: the function writes into z", "softmax: 11 of 12 cases ok"]


def test_arguments_are_copies_every_time():
    kept = []

    def softmax(z):
        y = good(z)
        kept.append(z)
        z[...] = 0
        return y

    check.softmax.examine(softmax)
    assert len({id(z) for z in kept}) == len(kept)
    assert check.softmax.examine(good).passed


# ---------------------------------------------------------------- frameworks


def test_backend_can_be_forced_and_is_found_out():
    import torch

    assert check.sigmoid.examine(torch.sigmoid, backend="torch").passed
    assert check.sigmoid.examine(torch.sigmoid).passed  # a builtin mentions no module; it takes tensors only

    def methods(z):
        return z.sigmoid()

    def local(z):
        from torch import sigmoid

        return sigmoid(z)

    def outer(z):
        return local(z)

    for fn in (methods, local, outer):
        assert check.sigmoid.examine(fn).lines[-1] == "sigmoid: all 8 cases ok (torch)"
    with pytest.raises(ValueError, match=r"unknown backend 'jax': choose one of numpy, torch, mlx"):
        check.sigmoid.examine(good, backend="jax")


def test_torch_tensors_that_change_are_found():
    import torch

    def relu_backward(x, dy):
        return dy.mul_(torch.gt(x, 0))

    assert "relu_backward: arguments unchanged FAILED: the function writes into dy" in lines_of(check.relu_backward, relu_backward)


# ---------------------------------------------------------------- comparing and showing


def test_close():
    a = np.array([1.0, np.nan, np.inf])
    assert close(a, a.copy(), 1e-9)
    assert not close(a, np.array([1.0, 0.0, np.inf]), 1e-9)
    assert not close(a, np.array([1.0, np.nan, -np.inf]), 1e-9)
    assert not close(a, a[:2], 1e-9)
    assert not close(np.array([1.0]), np.array([1.0 + 1e-8]), 1e-9)
    assert close(np.zeros((0, 3)), np.zeros((0, 3)), 1e-9)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1000.0, "1000"),
        (0.123456, "0.123"),
        (np.array([[1.0, -0.0], [1e-12, 2.5]]), "[[1, 0], [0, 2.5]]"),
        (np.array([3, 4]), "[3, 4]"),
        (float("nan"), "nan"),
        ((128, 64), "(128, 64)"),
        (109386, "109386"),
    ],
)
def test_numbers_are_shown_with_three_digits(value, shown):
    assert text(value) == shown


@pytest.mark.parametrize(
    ("answer", "right", "shown"),
    [
        (2.41, 1.0, "2.41, should be 1"),
        (2.9541, 2.9534, "2.954, should be 2.953"),
        (2.953412, 2.953436, "2.95341, should be 2.95344"),
        (2.953436 + 6e-8, 2.953436, "2.95 only up to a relative error of 2e-08"),
        (1e-9, 0.0, "0 only up to an error of 1e-09"),
        (np.array([7.0, 2.0002]), np.array([7.0, 2.0]), "[7, 2.0002], should be [7, 2]"),
        (np.array([np.inf, 100.000002]), np.array([np.inf, 100.0]), "[inf, 100] only up to a relative error of 2e-08"),
        (float("nan"), 1.0, "nan, should be 1"),
        (109376, 109386, "109376, should be 109386"),
    ],
)
def test_what_differs_never_looks_the_same(answer, right, shown):
    assert contrast(answer, right) == shown


def test_exercise_shows_its_signature():
    assert repr(check.linear_backward) == "<exercise linear_backward(x, weight, dy) -> dx, dweight, dbias>"

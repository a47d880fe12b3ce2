"""The lint passes a chapter of the right form and names each departure from it."""

import copy

import pytest

from tests.tools.fixtures import code, display, glued, markdown, notebook, stream
from tools import lint, notebooks

BUDGET = {"seconds": 5, "peak_mb": 200}
OPENING = """# Multilayer perceptrons

Which question? After this chapter you will be able to

- name a neuron,
- train a network,
- check a gradient.

Prerequisites: school calculus.

**Budget:** <!-- budget -->about 5 seconds and 200 MB on one CPU core<!-- / -->."""


def exercise(kind, label):
    return f":::{{exercise}} {kind}: something\n:label: {label}\nDo it.\n:::"


def solution(label):
    return f":::{{solution}} {label}\n:class: dropdown\nBecause.\n:::"


def chapter():
    solved = ":::{solution-start} ex-softmax\n:class: dropdown\n:::"
    return notebook(
        markdown(OPENING),
        code("from dlcourse import check\nfrom dlcourse.book import glue", tags=["remove-cell"]),
        markdown("## Background\n\nIn 1958 it began."),
        markdown("## Concepts"),
        markdown("## Math\n\n:::{math}\n:label: eq-linear\ny = x W^T\n:::\n"),
        markdown("## Code\n\nThe accuracy is {glue:text}`accuracy`."),
        code('glue("accuracy", 0.9751, ".3f")', glued("accuracy", "0.975")),
        code("plot()", display(image_png="iVBOR", text_plain="<Figure size 640x480 with 1 Axes>"), alt="Loss against epoch, falling"),
        markdown("## Outlook"),
        markdown("## FAQ\n\n### Why?\n\nSo.\n\n### When?\n\nNow.\n\n### Who?\n\nYou."),
        markdown("## Exercises\n\n" + exercise("Warm-up", "ex-count")),
        markdown(exercise("Derive", "ex-derive") + "\n\n" + exercise("Experiment", "ex-zero")),
        markdown(exercise("Implement", "ex-softmax")),
        code("def softmax(z): ...\n\ncheck.softmax(softmax)", stream("not attempted yet\n")),
        markdown("## Solutions\n\n" + "\n\n".join(solution(label) for label in ("ex-count", "ex-derive", "ex-zero"))),
        markdown(solved),
        code("check.softmax(lambda z: z)", stream("ok\n")),
        markdown(":::{solution-end}\n:::"),
        budget=BUDGET,
    )


@pytest.fixture
def faults(tmp_path):
    def write(change=None, edit=None):
        found = chapter()
        if change:
            cell, old, new = change
            assert old in found.cells[cell].source
            found.cells[cell].source = found.cells[cell].source.replace(old, new)
        if edit:
            edit(found)
        notebooks.write(tmp_path / "mlp.ipynb", found)
        return lint.lint(tmp_path / "mlp.ipynb")

    return write


def one(found, *parts):
    assert len(found) == 1, found
    assert all(part in found[0] for part in parts), found[0]


def test_good_chapter_has_no_fault(faults):
    assert faults() == []


CHANGES = [  # (cell, old, new), words of the one sentence
    ((3, "## Concepts", "### Concepts"), "section 'Concepts' stands there 0 times"),
    ((3, "## Concepts", "## Concepts\n\n## Intermezzo"), "cell 4: section 'Intermezzo'"),
    ((8, "## Outlook", "## Outlook\n\n# Second title"), "2 titles"),
    ((0, "you will be able to", "you know"), "You will be able to"),
    ((0, "- name a neuron,\n", ""), "2 items"),
    ((0, "Prerequisites", "Needed"), "no prerequisites"),
    ((0, "**Budget:** <!-- budget -->about 5 seconds and 200 MB on one CPU core<!-- / -->.", ""), "no place for the budget"),
    ((2, "In 1958", "With 3 tricks"), "cell 3: '3' is typed in prose"),
    ((5, "`accuracy`", "`acuracy`"), "cell 6: 'acuracy' is glued by no cell"),
    ((5, "{glue:text}", "{glue}"), "write {glue:text}"),
    ((5, "is {glue", "is 0.9 <!-- number: no --> {glue"), "gives no reason"),
    ((4, ":::{math}\n:label: eq-linear\ny = x W^T\n:::", "$$y = x$$ (eq-linear)"), "equation label (eq-linear) after $$"),
    ((4, "eq-linear", "linear"), "equation label 'linear'"),
    ((4, "## Math", "## Math\n\n![](a.svg)"), "image without a description"),
    ((4, "## Math", "## Math\n\n:::{figure} a.svg\n:name: fig-a\nText.\n:::"), "{figure} without :alt:"),
    ((9, "### Who?", "Who?"), "2 questions in the FAQ"),
    ((10, "Warm-up:", "Easy:"), "begin its title with"),
    ((10, ":label: ex-count", ":label: ex-counting"), "ex-counting has no {solution}"),
    ((10, ":label: ex-count\n", ""), "has no :label:"),
    ((13, "check.softmax(softmax)", "softmax"), "no code cell after it calls check"),
    ((16, "check.softmax(lambda z: z)", "check"), "does not pass through its check"),
    ((15, ":class: dropdown\n", ""), "not collapsed"),
    ((1, "from dlcourse import check", "\n".join(f"a{i} = {i}" for i in range(16))), "17 lines of code"),
    ((1, "from dlcourse import check", "# NBVAL_SKIP"), "switches nbval's comparison off"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_each_fault_is_named(faults, change, words):
    one(faults(change), words)


def with_output(*outputs, source=None, tags=()):
    def edit(found):
        cell = found.cells[6]
        cell.outputs = [*cell.outputs, *copy.deepcopy(outputs)]
        cell.source = source or cell.source
        cell.metadata["tags"] = list(tags)

    return edit


EDITS = [
    (with_output(stream("careful\n", "stderr")), "output on stderr"),
    (with_output(stream("FutureWarning: soon\n")), "a warning"),
    (with_output(stream("saved to /srv/books/model\n")), "a path"),
    (with_output(stream("saved to C:\\books\n")), "a path"),
    (with_output(stream("<object at 0x7f3a5c0d2e10>\n")), "a memory address"),
    (with_output(stream("took 3.2 s\n")), "a time"),
    (with_output(stream("15 ms a step\n")), "a time"),
    (with_output(stream("100%|####| 5/5 [00:00, 12.1it/s]\n")), "a progress bar"),
    (with_output(stream("0.97512\n")), "0.97512"),
    (with_output(display(text_html="<td>12.3456</td>")), "12.3456"),
    (with_output({"output_type": "error", "ename": "NameError", "evalue": "x", "traceback": []}), "ends in NameError"),
    (with_output(tags=["raises-exception"]), "raises nothing"),
    (with_output(tags=["nbval-skip"]), "tag 'nbval-skip' is not allowed"),
    (with_output(tags=["nbval-ignore-output"]), "no assert stands in it"),
    (lambda found: found.cells[7].metadata.pop("mystnb"), "cell 8: shows an image without a description"),
    (
        lambda found: (
            found.cells[7].metadata["mystnb"].update(figure={"name": "fig-loss"}),
            found.cells[7].outputs.append(display(text_plain="(0, 1)")),
        ),
        "cell 8: is a figure with 2 outputs",
    ),
    (lambda found: found.cells[6].__setitem__("execution_count", None), "execution count None where 2 belongs"),
    (lambda found: found.cells[6].__setitem__("execution_count", 7), "execution count 7 where 2 belongs"),
    (lambda found: found.metadata.pop("dlcourse"), "no measured budget"),
    (lambda found: found.cells.insert(0, markdown("Hello.")), "1 titles (# ...) where one belongs, in the first text cell"),
]


@pytest.mark.parametrize(("edit", "words"), EDITS, ids=[words for _, words in EDITS])
def test_each_fault_of_outputs_is_named(faults, edit, words):
    found = faults(edit=edit)
    if "progress" in words:
        found = [line for line in found if "a progress bar" in line]
    one(found, words)


def test_ignored_output_with_an_assert_is_fine(faults):
    assert (
        faults(edit=with_output(stream("0.97512\n"), source='glue("accuracy", 1.0, ".3f")\nassert True', tags=["nbval-ignore-output"]))
        == []
    )


def test_stable_output_is_fine(faults):
    text = "accuracy 0.975\nshape (64, 10)\nloss 1.2e-08\nparameters 109386\n1980s, 3 samples, and/or\n"
    assert faults(edit=with_output(stream(text))) == []


def test_too_few_and_too_many_exercises(faults):
    def fewer(found):
        found.cells[10].source = "## Exercises"

    assert any("3 exercises: 4 to 8" in line for line in faults(edit=fewer))

    def more(found):
        found.cells[10].source += "\n\n" + "\n\n".join(exercise("Derive", f"ex-{c}") for c in "abcde")
        found.cells[14].source += "\n\n" + "\n\n".join(solution(f"ex-{c}") for c in "abcde")

    one(faults(edit=more), "9 exercises")


def test_counts(tmp_path):
    found = chapter()
    found.cells[6].metadata["tags"] = ["nbval-ignore-output"]
    found.cells[2].source += " With 3 tricks. <!-- number: an example of this test -->"
    notebooks.write(tmp_path / "mlp.ipynb", found)
    expected = {"cells": 5, "compared": 4, "ignored": 1, "exercises": 4, "checked": 1, "escapes": 1}
    assert lint.counts(tmp_path / "mlp.ipynb") == expected


def test_command(tmp_path, capsys):
    found = chapter()
    notebooks.write(tmp_path / "mlp.ipynb", found)
    assert lint.main([str(tmp_path / "mlp.ipynb")]) == 0
    assert "1 chapters, 0 faults; 5 cells, 5 compared" in capsys.readouterr().out
    found.cells[2].source += " It has 3 layers."
    notebooks.write(tmp_path / "mlp.ipynb", found)
    assert lint.main([str(tmp_path / "mlp.ipynb")]) == 1
    assert lint.main(["no-such-chapter"]) == 1
    assert "no chapter 'no-such-chapter'" in capsys.readouterr().err
    (tmp_path / "broken.ipynb").write_text("{")
    assert lint.main([str(tmp_path / "broken.ipynb")]) == 1
    assert "no readable notebook" in capsys.readouterr().err

"""Normal form: what changes, what stays, and that writing is atomic."""

import json
import os

import nbformat
import pytest

from tests.tools.fixtures import code, display, glued, markdown, notebook, stream
from tools import execute, notebooks
from tools.notebooks import ChapterFault, normalised


def messy():
    found = notebook(
        markdown("# Title\n"),
        code("print(1)\n", stream("a\n"), stream("b\n"), count=7, tags=["remove-cell", "hide-input"]),
        code("1 / 0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "no", "traceback": ["frame", "/x/y.py"]}, count=9),
        code("glue()", glued("x", "1"), display(image_png="aGk=\n", text_plain="<Figure>"), count=3),
        code("x = 1", run=False),
    )
    found.cells[1].metadata.update(collapsed=True, execution={"iopub": "2026"}, mystnb={"image": {"alt": "x"}})
    found.cells[3].outputs[1].metadata["needs_background"] = "light"
    found.metadata.update(
        kernelspec={"name": "venv-3.11", "display_name": "x"}, language_info={"name": "python", "version": "3.11.9"}, toc={"a": 1}
    )
    found.metadata["dlcourse"] = {"budget": {"seconds": 5, "peak_mb": 100}, "other": 1}
    return found


def test_counts_and_outputs():
    cells = normalised(messy()).cells
    assert [cell.get("execution_count") for cell in cells[1:]] == [1, 2, 3, None]
    assert cells[1].outputs == [{"output_type": "stream", "name": "stdout", "text": "a\nb\n"}]
    assert cells[2].outputs[0].traceback == ["ZeroDivisionError: no"]
    assert cells[3].outputs[0].metadata == {"scrapbook": {"name": "x", "mime_prefix": "application/papermill.record/"}}
    assert cells[3].outputs[1] == {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "<Figure>"}, "metadata": {}}


def test_metadata_is_cut_down_to_what_the_book_uses():
    found = normalised(messy())
    assert found.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "dlcourse": {"budget": {"peak_mb": 100, "seconds": 5}},
    }
    assert found.cells[1].metadata == {"tags": ["hide-input", "remove-cell"], "mystnb": {"image": {"alt": "x"}}}
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    nbformat.validate(found)


def test_solutions_are_folded_in_jupyterlab_and_nothing_else_is():
    found = notebook(code("a"), markdown("Do it.\n\n## Solutions"), markdown("So."), code("b"))
    found.cells[0].metadata["jupyter"] = {"source_hidden": True}
    hidden = [cell.metadata.get("jupyter") for cell in normalised(found).cells]
    assert hidden == [None, None, None, {"outputs_hidden": True, "source_hidden": True}]


def test_sources_stay_as_they_are():
    assert [cell.source for cell in normalised(messy()).cells] == ["# Title", "print(1)", "1 / 0", "glue()", "x = 1"]


def test_result_takes_the_count_of_its_cell():
    result = {"output_type": "execute_result", "execution_count": 41, "data": {"text/plain": "1"}, "metadata": {}}
    assert normalised(notebook(code("1", result, count=41))).cells[0].outputs[0].execution_count == 1


def test_ids_stay_where_valid_and_are_made_where_not():
    found = notebook(markdown("a"), markdown("a"), markdown("a"), markdown("b"))
    found.cells[0].id, found.cells[1].id, found.cells[2].id = "first", "first", "not valid!"
    del found.cells[3]["id"]
    ids = [cell.id for cell in normalised(found).cells]
    assert ids[0] == "first"
    assert len(set(ids)) == 4
    assert ids == [cell.id for cell in normalised(found).cells]
    again = normalised(found)
    again.cells.insert(1, nbformat.v4.new_markdown_cell("new"))
    kept = [cell.id for cell in normalised(again).cells]
    assert [kept[0], *kept[2:]] == ids


def test_normal_form_is_a_fixed_point():
    once = normalised(messy())
    assert notebooks.text(normalised(once)) == notebooks.text(once)


def test_file_is_checked_byte_for_byte(tmp_path, capsys):
    path = tmp_path / "one.ipynb"
    notebooks.write(path, normalised(messy()))
    assert notebooks.is_normal(path)
    assert execute.main(["--check", str(path)]) == 0
    path.write_text(path.read_text() + "\n")
    assert execute.main(["--check", str(path)]) == 1
    assert "one.ipynb: not in normal form: run  make execute" in capsys.readouterr().out
    notebooks.write(path, messy())
    assert not notebooks.is_normal(path)


def test_big_file_is_named(tmp_path, capsys):
    path = tmp_path / "one.ipynb"
    notebooks.write(path, normalised(notebook(code("x", stream("a" * 1_100_000)))))
    assert execute.main(["--check", str(path)]) == 1
    assert "1.1 MB, and the limit is 1 MB" in capsys.readouterr().out


def test_text_of_lines_is_a_list(tmp_path):
    notebooks.write(tmp_path / "one.ipynb", notebook(markdown("a\nb"), code("x", stream("c\nd\n"))))
    cells = json.loads((tmp_path / "one.ipynb").read_text())["cells"]
    assert cells[0]["source"] == ["a\n", "b"]
    assert cells[1]["outputs"][0]["text"] == ["c\n", "d\n"]


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "one.ipynb"
    notebooks.write(path, notebook(markdown("old")))
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        notebooks.write(path, notebook(markdown("new")))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["one.ipynb"]


def test_chapters_by_slug_and_path(tmp_path):
    folder = tmp_path / "chapters" / "part"
    folder.mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in ("b.ipynb", "a.ipynb", ".ipynb_checkpoints/a-checkpoint.ipynb"):
        (folder / name).write_text("{}")
    assert [p.stem for p in notebooks.chapters(root=tmp_path)] == ["a", "b"]
    assert notebooks.chapters(["b"], root=tmp_path) == [folder / "b.ipynb"]
    with pytest.raises(ChapterFault, match="no chapter 'c': choose among a, b"):
        notebooks.chapters(["c"], root=tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}'])
def test_unreadable_notebook(tmp_path, content):
    (tmp_path / "one.ipynb").write_text(content)
    with pytest.raises(ChapterFault, match="no readable notebook"):
        notebooks.read(tmp_path / "one.ipynb")


def test_environment_is_clean(monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", "elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHONSTARTUP", "x.py")
    found = notebooks.environment(threads=1)
    assert "DLCOURSE_DATA" not in found
    assert "PYTHONSTARTUP" not in found
    assert found["OMP_NUM_THREADS"] == found["OPENBLAS_NUM_THREADS"] == "1"
    assert found["MLX_DISABLE_COMPILE"] == "1"
    assert found["PYTHONHASHSEED"] == "0"

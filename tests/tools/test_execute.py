"""Executing chapters: fresh kernels, a clean environment, one clear report, and files that stay whole."""

import sys

import pytest

from tests.tools.fixtures import code, markdown, notebook, stream
from tools import execute, notebooks
from tools.notebooks import ChapterFault

DRAFT = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# One

```{code-cell} ipython3
:tags: [remove-cell]

import os
value = 20 + 1
```

Text.

+++

```{code-cell} ipython3
value, os.environ["OMP_NUM_THREADS"], os.environ.get("DLCOURSE_DATA"), hash("a") == hash("a")
```
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chapters" / "one.ipynb"


def write(path, *cells, **options):
    path.parent.mkdir(exist_ok=True)
    notebooks.write(path, notebook(*cells, **options))
    return path.read_bytes()


def test_draft_becomes_a_notebook_and_keeps_ids(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DLCOURSE_DATA", "elsewhere")
    draft = tmp_path / "draft.md"
    draft.write_text(DRAFT)
    assert execute.main(["--from", str(draft), str(path)]) == 0
    assert "one.ipynb: " in capsys.readouterr().out
    first = notebooks.read(path)
    assert [cell.cell_type for cell in first.cells] == ["markdown", "code", "markdown", "code"]
    assert first.cells[1].metadata.tags == ["remove-cell"]
    assert first.cells[3].outputs[0].data["text/plain"] == "(21, '1', None, True)"
    assert [cell.execution_count for cell in first.cells if cell.cell_type == "code"] == [1, 2]
    assert 5 <= first.metadata.dlcourse.budget.seconds <= 20
    assert 50 <= first.metadata.dlcourse.budget.peak_mb <= 300
    assert notebooks.is_normal(path)

    draft.write_text(DRAFT.replace("Text.", "New first.\n\n+++\n\nText.").replace(":tags: [remove-cell]\n\n", ""))
    assert execute.main(["--from", str(draft), str(path)]) == 0
    second = notebooks.read(path)
    assert [cell.id for cell in second.cells if cell.source != "New first."] == [cell.id for cell in first.cells]
    assert "tags" not in second.cells[1].metadata  # the text decides

    before = path.read_bytes()
    assert execute.main([str(path)]) == 0
    assert path.read_bytes() == before


def test_failing_cell_is_reported_and_the_file_stays(path, capsys):
    before = write(path, markdown("# One"), code("x = 1"), code("y = {}\ny['key']"), code("z = 2"))
    assert execute.main([str(path)]) == 1
    report = capsys.readouterr().err
    assert "one.ipynb: cell 3 failed; the file is as it was" in report
    assert "    y['key']" in report
    assert report.rstrip().endswith("KeyError: 'key'")
    assert "Traceback" not in report
    assert path.read_bytes() == before


def test_expected_failure_is_kept_short(path):
    write(path, code("import json\njson.loads('{')", tags=["raises-exception"]), code("print('after')"))
    execute.execute(path)
    found = notebooks.read(path)
    assert found.cells[0].outputs[0].traceback[0].startswith("JSONDecodeError: ")
    assert len(found.cells[0].outputs[0].traceback) == 1
    assert found.cells[1].outputs == [stream("after\n")]


def test_dead_kernel(path):
    before = write(path, code("import os, signal\nos.kill(os.getpid(), 9)"))
    with pytest.raises(ChapterFault, match=r"cell 1 failed(?s:.*)kernel died"):
        execute.execute(path)
    assert path.read_bytes() == before


def test_limits(path, monkeypatch):
    before = write(path, code("1"))
    monkeypatch.setattr(notebooks, "MEMORY_LIMIT", 10)
    with pytest.raises(ChapterFault, match="MB, and the limit is 10 MB"):
        execute.execute(path)
    assert path.read_bytes() == before
    before = write(path, code("import time\ntime.sleep(60)"))
    monkeypatch.setattr(notebooks, "SECONDS_LIMIT", 1)
    with pytest.raises(ChapterFault, match="not done after 1 s"):
        execute.execute(path)
    assert path.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="the peak comes from psutil there")
def test_peak_is_that_of_the_kernel(path):
    write(path, code("a = bytearray(400_000_000)\ndel a"))
    assert 400 <= execute.execute(path)["peak_mb"] <= 600


def test_too_big(path):
    before = write(path, code("print('a' * 1_100_000)"))
    with pytest.raises(ChapterFault, match=r"1.1 MB with outputs"):
        execute.execute(path)
    assert path.read_bytes() == before


def test_budget_is_rounded_and_steady():
    assert execute.budget({"seconds": 0.3, "peak_mb": 101}) == {"seconds": 5, "peak_mb": 150}
    assert execute.budget({"seconds": 21, "peak_mb": 400}) == {"seconds": 25, "peak_mb": 400}
    old = {"seconds": 40, "peak_mb": 600}
    assert execute.budget({"seconds": 21, "peak_mb": 400}, old) == old
    assert execute.budget({"seconds": 14, "peak_mb": 620}, old) == {"seconds": 15, "peak_mb": 650}


def test_wrong_use(path, tmp_path, capsys):
    assert execute.main(["--from", "draft.md"]) == 1
    assert "--from takes one MyST file and the path of one notebook" in capsys.readouterr().err
    assert execute.main(["--from", str(tmp_path / "none.md"), str(path)]) == 1
    assert "cannot be read as MyST text" in capsys.readouterr().err
    write(path, markdown("# Only text"))
    assert execute.main([str(path)]) == 1
    assert "has no code cell" in capsys.readouterr().err

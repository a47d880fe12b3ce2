"""Every committed chapter has the form of a chapter, and its file is what `make execute` writes."""

import pytest

from tools import lint, notebooks

CHAPTERS = notebooks.chapters()


def test_there_are_chapters():
    assert CHAPTERS


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_lint(path):
    assert lint.lint(path) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_normal_form(path):
    assert notebooks.is_normal(path), f"{notebooks.title(path)} is not in normal form: run  make execute"
    assert path.stat().st_size <= notebooks.SIZE_LIMIT


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_budget(path):
    budget = notebooks.read(path).metadata["dlcourse"]["budget"]
    assert budget["seconds"] <= notebooks.SECONDS_LIMIT
    assert budget["peak_mb"] <= notebooks.MEMORY_LIMIT

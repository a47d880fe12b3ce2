"""The study of size and loss, small, from end to end."""

import dataclasses
import json

from dlcourse import cli, count, scaling
from dlcourse.config import GPTConfig
from tests.test_recipes import RECIPES

STUDY = dataclasses.replace(scaling.STUDY, layers=1, widths=(8, 16), shares=(1, 40), seeds=(0, 1), steps=3)


def test_a_small_study_from_end_to_end(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scaling, "STUDY", STUDY)
    assert cli.main(["scaling", "--backend", "numpy", "--record"]) == 0
    out = capsys.readouterr().out
    assert out.count("of the text: training_loss [") == 4
    results = json.loads((tmp_path / "results" / "gpt-scaling.json").read_text(encoding="utf-8"))
    assert results["seeds"] == [0, 1]
    for losses in results["metrics"].values():
        assert list(losses) == ["1", "40"]
        for by_width in losses.values():
            assert list(by_width) == ["8", "16"]
            assert all(len(values) == 2 and 3 < min(values) <= max(values) < 5 for values in by_width.values())
    assert results["parameters"]["16"] == count.parameters(GPTConfig(103, layers=1, width=16))
    assert results["settings"]["recipe"] in RECIPES
    assert "/" not in json.dumps({**results, "title": ""})


def test_without_record_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scaling, "STUDY", dataclasses.replace(STUDY, widths=(8,), shares=(40,), seeds=(0,)))
    assert cli.main(["scaling"]) == 0
    assert list(tmp_path.iterdir()) == []

"""README tells the truth: its snippets run, its verbs exist, its links lead somewhere, its figures are those of the records."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import readme
from tools import environment

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [line.partition("#")[0].strip() for block in readme.blocks(TEXT, "sh") for line in block.splitlines() if line.strip()]


def run(command, cwd=ROOT, **variables):
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("snippet", readme.blocks(TEXT, "python"))
def test_python_snippet_runs(snippet):
    run([sys.executable, "-W", "error", "-c", snippet])


def test_there_is_a_snippet_for_each_way():
    assert len(readme.blocks(TEXT, "python")) >= 2
    assert any("python -m dlcourse" in line for line in SHELL)
    for way in ("**Read**", "**Run**", "**Import**"):
        assert way in TEXT


@pytest.mark.parametrize("line", [line for line in SHELL if "python -m dlcourse" in line])
def test_shell_snippet_runs(line, tmp_path):
    _, *arguments = shlex.split(line)  # the Python of .venv is the one that runs this
    run([sys.executable, *arguments], cwd=tmp_path, PYTHONPATH=str(ROOT))
    if "--out" in arguments:
        assert any((tmp_path / arguments[arguments.index("--out") + 1]).iterdir())


def test_named_verbs_exist():
    named = set(re.findall(r"(?:make|python -m tools) ([a-z]+)\b", TEXT))
    assert {"book", "test", "lab"} <= named <= set(environment.verbs())


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in target]
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), f"README points to {target}, which is not there"


def test_figures_are_those_of_the_records():
    assert len(list(readme.FIGURE.finditer(TEXT))) >= 3
    assert readme.renewed(TEXT).splitlines() == TEXT.splitlines(), "write them anew with  python -m tests.readme"


def test_figures_in_the_table_are_all_marked():
    """A number typed into the table of measurements, outside a marker, is a fault."""
    table = TEXT.partition("## What was measured")[2].partition("\n## ")[0]
    for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)[2:]:
        last = row.strip("|").rpartition("|")[2]
        assert not re.search(r"\d", readme.FIGURE.sub("", last)), row


def test_a_changed_record_is_noticed(tmp_path):
    text = "<!-- results/a.json rows.0.ratio .2f -->0.70<!-- / --> times"
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text(json.dumps({"rows": [{"ratio": 0.7}]}))
    assert readme.renewed(text, tmp_path) == text
    (tmp_path / "results" / "a.json").write_text(json.dumps({"rows": [{"ratio": 0.8}]}))
    assert readme.renewed(text, tmp_path) == text.replace("0.70", "0.80")
    with pytest.raises(ValueError, match=r"no rows\.1\.ratio: 1 is not there"):
        readme.renewed(text.replace("rows.0", "rows.1"), tmp_path)

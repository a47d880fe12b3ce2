"""The summary says what the files say, and finds what is missing from them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import clean, environment, portable, test

JUNIT = """<testsuites><testsuite>
<testcase classname="chapters.a.ipynb" file="chapters/a.ipynb" name="Cell 0"/>
<testcase classname="chapters.a.ipynb" file="chapters/a.ipynb" name="Cell 1"/>
<testcase classname="chapters.b.ipynb" file="chapters/b.ipynb" name="Cell 0">{}</testcase>
</testsuite></testsuites>"""
COVERED = {"num_statements": 100, "covered_lines": 97}
UNCOVERED = {"num_statements": 100, "covered_lines": 0}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A checkout with two chapters and a complete set of reports."""
    build = tmp_path / "_build"
    monkeypatch.setattr(test, "ROOT", tmp_path)
    monkeypatch.setattr(test, "BUILD", build)
    monkeypatch.setattr(test, "REPORTS", build / "test")
    monkeypatch.setattr(test, "count_cells", lambda paths: ("41 compared, 2 ignored, of 50 code cells", "6 of 8 in the chapters have one"))
    monkeypatch.delenv("CI", raising=False)
    (build / "test").mkdir(parents=True)
    (tmp_path / "chapters").mkdir()
    for name, code in (("a", "import numpy"), ("b", "from dlcourse import torch")):
        cell = {"cell_type": "code", "source": [code]}
        (tmp_path / "chapters" / f"{name}.ipynb").write_text(json.dumps({"cells": [cell]}))
    (build / "test" / "nbval.xml").write_text(JUNIT.format(""))
    write(build, "test/coverage.json", {"files": {"dlcourse/state.py": {"summary": COVERED}}})
    write(
        build,
        "ledger.json",
        {"equations": [{"label": "eq-a", "tests": ["t"], "error": 3e-11}, {"label": "eq-b", "tests": ["t"], "error": None}]},
    )
    write(build, "parity.json", {"worst": 3.2e-7, "name": "mlx layers.0.weight"})
    write(build, "checks.json", {"exercises": 6})
    return build


def write(build, name, value):
    (build / name).write_text(json.dumps(value))


def text(lines):
    return "\n".join(lines)


def test_complete_summary(build):
    lines, faults = test.summary({})
    assert faults == []
    for line in (
        "tests      nbval: 3 passed",
        "coverage   97.0 % of 100 lines of dlcourse",
        "equations  2 of 2 tested; largest error 3.0e-11 (eq-a)",
        "chapters   2 of 2 validated",
        "cells      41 compared, 2 ignored, of 50 code cells",
        "parity     worst error 3.2e-07 (mlx layers.0.weight)",
        "left out   nothing",
    ):
        assert line in lines
    assert json.loads((build / "summary.json").read_text())["chapters"] == "2 of 2 validated"


@pytest.mark.parametrize(
    ("name", "what"),
    [("ledger.json", "equations"), ("parity.json", "parity"), ("test/coverage.json", "coverage"), ("test/nbval.xml", "chapters")],
)
def test_what_was_not_measured_is_a_fault(build, name, what):
    (build / name).unlink()
    lines, faults = test.summary({})
    assert f"{what}: not measured" in faults
    assert any(line.startswith(what) and line.endswith("not measured") for line in lines)


@pytest.mark.parametrize("bad", ["<failure/>", "<error/>"])
def test_chapter_with_a_failing_cell_is_not_validated(build, bad):
    (build / "test" / "nbval.xml").write_text(JUNIT.format(bad))
    lines, faults = test.summary({})
    assert "chapters   1 of 2 validated" in lines
    assert "not every chapter was validated" in faults


def test_truncated_report_is_a_failure(build):
    (build / "test" / "nbval.xml").write_text(JUNIT[:80])
    assert len(test.read_cases(build / "test" / "nbval.xml").failed) == 1
    assert "not every chapter was validated" in test.summary({})[1]


def test_low_coverage(build):
    write(
        build, "test/coverage.json", {"files": {"dlcourse/state.py": {"summary": COVERED}, "dlcourse/mlx/mlp.py": {"summary": UNCOVERED}}}
    )
    assert test.summary({})[1] == ["coverage of dlcourse is 48.5 % of lines, below 95 %"]
    # A backend that is not installed cannot be covered: its lines do not count.
    assert test.coverage({"mlx": "MLX is not installed ..."}) == ("97.0 % of 100 lines of dlcourse", None)


def test_skips_are_faults_in_ci_only(build, monkeypatch):
    (build / "test" / "unit.xml").write_text(JUNIT.format('<skipped message="torch is not installed"/>'))
    lines, faults = test.summary({})
    assert faults == []
    assert "left out   1 tests skipped" in lines
    monkeypatch.setenv("CI", "true")
    assert test.summary({})[1] == ["skipped in CI: chapters.b.ipynb::Cell 0: torch is not installed"]


def test_left_out_is_counted(build):
    (build / "test" / "nbval.xml").write_text(JUNIT.replace("chapters/b.ipynb", "chapters/a.ipynb").format(""))
    lines, faults = test.summary({"torch": "PyTorch is not installed: get it with  pip install torch"})
    assert faults == []
    assert "left out   PyTorch, 1 of 2 chapters" in lines
    assert "chapters   1 of 2 validated" in lines
    assert any("get it with" in line for line in lines)


def test_chapter_that_needs_what_is_absent_is_not_run(build):
    command = test.nbval("nbval", {}, {"torch": "..."}).command
    assert [Path(part).name for part in command if part.endswith(".ipynb")] == ["a.ipynb"]
    assert not test.nbval("nbval", {}, {}).left_out


def test_browser_is_found_or_named(monkeypatch, tmp_path):
    monkeypatch.setattr(test.platform, "system", lambda: "Linux")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "browser"))
    assert test.missing()["browser"].endswith("get it with  sudo apt install chromium")
    (tmp_path / "browser").touch()
    assert "browser" not in test.missing()


def test_absent_frameworks_are_named(monkeypatch):
    monkeypatch.setattr(test.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(test.platform, "system", lambda: "Linux")
    monkeypatch.delenv("DLCOURSE_VENV", raising=False)
    assert '-m pip install -e ".[torch]" -c constraints.txt' in test.missing()["torch"]
    monkeypatch.setattr(test.platform, "system", lambda: "Windows")
    assert test.missing()["mlx"].startswith("MLX has no build for Windows, so what needs it is left out")


def test_absence_fails_in_ci(monkeypatch, capsys):
    monkeypatch.setattr(test, "missing", lambda: {"mlx": "MLX is not installed."})
    monkeypatch.setattr(test, "plan", lambda absent: [])
    monkeypatch.setenv("CI", "true")
    assert test.main([]) == 1
    assert "In CI nothing may be left out." in capsys.readouterr().out


def test_a_failing_step_does_not_stop_the_next(build, capfd):
    steps = [test.Step("first", [sys.executable, "-c", "exit(3)"]), test.Step("second", [sys.executable, "-c", "print('still here')"])]
    assert test.run(steps) == ["first"]
    assert "still here" in capfd.readouterr().out


def test_unknown_step(capsys):
    with pytest.raises(SystemExit) as error:
        test.main(["nbva"])
    assert error.value.code == 2
    assert "unknown step 'nbva': choose of style" in capsys.readouterr().err


def test_older_processor(monkeypatch):
    """NumPy accepts the names without a warning, and the groups are off."""
    variables = portable.older_processor()
    if not variables:
        assert portable.platform.machine().lower() not in ("x86_64", "amd64")
        return
    code = "from numpy._core._multiarray_umath import __cpu_features__ as f; print(sorted(n for n in f if f[n] and (n.startswith('AVX512_') or n == 'X86_V4')))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=test.threads(1) | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout.replace("'", '"'))) & set(portable.numpy_groups())
    monkeypatch.setattr(portable.platform, "machine", lambda: "arm64")
    assert portable.older_processor() == {}


def test_clean(tmp_path, capsys):
    for name in (
        "_build/html",
        ".venv/lib/__pycache__",
        "dlcourse/__pycache__",
        "chapters/.ipynb_checkpoints",
        ".git/__pycache__",
        "dlcourse.egg-info",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".coverage.1").touch()
    assert clean.main([], tmp_path) == 0
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {".git", ".git/__pycache__", ".venv", ".venv/lib", ".venv/lib/__pycache__", "dlcourse", "chapters", "dlcourse.egg-info"}
    assert clean.main(["--all"], tmp_path) == 0
    assert not (tmp_path / ".venv").exists()
    assert clean.main([], tmp_path) == 0
    assert capsys.readouterr().out.endswith("nothing to remove\n")


# Below: test sessions of their own, for what tests/conftest.py does where a framework is missing.


def inner_session(tmp_path, *bodies, **variables):
    root = Path(__file__).resolve().parents[2]
    for number, body in enumerate(bodies):
        (tmp_path / f"test_inner_{number}.py").write_text(body)
    (tmp_path / "conftest.py").write_text(
        (root / "tests" / "conftest.py").read_text().replace('pytest_plugins = ["tests.ledger_plugin"]', "")
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    code = "import sys; sys.modules['torch'] = None; import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-rs']))"
    variables = {"PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": "", **variables}
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=test.threads(1) | variables, capture_output=True, text=True)


def test_missing_framework_is_a_skip_for_a_reader_and_an_error_in_ci(tmp_path):
    bodies = (
        "import torch\ndef test_it(): pass\n",
        "def test_it():\n    import torch\n",
        "import dlcourse\ndef test_it():\n    dlcourse.backend('torch')\n",
        "import pytest\n@pytest.fixture\ndef model():\n    import torch\ndef test_it(model): pass\n",
        "def test_other():\n    import nonexistent_module\n",
    )
    done = inner_session(tmp_path, *bodies)
    assert "1 failed, 4 skipped" in done.stdout, done.stdout
    assert "torch is not installed: run  pip install 'dlcourse[torch]'" in done.stdout
    assert done.returncode == 1
    done = inner_session(tmp_path, *bodies[1:], CI="true")
    assert "4 failed" in done.stdout or "3 failed, 1 error" in done.stdout, done.stdout
    assert "skipped" not in done.stdout


def test_parity_is_recorded(tmp_path):
    body = "def test_a(record_parity):\n    record_parity('a', 1e-9)\n    record_parity('b', 2e-7)\n\ndef test_c(record_parity):\n    record_parity('c', 1e-8)\n"
    assert inner_session(tmp_path, body).returncode == 0
    assert json.loads((tmp_path / "_build" / "parity.json").read_text()) == {"worst": 2e-7, "name": "b", "comparisons": 3}


def test_generator_belongs_to_the_test(rng, request):
    """Seeded with the node id: the same draw whatever ran before."""
    import zlib

    import numpy as np

    assert rng.normal() == np.random.default_rng(zlib.crc32(request.node.nodeid.encode())).normal()


def test_strict_follows_ci(monkeypatch):
    for value, wanted in (("true", True), ("1", True), ("", False), ("false", False)):
        monkeypatch.setenv("CI", value)
        assert environment.strict() is wanted

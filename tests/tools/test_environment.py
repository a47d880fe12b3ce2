"""The bootstrap: what it installs when, how it mends what was interrupted, and its sentences. pip is a stand-in here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An environment whose making costs nothing."""
    folder = tmp_path / "venv"
    monkeypatch.setattr(
        environment, "make_venv", lambda folder, verb: environment.venv_python(folder).parent.mkdir(parents=True, exist_ok=True)
    )
    monkeypatch.delenv("CI", raising=False)
    return folder


class Pip:
    """Records what it is asked for; cannot install `absent`."""

    def __init__(self, absent=()):
        self.calls, self.absent = [], set(absent)

    def __call__(self, folder, extras):
        self.calls.append(list(extras))
        environment.venv_python(folder).touch()
        return not self.absent & set(extras)


def stamp(folder):
    return json.loads((folder / "dlcourse.json").read_text())


def test_second_call_has_nothing_to_do(folder):
    pip = Pip()
    for _ in range(2):
        assert environment.prepare(folder, ("book",), "book", pip) == environment.venv_python(folder)
    assert pip.calls == [["book"]]


def test_another_verb_completes_the_environment(folder):
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    environment.prepare(folder, ("test",), "test", pip)
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"], ["book", "test"]]


def test_changed_requirements_install_again(folder, monkeypatch):
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    monkeypatch.setattr(environment, "fingerprint", lambda: "another")
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"], ["book"]]


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_fingerprint_follows_both_files(tmp_path, file):
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("a\n")
    before = environment.fingerprint(tmp_path)
    (tmp_path / file).write_bytes(b"a\r\n")
    assert environment.fingerprint(tmp_path) == before  # line ends are not a change
    (tmp_path / file).write_text("b\n")
    assert environment.fingerprint(tmp_path) != before


def test_interrupted_installation_is_repeated(folder):
    class Interrupted(Pip):
        def __call__(self, *arguments):
            super().__call__(*arguments)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment.prepare(folder, ("book",), "book", Interrupted())
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"]]


def test_interrupted_completion_does_not_pass_for_done(folder):
    """The stamp of an earlier verb must not hide that a later installation was cut off."""
    environment.prepare(folder, ("book",), "book", Pip())
    (folder / "dlcourse.unfinished").touch()
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"]]


def test_broken_stamp_installs_again(folder):
    environment.prepare(folder, ("book",), "book", Pip())
    (folder / "dlcourse.json").write_text('{"hash": ')
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"]]


def package(packages, name, files, record=True):
    info = packages / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\n")
    for file in files:
        (packages / file).write_text("")
    if record:
        (info / "RECORD").write_text(
            "".join(f"{file},,\n" for file in [*files, f"{name}-1.0.dist-info/METADATA", f"__pycache__/{name}.pyc"])
        )
    return info


def test_mend_forgets_incomplete_packages(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    whole = package(packages, "whole", ["whole.py"])
    unrecorded = package(packages, "unrecorded", ["unrecorded.py"], record=False)
    torn = package(packages, "torn", ["torn.py"])
    (packages / "torn.py").unlink()
    (packages / "~orch").mkdir()
    environment.mend(tmp_path)
    assert whole.exists()
    assert not unrecorded.exists()
    assert not torn.exists()
    assert not (packages / "~orch").exists()


def test_framework_that_cannot_be_installed_is_left_out(folder, capsys):
    pip = Pip(absent=["mlx"])
    for _ in range(2):
        environment.prepare(folder, ("test", "torch", "mlx"), "test", pip)
        assert "MLX is left out, because pip could not install it here: to see why, run " in capsys.readouterr().out
    assert pip.calls == [["mlx", "test", "torch"], ["test"], ["mlx"], ["torch"]]
    assert stamp(folder)["unavailable"] == ["mlx"]


def test_framework_that_cannot_be_installed_fails_in_ci(folder, monkeypatch):
    environment.prepare(folder, ("test", "mlx"), "test", Pip(absent=["mlx"]))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(environment.Failure, match="MLX could not be installed"):
        environment.prepare(folder, ("test", "mlx"), "test", Pip(absent=["mlx"]))
    environment.prepare(folder, ("test", "mlx"), "test", Pip())
    assert stamp(folder)["unavailable"] == []


def test_pip_failure_is_one_sentence_and_is_tried_again(folder):
    with pytest.raises(environment.Failure, match="pip could not install what"):
        environment.prepare(folder, ("book",), "book", Pip(absent=["book"]))
    pip = Pip()
    environment.prepare(folder, ("book",), "book", pip)
    assert pip.calls == [["book"]]


def test_no_ensurepip_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/" + name)
    with pytest.raises(environment.Failure, match=r"ensurepip is missing: install it \(sudo apt install python3-venv\) and call again\.$"):
        environment.make_venv(tmp_path / "venv", "book")
    assert not (tmp_path / "venv").exists()


def test_venv_of_an_old_python_is_one_sentence(tmp_path):
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.9.18\n")
    with pytest.raises(environment.Failure, match=r"made by Python 3\.9 .* remove the folder"):
        environment.make_venv(tmp_path, "book")


def call(*arguments, **variables):
    return subprocess.run([sys.executable, "-m", "tools", *arguments], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)


def test_mistyped_verb():
    done = call("bok")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("unknown verb 'bok' (did you mean book?): choose one of bench, book, clean,")
    assert done.stderr.count("\n") == 1


def test_verbs_are_listed():
    done = call("--help")
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.splitlines()[2:]}
    assert listed == set(environment.verbs())
    assert listed >= {"bench", "book", "clean", "execute", "lab", "ledger", "lint", "portable", "test"}


def test_every_verb_names_known_extras():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for verb, (wanted, text) in environment.verbs().items():
        assert set(wanted or ()) <= set(extras), verb
        assert text, verb


def test_old_pythons_can_read_the_entry():
    """tools/__main__.py must reach its sentence on any Python 3: no syntax newer than that, no import before the check."""
    import ast

    text = (ROOT / "tools" / "__main__.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 4))
    assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(tree))
    assert [type(node).__name__ for node in tree.body][1:3] == ["Import", "If"]
    assert (ROOT / "tools" / "__init__.py").read_text(encoding="utf-8").count("import ") == 0


def test_bootstrap_is_standard_library_only():
    code = "import sys; from tools import environment; print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'packaging', 'dlcourse')])"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_bootstrap_makes_a_real_environment(tmp_path, monkeypatch):
    """A folder left by an interrupted `python -m venv` is made anew."""
    folder = tmp_path / "venv"
    (folder / "lib").mkdir(parents=True)
    environment.make_venv(folder, "book")
    assert environment.quiet([environment.venv_python(folder), "-m", "pip", "--version"])
    before = (folder / "pyvenv.cfg").stat().st_mtime_ns
    environment.make_venv(folder, "book")
    assert (folder / "pyvenv.cfg").stat().st_mtime_ns == before

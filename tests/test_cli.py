"""The command line: results on stdout, one sentence on stderr for what the user can cure."""

import importlib.metadata
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dlcourse
from dlcourse import cli, doctor, errors, recipes, train

ROOT = Path(__file__).parents[1]


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of one command in this process."""
    code = cli.main([str(argument) for argument in arguments])
    return (code, *capsys.readouterr())


def error(capsys, *arguments):
    """The one sentence with which a command ends with exit code 2."""
    code, _, stderr = run(capsys, *arguments)
    assert code == 2
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    return stderr


def test_recipes_lists_them_all(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(recipes.RECIPES)


@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_train_writes_the_results_beside_the_checkpoint(capsys, tmp_path, backend):
    code, out, _ = run(capsys, "train", "mlp-digits", "--backend", backend, "--seed", 3, "--epochs", 2, "--out", tmp_path)
    assert code == 0
    assert "seed 3: test accuracy 0." in out
    assert out.count("epoch ") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [train.CHECKPOINT, "model.safetensors", "results.json"]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["backend"] == backend
    assert results["seeds"] == [3]


def test_train_several_seeds_and_record(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = replace(recipes.get("logistic-breast-cancer"), epochs=2)
    monkeypatch.setitem(recipes.RECIPES, short.name, short)
    code, out, _ = run(capsys, "train", short.name, "--seeds", 0, 1, "--out", "run", "--record")
    assert code == 0
    assert "mean test accuracy" in out
    assert (tmp_path / "run" / "seed-1" / train.CHECKPOINT).is_file()
    recorded = (tmp_path / "results" / "logistic-breast-cancer-numpy.json").read_text(encoding="utf-8")
    assert recorded == (tmp_path / "run" / "results.json").read_text(encoding="utf-8")
    assert json.loads(recorded)["seeds"] == [0, 1]


def test_train_resume(capsys, tmp_path):
    arguments = ("train", "mlp-digits", "--epochs", 2, "--out", tmp_path)
    assert run(capsys, *arguments)[0] == 0
    first = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert "holds an earlier run" in error(capsys, *arguments)
    assert run(capsys, *arguments, "--resume")[0] == 0
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mlp-digit"], "unknown recipe 'mlp-digit' (did you mean mlp-digits?)"),
        (["mlp-digits", "--backend", "pytorch"], "unknown backend 'pytorch' (did you mean torch?)"),
        (["mlp-digits", "--device", "cuda"], "device 'cuda' is not available"),
        (["mlp-digits", "--backend", "torch", "--device", "tpu"], "present are"),
        (["mlp-digits", "--seeds", "1", "1"], "give different numbers"),
        (["mlp-digits", "--seed", "-1"], "at least 0"),
        (["mlp-digits", "--epochs", "0"], "epochs=0"),
        (["mlp-digits", "--resume"], "add --out DIR"),
        (["mlp-digits", "--workers", "0"], "workers=0: it must be a whole number of at least 1"),
        (["mlp-digits", "--workers", "2", "--backend", "torch"], "workers=2: torch has threads of its own"),
        (["mlp-digits", "--epochs", "3", "--record"], "leave out --epochs"),
    ],
)
def test_bad_arguments(capsys, arguments, complaint):
    assert complaint in error(capsys, "train", *arguments)


def test_bad_data_folder(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DLCOURSE_DATA", str(tmp_path / "nowhere"))
    assert "which is not a folder" in error(capsys, "train", "mlp-mnist")


def test_unknown_data_set(capsys, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "odd", replace(recipes.get("mlp-digits"), data="digit"))
    assert "unknown data set 'digit' (did you mean digits?)" in error(capsys, "train", "odd")


def test_unwritable_folder(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    sentence = error(capsys, "train", "mlp-digits", "--epochs", 1, "--out", tmp_path / "file" / "run")
    assert "cannot write" in sentence
    assert "Errno" not in sentence


def test_no_network(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("DLCOURSE_DATA", raising=False)
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path))
    from dlcourse.data import images

    monkeypatch.setitem(images.SETS, "mnist", images.SETS["mnist"]._replace(mirrors=("http://127.0.0.1:9/",)))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "cannot be reached (no network?)" in error(capsys, "train", "mlp-mnist")


def test_a_missing_framework(capsys, monkeypatch):
    def missing(name):
        raise errors.MissingExtra("torch", extra="torch")

    monkeypatch.setattr(dlcourse, "backend", missing)
    assert "pip install 'dlcourse[torch]'" in error(capsys, "train", "mlp-digits", "--backend", "torch")


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    from dlcourse.numpy import Learner

    step, calls = Learner.step, []

    def interrupted(self, batch, lr):
        calls.append(lr)
        if len(calls) == 60:  # in the second epoch of 40 steps
            raise KeyboardInterrupt
        return step(self, batch, lr)

    monkeypatch.setattr(Learner, "step", interrupted)
    code, _, stderr = run(capsys, "train", "mlp-digits", "--epochs", 3, "--out", tmp_path)
    assert code == 130
    assert "stopped after 1 of 3 epochs: pass resume=True (--resume) to go on" in stderr
    assert run(capsys, "train", "mlp-digits", "--epochs", 3, "--out", tmp_path, "--resume")[0] == 0


def test_a_killed_process_can_be_resumed(capsys, tmp_path):
    arguments = ["train", "mlp-digits", "--epochs", "40", "--out"]
    command = [sys.executable, "-m", "dlcourse", *arguments, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        next(line for line in process.stdout if line.startswith("epoch 3"))
        process.kill()
    assert not (tmp_path / "killed" / "results.json").exists()
    assert run(capsys, *arguments, tmp_path / "killed", "--resume")[0] == 0
    assert run(capsys, *arguments, tmp_path / "whole")[0] == 0
    killed, whole = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole"))
    assert killed == whole


def test_unexpected_errors_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(recipes, "get", lambda name: {}[name])
    with pytest.raises(KeyError):
        cli.main(["train", "mlp-digits"])


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="unknown recipe"):
        cli.main(["--debug", "train", "nothing"])


def test_wrong_usage_ends_with_2(capsys):
    for arguments in (
        [],
        ["trian"],
        ["train"],
        ["train", "mlp-digits", "--seed", "x"],
        ["train", "mlp-digits", "--seed", "1", "--seeds", "2"],
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
    assert "usage: python -m dlcourse" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == f"dlcourse {dlcourse.__version__}"


def test_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dlcourse", "recipes"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("dlcourse", run_name="__main__")
    assert caught.value.code == 0
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "dlcourse", "train", "mlp-digit"], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown recipe 'mlp-digit'")
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- doctor


def test_doctor(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("DLCOURSE_DATA", raising=False)
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "gemm_speed", lambda size: 12.3)
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert f"torch {importlib.metadata.version('torch')}" in out
    assert "numpy: cpu" in out
    assert "digits: inside scikit-learn" in out
    assert "mnist: not here: the first use downloads 12 MB" in out
    assert "12 GFLOP/s" in out


def test_doctor_names_what_is_missing(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    def missing(name):
        raise errors.MissingExtra(name, extra=name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(dlcourse, "backend", missing)
    monkeypatch.setattr(doctor.data, "where", lambda name: errors.need("no_such_package", extra="data"))
    lines = "\n".join(doctor.examine(gemm_size=8))
    assert "scikit-learn is missing: pip install 'dlcourse[data]'" in lines
    assert "torch: PyTorch is not installed: run  pip install 'dlcourse[torch]'" in lines
    assert "digits: no_such_package is not installed" in lines
    monkeypatch.setattr(doctor.platform, "system", lambda: "Windows")
    assert lines.count("there is none for Windows") == 0
    assert "\n".join(doctor.examine(gemm_size=8)).count("there is none for Windows") == 2


def test_gemm_speed_is_a_speed():
    assert 0.01 < doctor.gemm_speed(64) < 1e5
    assert doctor.blas()

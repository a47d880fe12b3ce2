"""What holds for the repository as a whole: one list of requirements, imports in one direction, a light package, a wheel that works."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import dlcourse
from tools import constraints

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BACKENDS = ("numpy", "torch", "mlx")
MODULES = sorted(path for path in (ROOT / "dlcourse").rglob("*.py"))

# Imports run from a higher number to a lower one or stay on their level; a folder counts as its name.
LEVELS = {
    **dict.fromkeys(
        (
            "errors",
            "geometry",
            "boundary",
            "config",
            "count",
            "positions",
            "huggingface",
            "text",
            "differences",
            "operations",
            "regression",
        ),
        0,
    ),
    "initial": 1,
    "state": 2,
    **dict.fromkeys(BACKENDS, 3),
    **dict.fromkeys(
        (
            "data",
            "schedule",
            "metrics",
            "train",
            "reading",
            "recipes",
            "transfer",
            "plot",
            "doctor",
            "tasks",
            "generate",
            "scaling",
            "views",
        ),
        4,
    ),
    **dict.fromkeys(("book", "check", "cli", "interactive", "__main__"), 5),
}


def bare_environment():
    """The variables without those by which the coverage measurement enters every new Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_CORE"))}


def python(code, cwd=ROOT, **variables):
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=bare_environment() | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Requirements


def test_environment_yml_has_no_list_of_its_own():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[all]"]}


def test_all_is_the_union_of_the_extras():
    reached, queue = set(), ["all"]
    while queue:
        extra = queue.pop()
        reached.add(extra)
        queue += [
            name
            for text in EXTRAS[extra]
            if Requirement(text).name == "dlcourse"
            for name in Requirement(text).extras
            if name not in reached
        ]
    assert reached == set(EXTRAS)


def test_every_requirement_has_a_pin_in_its_range():
    pins = constraints.read_pins()
    for requirement in constraints.requirements():
        pin = pins.get(constraints.normal(requirement.name))
        assert pin is not None, f"{requirement.name} has no pin: make constraints"
        assert requirement.specifier.contains(pin), f"{requirement} excludes its pin {pin}"
    assert pins["torch"] == "2.13.0"


def test_pins_are_exact_and_sorted():
    pins = constraints.read_pins()
    assert list(pins) == sorted(pins)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[0-9][0-9a-z.]*", version) for name, version in pins.items())


def test_environment_holds_the_pinned_versions():
    """The tests run with the pins, and every installed package that the extras reach has one."""
    pins = constraints.read_pins()
    wrong = [
        f"{name} {version}, pinned {pins.get(name)}"
        for name, version in constraints.installed_closure().items()
        if pins.get(name) != version
    ]
    assert wrong == []


def test_mlx_by_platform():
    def wanted(**marker):
        return [str(r).partition(";")[0] for r in map(Requirement, EXTRAS["mlx"]) if r.marker.evaluate(marker)]

    assert wanted(sys_platform="darwin", platform_machine="arm64") == ["mlx>=0.31"]
    assert wanted(sys_platform="linux", platform_machine="x86_64") == ["mlx[cpu]>=0.31"]
    assert wanted(sys_platform="darwin", platform_machine="x86_64") == wanted(sys_platform="win32", platform_machine="AMD64") == []


def test_book_needs_no_framework():
    for extra in ("book", "notebook"):
        assert not any(Requirement(text).name in ("torch", "mlx") for text in EXTRAS[extra])


def test_python_versions_agree():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11")
    assert "version_info < (3, 11)" in (ROOT / "tools" / "__main__.py").read_text(encoding="utf-8")


def test_address_and_version_agree():
    address = PROJECT["urls"]["Repository"]
    assert yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"] == address
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == address
    assert citation["version"] == dlcourse.__version__
    assert f"## {dlcourse.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# Imports


def imports(path):
    """(line, module, inside a function) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef | ast.Lambda) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            if node.module == "dlcourse":
                for alias in node.names:
                    yield node.lineno, f"dlcourse.{alias.name}", id(node) in late
            else:
                yield node.lineno, node.module, id(node) in late


def room(module):
    """`dlcourse.numpy.optim` -> `numpy`; `dlcourse` and names of its own -> None."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVELS else None


def test_every_module_has_a_level():
    rooms = {path.relative_to(ROOT / "dlcourse").parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert rooms <= set(LEVELS), "give the new module its level in LEVELS"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for line, module, late in imports(path):
        if module.split(".")[0] != "dlcourse" or (other := room(module)) is None:
            continue
        if own is None:
            assert other == "errors", f"{path.name}:{line}: dlcourse/__init__.py imports only errors"
            continue
        assert LEVELS[other] <= LEVELS[own], f"{path.name}:{line}: {own} must not import {other}"
        assert not (own in BACKENDS and other in BACKENDS and own != other), f"{path.name}:{line}: no backend imports another"
        assert late or own in BACKENDS or other not in ("torch", "mlx"), f"{path.name}:{line}: frameworks are imported where they are used"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_optional_packages_are_imported_where_they_are_used(path):
    """Only a backend's own folder imports its framework in the head of a file."""
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    allowed = {"numpy", "dlcourse", *sys.stdlib_module_names} | ({own} if own in BACKENDS else set())
    for line, module, late in imports(path):
        assert late or module.split(".")[0] in allowed, f"{path.name}:{line}: import {module} inside the function that uses it"


HEAVY = ("torch", "mlx", "matplotlib", "sklearn", "scipy", "pandas", "IPython", "safetensors", "pooch", "tqdm")


@pytest.mark.parametrize(
    "module",
    [
        "dlcourse",
        "dlcourse.numpy",
        "dlcourse.config",
        "dlcourse.state",
        "dlcourse.data",
        "dlcourse.text",
        "dlcourse.check",
        "dlcourse.recipes",
        "dlcourse.cli",
    ],
)
def test_import_needs_numpy_alone(module):
    loaded = json.loads(python(f"import sys, json, {module}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"))
    assert not set(loaded) & set(HEAVY)


def test_import_is_quick(tmp_path):
    """`import dlcourse`, NumPy included, in a new Python: under 150 ms in the best of 10, stopping at the first that is.

    From the second on with bytecode, which Python keeps unless it is told not to. Processor time: others may use the machine."""
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = "import time; t = time.process_time(); import dlcourse, dlcourse.numpy; print(time.process_time() - t)"
    seconds = []
    while len(seconds) < 10 and min(seconds, default=1) >= 0.150:
        seconds.append(float(python(code, **kept)))
    assert min(seconds) < 0.150


# The wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Built by this environment's setuptools, so that no network is needed; from a copy, so that nothing is left in the checkout."""
    import shutil

    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "dlcourse", source / "dlcourse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-cache-dir",
        "-w",
        str(folder),
        str(source),
    ]
    done = subprocess.run(command, env=bare_environment() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("dlcourse-*.whl"))


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    figures = [path for path in (ROOT / "dlcourse" / "interactive").iterdir() if path.suffix in (".css", ".js", ".svg")]
    files = {path.relative_to(ROOT).as_posix() for path in [*MODULES, *figures]}
    assert {name for name in names if ".dist-info/" not in name} == files


def test_wheel_works_with_numpy_alone(wheel, tmp_path):
    """In a virtual environment without pip, the wheel and NumPy are all there is. NumPy is linked from this environment instead of
    downloaded: the test needs no network and takes a second."""
    import numpy

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(
        subprocess.run(
            [bare, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
        ).stdout.strip()
    )
    zipfile.ZipFile(wheel).extractall(site)
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            link(packages / name, site / name)
    code = (
        "import dlcourse, numpy as np\n"
        "from dlcourse.config import MLPConfig\n"
        "from dlcourse.initial import initial_state\n"
        "backend = dlcourse.backend('numpy')\n"
        "model = backend.MLP(MLPConfig(4, hidden=(8,), outputs=3))\n"
        "model.load_state(initial_state(MLPConfig(4, hidden=(8,), outputs=3), seed=0))\n"
        "learner = backend.Learner(model, backend.Adam(model))\n"
        "x, y = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32), np.arange(16) % 3\n"
        "losses = [learner.step((x, y), lr=0.05) for _ in range(20)]\n"
        "assert losses[-1] < losses[0], losses\n"
        "try:\n"
        "    dlcourse.backend('torch')\n"
        "except ImportError as error:\n"
        "    print(dlcourse.__version__, '|', error)\n"
    )
    variables = {name: value for name, value in bare_environment().items() if name != "PYTHONPATH"}
    done = subprocess.run([bare, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.stdout == f"{dlcourse.__version__} | PyTorch is not installed: run  pip install 'dlcourse[torch]'\n", done.stderr


def link(source, target):
    """A link, or a copy where the system allows none."""
    import shutil

    try:
        target.symlink_to(source, target_is_directory=True)
    except OSError:
        shutil.copytree(source, target)


# Files


def committed():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_makefile_knows_every_verb():
    from tools import environment

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.search(r"^VERBS = (.*)$", makefile, re.MULTILINE)[1].split()) | {"clean", "constraints"}
    assert named == set(environment.verbs())


def test_no_absolute_path_of_a_machine():
    """Nothing committed names a folder of the machine it was written on."""
    pattern = re.compile(r"(?<![\w.])/(?:root|home/[a-z]+|Users/[A-Za-z]+|tmp|work)/[\w.]")
    for path in committed():
        if path.suffix in (".py", ".md", ".ipynb", ".toml", ".yml", ".json", ".txt", ".cfg") and path != Path(__file__):
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)} names {found[0]}"


def test_ci_runs_what_readme_says():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or os.name == "nt"
    assert "set -euo pipefail" in text
    assert re.findall(r"^make (\w+)$", text, re.MULTILINE) == ["book", "test", "portable"]

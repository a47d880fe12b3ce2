"""The environment that a verb runs in: `.venv` with exactly the extras the verb needs, made and completed when it must be.

Standard library only: this runs before anything is installed. What is installed stands in `.venv/dlcourse.json` together with a hash
of pyproject.toml and constraints.txt, so that a second call finds nothing to do in milliseconds. While pip works the file is
`.venv/dlcourse.unfinished`; the next call mends what an interrupted one left behind.

Two variables change this: DLCOURSE_VENV names another folder, or `none` to take the running Python as it is; with CI=true a framework
that cannot be installed is an error, where a reader gets one sentence and goes on without it."""

import ast
import csv
import difflib
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = ("torch", "mlx")  # no build exists for some machines; the book and most tests do without
TITLES = {"torch": "PyTorch", "mlx": "MLX"}


class Failure(Exception):
    """One sentence for the reader; the process ends with code 1."""


def run(arguments):
    """Run `VERB ARGUMENTS`, in the environment that it needs."""
    known = verbs()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("python -m tools VERB [ARGUMENTS]   (or: make VERB)\n")
        for name, (_, text) in known.items():
            print(f"  {name:<12}{text}")
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in known:
        close = difflib.get_close_matches(verb, known, n=1)
        guess = f" (did you mean {close[0]}?)" if close else ""
        print(f"unknown verb {verb!r}{guess}: choose one of {', '.join(known)}", file=sys.stderr)
        return 2
    extras, _ = known[verb]
    try:
        if extras is not None and os.environ.get("DLCOURSE_VENV") != "none":
            python = prepare(venv_folder(), extras, verb)
            if not inside(venv_folder()):
                return hand_over([str(python), "-m", "tools", *arguments])
        os.chdir(ROOT)
        return importlib.import_module(f"tools.{verb}").main(rest) or 0
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. The next call of  {spoken(verb)}  mends what is half done.", file=sys.stderr)
        return 130


def verbs(folder=ROOT / "tools"):
    """{verb: (extras, first line of its docstring)}, read without importing: the modules may need what is not installed yet."""
    found = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXTRAS":
                text = (ast.get_docstring(tree) or "").partition("\n")[0]
                found[path.stem] = ast.literal_eval(node.value), text.partition("`: ")[2] or text
    return found


def venv_folder():
    return Path(os.environ.get("DLCOURSE_VENV") or ROOT / ".venv").absolute()


def venv_python(folder):
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def inside(folder):
    return Path(sys.prefix).resolve() == folder.resolve()


def hand_over(command):
    """Go on inside the environment; Windows has no exec that the shell waits for."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.run(command, env=environment).returncode
    return os.execve(command[0], command, environment)


def prepare(folder, extras, verb, install=None):
    """Make or complete the environment; return its Python. `install(folder, extras) -> bool` is pip, or a test's stand-in."""
    install = install or pip_install
    python, unfinished, stamp = venv_python(folder), folder / "dlcourse.unfinished", folder / "dlcourse.json"
    wanted, have = set(extras), read_stamp(stamp)
    if python.exists() and not unfinished.exists() and have["hash"] == fingerprint():
        if strict() and wanted & set(have["unavailable"]):
            have["unavailable"] = []  # CI asks again, and fails below when the answer is the same
        if wanted <= {*have["extras"], *have["unavailable"]}:
            report(have["unavailable"], wanted)
            return python
    make_venv(folder, verb)
    if unfinished.exists():
        mend(folder)
    unfinished.touch()
    same = have["hash"] == fingerprint()
    wanted = sorted(wanted | set(have["extras"] if same else ()))
    print(f"Installing what  {spoken(verb)}  needs into {folder.name} (once; some minutes) ...", flush=True)
    unavailable = [] if install(folder, wanted) else install_without_optional(folder, wanted, verb, install)
    if strict() and unavailable:
        raise Failure(f"{named(unavailable)} could not be installed, and in CI nothing may be left out: pip's messages above say why.")
    record = {"hash": fingerprint(), "extras": [extra for extra in wanted if extra not in unavailable], "unavailable": unavailable}
    part = stamp.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(part, stamp)
    unfinished.unlink()
    report(unavailable, set(extras))
    return python


def install_without_optional(folder, wanted, verb, install):
    """The frameworks one at a time, after everything else; returns those that pip could not install."""
    if not set(wanted) & set(OPTIONAL) or not install(folder, [extra for extra in wanted if extra not in OPTIONAL]):
        raise Failure(f"pip could not install what  {spoken(verb)}  needs: see its messages above, and call again (what is done is kept).")
    return [extra for extra in wanted if extra in OPTIONAL and not install(folder, [extra])]


def report(unavailable, wanted):
    for extra in unavailable:
        if extra in wanted:
            print(f"{TITLES[extra]} is left out, because pip could not install it here: to see why, run  {cure(extra)}")


def cure(extra):
    """The command that installs one extra into the environment in use."""
    folder = venv_folder()
    python = sys.executable if os.environ.get("DLCOURSE_VENV") == "none" else venv_python(folder)
    shown = os.path.relpath(python, ROOT) if Path(python).is_relative_to(ROOT) else python
    return f'{shown} -m pip install -e ".[{extra}]" -c constraints.txt'


def named(extras):
    return " and ".join(TITLES.get(extra, extra) for extra in extras)


def spoken(verb):
    """The command as this reader types it."""
    return f"make {verb}" if shutil.which("make") else f"python -m tools {verb}"


def strict():
    return os.environ.get("CI", "").lower() in ("true", "1")


def fingerprint(root=ROOT):
    """Changes with the requirements, the pins and the place of the checkout (an editable install points to it)."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def read_stamp(path):
    nothing = {"hash": "", "extras": [], "unavailable": []}
    try:
        return nothing | json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return nothing


def make_venv(folder, verb):
    """A virtual environment with a working pip in `folder`; one that exists is kept where it works."""
    python = venv_python(folder)
    version = venv_version(folder)
    if version and version < (3, 11):
        raise Failure(
            f"{folder.name} was made by Python {version[0]}.{version[1]} and the book needs 3.11 or newer: remove the folder and call again."
        )
    if python.exists() and quiet([python, "-m", "pip", "--version"]):
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        debian = (
            "sudo apt install python3-venv"
            if shutil.which("apt-get")
            else "the package of your system that holds Python's venv and ensurepip"
        )
        raise Failure(
            f"This Python cannot make a virtual environment, because its module ensurepip is missing: install it ({debian}) and call again."
        )
    print(f"Making {folder.name} with Python {platform.python_version()} ...", flush=True)
    half_done = folder.exists() and any(folder.iterdir())
    if half_done and python.exists() and quiet([python, "-m", "ensurepip"]) and quiet([python, "-m", "pip", "--version"]):
        return
    command = [sys.executable, "-m", "venv", *(["--clear"] if half_done else []), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "no message")
        raise Failure(f"{sys.executable} could not make {folder}: {last.strip()}")


def venv_version(folder):
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() in ("version", "version_info"):
            return tuple(int(part) for part in value.strip().split(".")[:2])
    return None


def quiet(command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=pip_environment()).returncode == 0
    except OSError:
        return False


def pip_environment():
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}


def pip_install(folder, extras):
    """`pip install -e .[extras] -c constraints.txt`; its account is shown on a terminal, only its complaints elsewhere."""
    target = f".[{','.join(extras)}]" if extras else "."
    command = [str(venv_python(folder)), "-m", "pip", "install", "-e", target, "-c", "constraints.txt"]
    if not sys.stdout.isatty():
        command.append("--quiet")
    return subprocess.run(command, cwd=ROOT, env=pip_environment()).returncode == 0


def mend(folder):
    """Forget every package that an interrupted pip left incomplete, so that pip installs it anew."""
    for packages in [*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]:
        for info in packages.glob("*.dist-info"):
            if not complete(info):
                shutil.rmtree(info)
        for left in packages.glob("~*"):  # what pip moved aside while it replaced a package
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def complete(info):
    """Whether every file that the package's RECORD lists is there; pip writes the RECORD last."""
    try:
        with open(info / "RECORD", encoding="utf-8", newline="") as file:
            return all((info.parent / row[0]).exists() for row in csv.reader(file) if row and not row[0].endswith(".pyc"))
    except OSError:
        return False

"""`python -m tools constraints`: write constraints.txt anew from what .venv holds.

Only packages that an extra of pyproject.toml reaches are written, without local version labels (torch 2.13.0+cpu is 2.13.0: pip takes
whatever build fits the machine)."""

import argparse
import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("book", "lab", "mlx", "test", "torch")
ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# The exact versions that the book's outputs were made with: written by `make constraints`, read by pip with -c.
# Ranges stand in pyproject.toml. Packages that only Windows or macOS needs are not listed.
"""


def main(arguments):
    argparse.ArgumentParser(prog="python -m tools constraints", description=__doc__).parse_args(arguments)
    pins = installed_closure()
    (ROOT / "constraints.txt").write_text(
        HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items())), encoding="utf-8"
    )
    print(f"{len(pins)} pins in constraints.txt")
    return 0


def installed_closure():
    """{name: version} of everything installed that the extras need, directly or not."""
    pins, queue, seen = {}, [(requirement, "") for requirement in requirements()], set()
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = normal(requirement.name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        pins[name] = distribution.version.partition("+")[0]
        for wanted in ("", *sorted(requirement.extras)):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                queue += [(Requirement(text), wanted) for text in distribution.requires or ()]
    return pins


def requirements(root=ROOT):
    """Every requirement of pyproject.toml on another package, whatever the extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != project["name"]]


def read_pins(root=ROOT):
    """{name: version} of constraints.txt."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line.strip() and not line.startswith("#"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

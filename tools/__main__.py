"""`python -m tools VERB`: makes .venv with what the verb needs, then runs the verb inside it. Standard library only.

A verb is a module `tools/<verb>.py` with `main(arguments) -> int` and the constant `EXTRAS`: the extras of pyproject.toml that it
needs, or None for a verb that needs no environment."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (this file stays readable for old Pythons, so that they get this sentence)
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write(
        "The book needs Python 3.11 or newer and this is " + version + ": call with another, as in  make book PYTHON=python3.12\n"
    )
    sys.exit(1)

from tools import environment

if __name__ == "__main__":
    sys.exit(environment.run(sys.argv[1:]))

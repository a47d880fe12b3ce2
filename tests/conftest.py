"""What all tests share: fixed threads, a seeded generator, frameworks that may be missing, and what the summary collects."""

import json
import os
import zlib
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["MLX_DISABLE_COMPILE"] = "1"  # mx.compile on the CPU would call a C++ compiler

import numpy as np  # noqa: E402  (BLAS reads the variables when NumPy is imported)
import pytest  # noqa: E402

pytest_plugins = ["tests.ledger_plugin"]
FRAMEWORKS = ("torch", "mlx")


@pytest.fixture
def rng(request):
    """A generator of the test's own, seeded with its name: the same numbers alone and among others, in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def record_parity(request):
    """`record_parity(name, error)`: the largest goes into _build/parity.json and from there into the summary."""

    def record(name, error):
        request.node.user_properties.append(("parity", [name, float(error)]))

    return record


def strict():
    return os.environ.get("CI", "").lower() in ("true", "1")


def absent_framework(error):
    """The framework whose absence caused an error, directly or as the cause of another; None for every other error."""
    while error is not None:
        name = getattr(error, "extra", None) or (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ImportError) and name in FRAMEWORKS:
            return name
        error = error.__cause__
    return None


def without_framework(item):
    """Run a phase of a test; on a reader's machine the absence of a framework is a skip that says so, in CI it stays an error."""
    try:
        return (yield)
    except ImportError as error:
        name = absent_framework(error)
        if name is None or strict():
            raise
        pytest.skip(f"{name} is not installed: run  pip install 'dlcourse[{name}]'")


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(without_framework)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(without_framework)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """The same for a test module that imports a framework in its head."""
    report = yield
    error = report.call.excinfo.value if report.failed and report.call.excinfo else None
    name = absent_framework(error)
    if name and not strict():
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 1, f"Skipped: {name} is not installed: run  pip install 'dlcourse[{name}]'")
        report.result = []
    return report


class Summary:
    """Collects what the tests recorded, in the controller when there are workers."""

    def __init__(self, config):
        self.config, self.parity = config, []

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.parity += [value for key, value in report.user_properties if key == "parity"]

    def pytest_sessionfinish(self):
        if self.parity and not hasattr(self.config, "workeroutput"):
            # NaN must win: it compares false with every number.
            name, worst = max(self.parity, key=lambda row: (row[1] != row[1], row[1]))
            target = Path(self.config.rootpath) / "_build" / "parity.json"
            target.parent.mkdir(exist_ok=True)
            target.write_text(
                json.dumps({"worst": worst, "name": name, "comparisons": len(self.parity)}, indent=1) + "\n", encoding="utf-8"
            )


def pytest_configure(config):
    config.pluginmanager.register(Summary(config), "summary")

"""pytest plug-in: which tests check which equations, and how large their errors are; loaded by tests/conftest.py.

A test names its equations with `@pytest.mark.equation("eq-linear", "eq-linear-vjp")` and compares with tests/equations.py. With
`formula_only=True` an equation may have no implementing function. At the end of the session the ledger goes to _build/ledger.json
(or where `--ledger` says); under xdist the controller writes it."""

from pathlib import Path

import pytest

from tests import equations
from tools import ledger

KEY = "equations"


def pytest_addoption(parser):
    parser.addoption("--ledger", metavar="FILE", help="write the ledger of equations to FILE (default: _build/ledger.json)")


def pytest_configure(config):
    config.addinivalue_line("markers", "equation(*labels, formula_only=False): the test checks these numbered equations of the book")
    config.pluginmanager.register(Collector(config), "ledger-collector")


def labels(item):
    """{label: formula_only} of the markers of a test."""
    found = {}
    for marker in item.iter_markers("equation"):
        unknown = set(marker.kwargs) - {"formula_only"}
        if not marker.args or unknown or not all(isinstance(label, str) for label in marker.args):
            raise pytest.UsageError(f"{item.nodeid}: write @pytest.mark.equation('eq-...', formula_only=False) with one label at least")
        for label in marker.args:
            found[label] = found.get(label, False) or bool(marker.kwargs.get("formula_only"))
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test with a marker fails when it compares nothing; its largest error travels with its report."""
    marked = labels(item)
    equations._record.clear()
    result = yield
    if marked:
        if not equations._record:
            raise AssertionError(f"{item.name} names {', '.join(marked)} but compared nothing: use the comparisons of tests/equations.py")
        item.user_properties.append((KEY, {"error": max(equations._record)}))
    return result


class Collector:
    def __init__(self, config):
        self.config = config
        self.root = Path(config.rootpath)
        self.tests = {}  # node id -> {"labels": {label: formula_only}, "error": float or None}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            if marked := labels(item):
                self.tests[item.nodeid] = {"labels": marked, "error": None}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        """The controller collects nothing itself; the workers send the labels at their end."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        for nodeid, marked in getattr(node, "workeroutput", {}).get(KEY, {}).items():
            self.tests.setdefault(nodeid, {"labels": {}, "error": None})["labels"] = marked  # its report may have come first

    def pytest_runtest_logreport(self, report):
        for key, value in report.user_properties:
            if report.when == "call" and key == KEY and report.passed:
                self.tests.setdefault(report.nodeid, {"labels": {}, "error": None})["error"] = value["error"]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[KEY] = {nodeid: test["labels"] for nodeid, test in self.tests.items()}
            return
        wanted = self.config.getoption("--ledger")
        if self.tests or wanted:
            target = Path(wanted) if wanted else self.root / "_build" / "ledger.json"
            contents, faults = ledger.assemble(self.root, self.tests)
            not_run = sorted(nodeid for nodeid, test in self.tests.items() if test["error"] is None)
            ledger.write(target, {**contents, "faults": faults, "not_run": not_run})

"""The book's own ledger: every equation is implemented and tested, and the committed file says so."""

import pytest

from tools import ledger


@pytest.fixture(scope="module")
def current():
    contents, faults, passed = ledger.run(ledger.ROOT, collect_only=True)
    assert passed, "the tests of the equations cannot be collected"
    return contents, faults


def test_no_fault(current):
    assert current[1] == []


def test_committed_ledger_is_up_to_date(current):
    assert ledger.differences(ledger.read(ledger.COMMITTED), current[0]) == []


def test_committed_ledger_knows_every_error(current):
    committed = ledger.read(ledger.COMMITTED)["equations"]
    assert committed
    assert [entry["label"] for entry in committed if not entry["error"] or not 1e-15 <= entry["error"] <= 1e-5] == []

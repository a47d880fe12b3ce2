"""No serious accessibility fault in dark, which differs in colours alone: only the rule about them is repeated."""

import pytest

from tests.browser.accessibility import serious_faults

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # it opens and judges some thirty pages


def test_no_serious_accessibility_fault_in_dark(browser, built, home):
    assert serious_faults(browser, built, home, "dark", runOnly={"type": "rule", "values": ["color-contrast"]}) == []

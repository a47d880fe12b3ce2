"""No serious accessibility fault in light."""

import pytest

from tests.browser.accessibility import serious_faults

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # it opens and judges some thirty pages


def test_no_serious_accessibility_fault_in_light(browser, built, home):
    assert serious_faults(browser, built, home, "light") == []

"""Tests on real hardware; without it they are skipped, and the last lines of pytest say so."""

import pytest

from cormorant_np.backend import check_device
from cormorant_np.errors import UserError


def why_not():
    """Why there is no GPU to test on; None if there is one."""
    try:
        check_device("gpu")
    except UserError as error:
        return str(error)
    return None


REASON = why_not()


@pytest.fixture(autouse=True)
def gpu():
    if REASON:
        pytest.skip(REASON)


def pytest_terminal_summary(terminalreporter):
    if REASON:
        terminalreporter.section("GPU: NOT tested", yellow=True)
        terminalreporter.line(f"The tests of tests/gpu were skipped. {REASON}")
    else:
        import cupy

        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        terminalreporter.section(f"GPU: tested on {name}", green=True)

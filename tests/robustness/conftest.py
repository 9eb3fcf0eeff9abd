"""A run that nothing has disturbed."""

import pytest

from .tools import TINY, trained


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """The directory of a tiny run, trained without a break; nobody may write into it."""
    return trained(tmp_path_factory.mktemp("straight") / "run", TINY)

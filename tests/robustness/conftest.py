"""A run that nothing has disturbed."""

import pytest

from cormorant_np import train

from .tools import TINY, called


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """The directory of a tiny run, trained without a break; nobody may write into it."""
    run_dir = tmp_path_factory.mktemp("straight") / "run"
    code, _, err = called(train.main, *TINY, "--run-dir", run_dir)
    assert code == 0, err
    return run_dir

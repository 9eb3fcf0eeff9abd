"""What can be seen of a run while it goes on."""

import dataclasses
import importlib.util
import sys

import pytest

from cormorant_np.errors import UserError
from cormorant_np.training import reporting
from cormorant_np.training.loop import train
from cormorant_np.training.settings import Settings

TINY = Settings(
    num_train=20, num_valid=5, num_test=5, batch_size=5, epochs=2, num_channels=2, num_layers=1, l_max=1, threads=1
)


def test_the_learning_curve_is_drawn_while_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_PICTURES", 0)
    train(TINY, tmp_path / "run")
    assert (tmp_path / "run" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_is_new_is_not_drawn_again(tmp_path):
    train(TINY, tmp_path / "run")
    assert not (tmp_path / "run" / "learning_curve.png").exists()


def test_without_tensorboard_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        train(dataclasses.replace(TINY, tensorboard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="needs tensorboardX")
def test_tensorboard_has_every_epoch(tmp_path):
    train(dataclasses.replace(TINY, tensorboard=True), tmp_path / "run")
    files = list((tmp_path / "run" / "tensorboard").iterdir())
    assert all(b"valid_mae" in file.read_bytes() for file in files) and len(files) == 2

"""Standard streams that are closed, as by some schedulers: a run is none the worse for it."""

import os

import pytest

from cormorant_np import evaluate

from .tools import TINY, begin, called, differences, ended


@pytest.mark.skipif(os.name == "nt", reason="closes descriptors before the program starts")
@pytest.mark.parametrize("descriptors", [(2,), (0, 1, 2)])
def test_a_run_whose_streams_are_closed_has_the_bits_of_another(descriptors, straight, tmp_path):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)

    code, *_ = ended(begin("train", *TINY, "--run-dir", tmp_path / "run", preexec_fn=close))
    assert code == 0
    assert differences(tmp_path / "run", straight) == []


def test_a_sentence_ends_with_one_mark(tmp_path):
    code, _, err = called(evaluate.main, "--run-dir", tmp_path / "nowhere")
    assert code == 2 and err.endswith("the directory of a run?\n")

"""As much of `cupy.cuda` as anyone needs."""

from types import SimpleNamespace


def get_current_stream():
    return SimpleNamespace(synchronize=lambda: None)

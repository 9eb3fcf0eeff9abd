"""As much of `cupy.cuda` as anyone needs: two devices, of which one is in use."""

from types import SimpleNamespace

current = 0

runtime = SimpleNamespace(
    getDeviceProperties=lambda device: {"name": b"no GPU, but a stand-in for CuPy"}, getDeviceCount=lambda: 2
)


class Device:
    """A device by its number, without one that in use."""

    def __init__(self, device=None):
        self.id = current if device is None else device

    def use(self):
        global current
        assert 0 <= self.id < runtime.getDeviceCount()
        current = self.id


def get_current_stream():
    return SimpleNamespace(synchronize=lambda: None)

"""Turns what the NVIDIA driver says of a GPU into the most memory that was in use at once while a program ran."""

import contextlib
import ctypes
import os
import threading


class Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Peak:
    """Megabytes in use before, and the most since; of all programs on the GPU together."""

    def __init__(self, before: float):
        self.before = self.most = before

    @property
    def mb(self) -> float:
        return self.most - self.before


@contextlib.contextmanager
def watched(device: str, interval: float = 0.01):
    """A `Peak` of `device`, such as `cuda:0`, kept up to date until the block ends. None on the CPU."""
    if not device.startswith("cuda"):
        yield None
        return
    used = reader(int(device.partition(":")[2] or 0))
    peak, ended = Peak(used()), threading.Event()

    def watch():
        while not ended.wait(interval):
            peak.most = max(peak.most, used())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def reader(number: int):
    """A function that returns how many megabytes of GPU `number`, as CUDA counts by bus, are in use."""
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    check(nvml.nvmlInit_v2(), "nvmlInit")
    handle = ctypes.c_void_p()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = visible.split(",")[number].strip() if visible else str(number)
    if name.isdigit():
        check(nvml.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle)), f"GPU {name}")
    else:
        check(nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle)), f"GPU {name}")

    def used() -> float:
        memory = Memory()
        check(nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)), f"memory of GPU {name}")
        return memory.used / 2**20

    return used


def check(code: int, what: str) -> None:
    if code != 0:
        raise OSError(f"{what}: the NVIDIA driver answers with error {code}")

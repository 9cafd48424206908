"""What the peers' programs share: the request's words, images drawn one after the other, and what they took."""

import argparse
import ctypes
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def arguments(description: str, **own: type) -> argparse.Namespace:
    """The request that all programs take, and what is this one's `own`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--reference", required=True, help="a picture, or several with colons between them")
    for name in ("--model", "--prompt", "--out", "--short-out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--dtype", required=True, choices=DTYPES)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--short-steps", type=int, required=True, help="steps of the image that the time is compared with")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="width and height in pixels")
    parser.add_argument("--images", type=int, required=True, help="how often the image is made after the first")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    for name, kind in own.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    request = parser.parse_args()
    request.dtype = DTYPES[request.dtype]
    return request


def loaded(request: argparse.Namespace, start: float) -> float:
    """Seconds since `start`, once the device has everything."""
    if request.device != "cpu":
        torch.cuda.synchronize(request.device)
    return time.perf_counter() - start


def measure(request: argparse.Namespace, load: float, draw: Callable[[int], Image.Image]) -> None:
    """Draws as often as is asked for, and prints what it took as one line of JSON.

    A step is what one more step adds to a whole call: the call returns an image, so that the device has done all
    of it, while a callback only tells that a step was queued."""

    def timed(steps: int, out: str) -> float:
        start = time.perf_counter()
        image = draw(steps)
        seconds = time.perf_counter() - start
        image.save(out)
        return seconds

    first = timed(request.steps, request.out)
    phase_ends("first")
    short, images = [], []
    for _ in range(request.images):
        short.append(timed(request.short_steps, request.short_out))
        phase_ends("short")
        images.append(timed(request.steps, request.out))
        phase_ends("long")
    more = request.steps - request.short_steps
    step = statistics.median((long - brief) / more for brief, long in zip(short, images))
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    row = {"load": load, "first": first, "short": short, "images": images, "step": step}
    row["peak_mb"] = int(peak.split()[1]) / 1024
    if request.device != "cpu":
        row["torch_peak_mb"] = torch.cuda.max_memory_allocated(request.device) / 2**20
    print(json.dumps(row))


def phase_ends(phase: str) -> None:
    """Tells the list of kernels, where one is made (benches/device/kernels.cpp), what to call those so far."""
    if path := os.environ.get("CUDA_INJECTION64_PATH"):
        ctypes.CDLL(path).kernels_mark(phase.encode())

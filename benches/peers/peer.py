"""What the peers' programs share: the request's words, images drawn one after the other, and what they took."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image


def arguments(description: str, **own: type) -> argparse.Namespace:
    """The request that all programs take, and what is this one's `own`."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("--model", "--reference", "--prompt", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="width and height in pixels")
    parser.add_argument("--images", type=int, required=True, help="how often the image is made; each is timed")
    for name, kind in own.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    return parser.parse_args()


def measure(request: argparse.Namespace, load: float, draw: Callable[[Callable], Image.Image]) -> None:
    """Draws as often as is asked for, and prints what it took as one line of JSON. `draw` takes what diffusers'
    pipelines call after each step."""
    images, steps = [], []
    for _ in range(request.images):
        ends = []

        def step_ended(_pipeline, _index, _timestep, tensors, ends=ends):
            ends.append(time.perf_counter())
            return tensors

        start = time.perf_counter()
        image = draw(step_ended)
        images.append(time.perf_counter() - start)
        steps += [after - before for before, after in zip(ends, ends[1:])]
    image.save(request.out)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"load": load, "images": images, "steps": steps, "peak_mb": int(peak.split()[1]) / 1024}))

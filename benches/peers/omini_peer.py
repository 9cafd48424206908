"""Turns one request into an image with OminiControl's own program, and prints what it took as one line of JSON."""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from diffusers import FluxPipeline
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from omini_reference import draw_omini, load_program  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--lora", "--reference", "--prompt", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--position-delta", type=int, required=True, help="columns")
    parser.add_argument("--condition-size", type=int, required=True, help="width and height in pixels")
    parser.add_argument("--max-sequence-length", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="width and height in pixels")
    parser.add_argument("--images", type=int, required=True, help="how often the image is made; each is timed")
    request = parser.parse_args()
    program = load_program()

    start = time.perf_counter()
    pipeline = FluxPipeline.from_pretrained(request.model)
    lora = Path(request.lora)
    pipeline.load_lora_weights(lora.parent, weight_name=lora.name, adapter_name="subject")
    pipeline.set_progress_bar_config(disable=True)
    load = time.perf_counter() - start

    reference = Image.open(request.reference).convert("RGB").resize((request.condition_size,) * 2)
    images, steps = [], []
    for _ in range(request.images):
        ends = []

        def step_ended(_pipeline, _index, _timestep, tensors, ends=ends):
            ends.append(time.perf_counter())
            return tensors

        start = time.perf_counter()
        image = draw_omini(
            program,
            pipeline,
            request.prompt,
            reference,
            delta=(0, request.position_delta),
            latents="mean",
            seed=request.seed,
            num_inference_steps=request.steps,
            width=request.size,
            height=request.size,
            max_sequence_length=request.max_sequence_length,
            callback_on_step_end=step_ended,
        )
        images.append(time.perf_counter() - start)
        steps += [after - before for before, after in zip(ends, ends[1:])]
    image.save(request.out)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"load": load, "images": images, "steps": steps, "peak_mb": int(peak.split()[1]) / 1024}))


main()

"""Turns one request into an image with diffusers, and prints what it took as one line of JSON."""

import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--ip-adapter", "--image-encoder", "--reference", "--prompt", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--guidance", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="width and height in pixels")
    parser.add_argument("--images", type=int, required=True, help="how often the image is made; each is timed")
    request = parser.parse_args()

    start = time.perf_counter()
    pipeline = StableDiffusionXLPipeline.from_pretrained(request.model)
    adapter = Path(request.ip_adapter)
    # The encoder's folder is named relative to the adapter's.
    pipeline.load_ip_adapter(
        str(adapter.parent), subfolder="", weight_name=adapter.name, image_encoder_folder=Path(request.image_encoder).name
    )
    pipeline.set_ip_adapter_scale(request.scale)
    pipeline.set_progress_bar_config(disable=True)
    load = time.perf_counter() - start

    reference = Image.open(request.reference).convert("RGB")
    images, steps = [], []
    for _ in range(request.images):
        ends = []

        def step_ended(_pipeline, _index, _timestep, tensors, ends=ends):
            ends.append(time.perf_counter())
            return tensors

        start = time.perf_counter()
        image = pipeline(
            request.prompt,
            ip_adapter_image=reference,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            width=request.size,
            height=request.size,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            callback_on_step_end=step_ended,
        ).images[0]
        images.append(time.perf_counter() - start)
        steps += [after - before for before, after in zip(ends, ends[1:])]
    image.save(request.out)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"load": load, "images": images, "steps": steps, "peak_mb": int(peak.split()[1]) / 1024}))


main()

"""Turns one request into an image with OmniGen in diffusers, and prints what it took as one line of JSON."""

import os
import sys
import time
from pathlib import Path

import torch
from diffusers import OmniGenPipeline
from PIL import Image

from peer import arguments, loaded, measure

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from omnigen_checkpoint import draw_omnigen  # noqa: E402


def main() -> None:
    request = arguments(__doc__, guidance=float, image_guidance=float, max_input_image_size=int, reference_latents=str)
    start = time.perf_counter()
    pipeline = OmniGenPipeline.from_pretrained(request.model, torch_dtype=request.dtype)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(request.device)
    load = loaded(request, start)
    if request.compile:
        pipeline.transformer = torch.compile(pipeline.transformer)

    names = [name for name in request.reference.split(os.pathsep) if name]
    references = [Image.open(name).convert("RGB") for name in names]

    def draw(steps: int) -> Image.Image:
        return draw_omnigen(
            pipeline,
            request.prompt,
            references or None,
            seed=request.seed,
            latents=request.reference_latents,
            num_inference_steps=steps,
            guidance_scale=request.guidance,
            img_guidance_scale=request.image_guidance,
            max_input_image_size=request.max_input_image_size,
            width=request.size,
            height=request.size,
        )

    measure(request, load, draw)


main()

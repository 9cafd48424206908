"""Turns one request into an image with diffusers, and prints what it took as one line of JSON."""

import time
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from peer import arguments, measure


def main() -> None:
    request = arguments(__doc__, ip_adapter=str, image_encoder=str, scale=float, guidance=float)
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

    def draw(step_ended):
        return pipeline(
            request.prompt,
            ip_adapter_image=reference,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            width=request.size,
            height=request.size,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            callback_on_step_end=step_ended,
        ).images[0]

    measure(request, load, draw)


main()

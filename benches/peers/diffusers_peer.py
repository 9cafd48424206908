"""Turns one request into an image with diffusers, and prints what it took as one line of JSON."""

import time
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from peer import arguments, loaded, measure


def main() -> None:
    request = arguments(__doc__, ip_adapter=str, image_encoder=str, scale=float, guidance=float)
    start = time.perf_counter()
    pipeline = StableDiffusionXLPipeline.from_pretrained(request.model, torch_dtype=request.dtype)
    adapter = Path(request.ip_adapter)
    # The encoder's folder is named relative to the adapter's.
    pipeline.load_ip_adapter(
        str(adapter.parent), subfolder="", weight_name=adapter.name, image_encoder_folder=Path(request.image_encoder).name
    )
    pipeline.set_ip_adapter_scale(request.scale)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(request.device)
    load = loaded(request, start)
    if request.compile:
        pipeline.unet = torch.compile(pipeline.unet)

    reference = Image.open(request.reference).convert("RGB")

    def draw(steps: int) -> Image.Image:
        return pipeline(
            request.prompt,
            ip_adapter_image=reference,
            num_inference_steps=steps,
            guidance_scale=request.guidance,
            width=request.size,
            height=request.size,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images[0]

    measure(request, load, draw)


main()

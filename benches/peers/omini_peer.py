"""Turns one request into an image with OminiControl's own program, and prints what it took as one line of JSON."""

import sys
import time
from pathlib import Path

import torch
from diffusers import FluxPipeline
from PIL import Image

from peer import arguments, loaded, measure

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from omini_reference import draw_omini, load_program  # noqa: E402


def main() -> None:
    request = arguments(__doc__, lora=Path, position_delta=int, condition_size=int, max_sequence_length=int)
    program = load_program()
    start = time.perf_counter()
    pipeline = FluxPipeline.from_pretrained(request.model, torch_dtype=request.dtype)
    pipeline.load_lora_weights(request.lora.parent, weight_name=request.lora.name, adapter_name="subject")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(request.device)
    load = loaded(request, start)
    blocks = {}
    if request.compile:  # Each kind of block once: the program calls these, not the blocks' own `forward`.
        blocks = {name: torch.compile(getattr(program, name)) for name in ("block_forward", "single_block_forward")}

    reference = Image.open(request.reference).convert("RGB").resize((request.condition_size,) * 2)

    def draw(steps: int) -> Image.Image:
        return draw_omini(
            program,
            pipeline,
            request.prompt,
            reference,
            delta=(0, request.position_delta),
            latents="mean",
            seed=request.seed,
            # The starting noise is the CPU's on every device.
            generator=torch.Generator("cpu").manual_seed(request.seed),
            num_inference_steps=steps,
            width=request.size,
            height=request.size,
            max_sequence_length=request.max_sequence_length,
            transformer_kwargs=blocks,
        )

    measure(request, load, draw)


main()

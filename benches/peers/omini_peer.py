"""Turns one request into an image with OminiControl's own program, and prints what it took as one line of JSON."""

import sys
import time
from pathlib import Path

from diffusers import FluxPipeline
from PIL import Image

from peer import arguments, measure

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from omini_reference import draw_omini, load_program  # noqa: E402


def main() -> None:
    request = arguments(__doc__, lora=Path, position_delta=int, condition_size=int, max_sequence_length=int)
    program = load_program()
    start = time.perf_counter()
    pipeline = FluxPipeline.from_pretrained(request.model)
    pipeline.load_lora_weights(request.lora.parent, weight_name=request.lora.name, adapter_name="subject")
    pipeline.set_progress_bar_config(disable=True)
    load = time.perf_counter() - start

    reference = Image.open(request.reference).convert("RGB").resize((request.condition_size,) * 2)

    def draw(step_ended):
        return draw_omini(
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

    measure(request, load, draw)


main()

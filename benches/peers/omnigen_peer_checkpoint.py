"""Writes a random OmniGen checkpoint and pictures for references, in the layout that is released.

The weights are random: speed, memory and equality of two programs do not depend on what they say.
"""

import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from omnigen_checkpoint import open_omnigen, write_omnigen  # noqa: E402
from sdxl_checkpoint import picture  # noqa: E402


def write(folder: Path) -> int:
    """Writes the checkpoint under `folder` and returns how many values it holds."""
    write_omnigen(
        folder / "model",
        0,
        tokenizer={},
        # Heads of 96 values, positions and the length from which they are long, as released.
        transformer=dict(
            hidden_size=768,
            num_attention_heads=8,
            intermediate_size=2048,
            num_layers=8,
            pos_embed_max_size=64,
            max_position_embeddings=131072,
            original_max_position_embeddings=4096,
            time_step_dim=256,
        ),
        vae=dict(block_out_channels=(32, 64, 128, 128), layers_per_block=2, norm_num_groups=32, sample_size=256),
        dtype=torch.float32,
    )
    for number in (1, 2, 3):
        picture(512, 512, number).save(folder / f"reference_{number}.png")
    pipeline = open_omnigen(folder / "model")
    return sum(p.numel() for module in (pipeline.transformer, pipeline.vae) for p in module.parameters())

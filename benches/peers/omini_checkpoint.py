"""Writes a random FLUX.1-schnell checkpoint with an OminiControl LoRA, in the layouts that are released.

The weights are random: speed, memory and equality of two programs do not depend on what they say.
"""

import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "fixtures"))

from flux_checkpoint import open_flux, write_flux  # noqa: E402
from omini_reference import REDUCED, write_lora  # noqa: E402
from sdxl_checkpoint import picture  # noqa: E402


def write(folder: Path) -> int:
    """Writes the checkpoint under `folder` and returns how many values it holds."""
    width = 384
    write_flux(
        folder / "model",
        0,
        tokenizer=dict(merges=60),
        tokenizer_2=dict(pieces=110),
        text=dict(hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=4),
        text_2=dict(d_model=256, d_kv=64, d_ff=640, num_layers=6, num_heads=4, feed_forward_proj="gated-gelu"),
        transformer=dict(num_layers=5, num_single_layers=10, attention_head_dim=128, num_attention_heads=width // 128),
        vae=dict(block_out_channels=(32, 64, 128, 128), layers_per_block=2, norm_num_groups=32, sample_size=256),
        scheduler=dict(shift=1.0),
        dtype=torch.float32,
    )
    pipeline = open_flux(folder / "model")
    write_lora(folder / "subject.safetensors", pipeline.transformer, REDUCED, [16], 1)
    picture(256, 256, 2).save(folder / "reference.png")
    modules = (pipeline.transformer, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    return sum(p.numel() for module in modules for p in module.parameters())

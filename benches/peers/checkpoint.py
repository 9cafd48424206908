"""Turns a seed into an SDXL checkpoint with an IP-Adapter-plus, in the layouts that are released.

The weights are random: speed, memory and equality of two programs do not depend on what they say.
"""

import json
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

TEXT, TEXT_2, VISION = 192, 320, 384  # widths of the encoders
CROSS = TEXT + TEXT_2


def write(folder: Path) -> int:
    """Writes the checkpoint under `folder` and returns how many values it holds."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(96, 192, 384),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 3, 6),
        cross_attention_dim=CROSS,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=64,
        projection_class_embeddings_input_dim=6 * 64 + TEXT_2,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 128, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=256,
        scaling_factor=0.13025,
        force_upcast=False,
    )
    text = CLIPTextModel(text_config(TEXT, "quick_gelu"))
    text_2 = CLIPTextModelWithProjection(text_config(TEXT_2, "gelu"))
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=VISION,
            intermediate_size=4 * VISION,
            projection_dim=VISION,
            num_hidden_layers=6,
            num_attention_heads=6,
            image_size=224,
            patch_size=16,
            hidden_act="gelu",
        )
    )
    tokenizer = make_tokenizer(folder / "words")
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text,
        text_encoder_2=text_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
        ),
    )
    pipeline.save_pretrained(folder / "model")
    vision.save_pretrained(folder / "image_encoder")
    CLIPImageProcessor().save_pretrained(folder / "image_encoder")
    adapter = write_adapter(folder / "ip-adapter-plus.safetensors", unet)
    pixels = numpy.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(folder / "reference.png")
    modules = (unet, vae, text, text_2, vision)
    return adapter + sum(p.numel() for module in modules for p in module.parameters())


def text_config(width: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=6,
        num_attention_heads=width // 64,
        hidden_act=activation,
        bos_token_id=512,
        eos_token_id=513,
    )


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer that knows single bytes and no merges."""
    shown = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = [chr(byte) for byte in shown] + [chr(256 + index) for index in range(len(hidden))]
    words = letters + [letter + "</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def write_adapter(path: Path, unet: UNet2DConditionModel) -> int:
    """Writes the file as it is released: layers numbered 1, 3, … in the order down, up, mid."""
    tensors = {f"image_proj.{name}": value for name, value in resampler(depth=4, heads=8, queries=16).items()}
    number = 1
    for name in unet.attn_processors:
        if "attn2" not in name:
            continue
        width = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        for part in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{number}.{part}.weight"] = torch.randn(width, CROSS) / CROSS**0.5
        number += 2
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return sum(value.numel() for value in tensors.values())


def resampler(depth: int, heads: int, queries: int) -> dict:
    """Tensors of the perceiver that turns an image's patches into `queries` tokens; heads are 64 wide."""

    def linear(outputs: int, inputs: int) -> torch.Tensor:
        return torch.randn(outputs, inputs) / inputs**0.5

    def norm(name: str) -> dict:
        return {f"{name}.weight": torch.ones(CROSS), f"{name}.bias": torch.zeros(CROSS)}

    inner = 64 * heads
    tensors = {
        "latents": torch.randn(1, queries, CROSS) / CROSS**0.5,
        "proj_in.weight": linear(CROSS, VISION),
        "proj_in.bias": torch.zeros(CROSS),
        "proj_out.weight": linear(CROSS, CROSS),
        "proj_out.bias": torch.zeros(CROSS),
        **norm("norm_out"),
    }
    for layer in range(depth):
        name = f"layers.{layer}"
        tensors |= norm(f"{name}.0.norm1") | norm(f"{name}.0.norm2") | norm(f"{name}.1.0")
        tensors |= {
            f"{name}.0.to_q.weight": linear(inner, CROSS),
            f"{name}.0.to_kv.weight": linear(2 * inner, CROSS),
            f"{name}.0.to_out.weight": linear(CROSS, inner),
            f"{name}.1.1.weight": linear(4 * CROSS, CROSS),
            f"{name}.1.3.weight": linear(CROSS, 4 * CROSS),
        }
    return tensors

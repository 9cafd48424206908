"""Turns the inventories of released checkpoints into checkpoints of the same size and layout with random weights.

    python real_size.py sdxl FOLDER    # SDXL, its IP-Adapter-plus and its image encoder: 8.6 GB
    python real_size.py flux FOLDER    # FLUX.1-schnell with an OminiControl LoRA: 33.8 GB, with --short-text 24.6 GB
    python real_size.py omnigen FOLDER # OmniGen and pictures for three references: 7.9 GB

It takes torch and Pillow. The weights are random: speed and memory do not depend on what they say. They are made on
`--device` and written through a map of the file, so that a GPU takes seconds. `--toy` keeps all layers and their names
and makes them narrow: what runs on that runs on the real size.
"""

import argparse
import json
import math
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
# The modules of FLUX that `omini/subject_512` of Yuanshi/OminiControl adapts, and its rank.
ADAPTED, RANK = re.compile(r"(?:\.norm1?\.linear|\.attn\.to_[qk])\.weight$"), 16

# What `--toy` makes of the sides of each component's tensors; a side that is not listed stays.
CLIP_TOY = {768: 64, 3072: 256, 1280: 128, 5120: 512, 1024: 64, 49408: 1024}
VAE_TOY = {128: 32, 256: 64, 512: 128}
TOY = {
    "unet": {n * 320: n * 32 for n in (1, 2, 3, 4, 6, 8, 16, 32)} | {2048: 64 + 128, 2816: 128 + 6 * 256},
    "vae": VAE_TOY,
    "text_encoder": CLIP_TOY,
    "text_encoder_2": CLIP_TOY,
    "image_encoder": CLIP_TOY,
    "ip_adapter": {640: 64, 1280: 128, 2048: 64 + 128, 2560: 256, 5120: 512},
    "flux_transformer": {n * 3072: n * 128 for n in (1, 2, 3, 4, 5, 6)} | {4096: 128, 768: 64},
    "flux_vae": VAE_TOY,
    "t5_encoder": {4096: 128, 10240: 320, 64: 2, 32128: 1024},
    "omnigen_transformer": {n * 3072: n * 96 for n in (1, 2)} | {8192: 256, 16384: 512, 32064: 1024, 36864: 576},
}
# What it makes of their configs beside the widths, which are sides too.
WIDTHS = (
    "block_out_channels", "cross_attention_dim", "projection_class_embeddings_input_dim", "hidden_size",
    "intermediate_size", "projection_dim", "vocab_size", "joint_attention_dim", "pooled_projection_dim", "d_model", "d_ff",
)  # fmt: skip
TOY_CONFIG = {
    "unet": {"attention_head_dim": [1, 1, 2]},
    "text_encoder": {"num_attention_heads": 1},
    "text_encoder_2": {"num_attention_heads": 2},
    "image_encoder": {"num_attention_heads": 2},
    "flux_transformer": {"num_attention_heads": 1},
    "t5_encoder": {"num_heads": 2},
    # Its positions are a table of 24 x 24.
    "omnigen_transformer": {
        "num_attention_heads": 1, "num_key_value_heads": 1, "pos_embed_max_size": 24, "pad_token_id": 2,
    },
}
# What `--short-text` leaves of the text encoders' layers. SDXL reads the last but one.
SHORT_TEXT = {"text_encoder": 2, "text_encoder_2": 2, "t5_encoder": 1}
LAYER = re.compile(r"(?:encoder\.layers|encoder\.block)\.(\d+)\.")


class Writer:
    """Writes components into a folder, and counts their values."""

    def __init__(self, folder: Path, device: str = "cpu", toy: bool = False, short_text: bool = False):
        self.folder, self.device, self.toy, self.short_text = folder, torch.device(device), toy, short_text
        self.values = 0

    def sdxl(self) -> None:
        """`model/`, `image_encoder/` and `ip-adapter-plus.safetensors`, which is released in f16."""
        self.pipeline("sdxl/wide", "sdxl/wide/tokenizer_2")
        self.component("unet", "model/unet/diffusion_pytorch_model")
        self.component("vae", "model/vae/diffusion_pytorch_model")
        self.component("text_encoder", "model/text_encoder/model")
        self.component("text_encoder_2", "model/text_encoder_2/model")
        self.component("image_encoder", "image_encoder/model")
        side = json.loads((self.folder / "image_encoder/config.json").read_text())["image_size"]
        processor = json.loads((FIXTURES / "clip/model/preprocessor_config.json").read_text())
        sizes = {"crop_size": {"height": side, "width": side}, "size": {"shortest_edge": side}}
        (self.folder / "image_encoder/preprocessor_config.json").write_text(json.dumps(processor | sizes))
        self.write("ip-adapter-plus.safetensors", self.shapes("ip_adapter"), torch.float16)

    def flux(self) -> None:
        """`model/` and `subject.safetensors`, an OminiControl LoRA of the released size."""
        self.pipeline("flux/schnell", "flux/dev/tokenizer_2")
        self.component("flux_transformer", "model/transformer/diffusion_pytorch_model")
        self.component("flux_vae", "model/vae/diffusion_pytorch_model")
        self.component("text_encoder", "model/text_encoder/model")
        self.component("t5_encoder", "model/text_encoder_2/model")
        lora = {}
        for name, shape in self.shapes("flux_transformer").items():
            if ADAPTED.search(name):
                module = f"transformer.{name.removesuffix('.weight')}"
                lora |= {f"{module}.lora_A.weight": [RANK, shape[1]], f"{module}.lora_B.weight": [shape[0], RANK]}
        self.write("subject.safetensors", lora, torch.bfloat16)

    def omnigen(self) -> None:
        """`model/`, and `reference_1.png` to `reference_3.png`, each as large as OmniGen takes references."""
        self.pipeline("omnigen/plain")
        self.component("omnigen_transformer", "model/transformer/diffusion_pytorch_model")
        self.component("vae", "model/vae/diffusion_pytorch_model")
        for number in (1, 2, 3):
            self.picture(f"reference_{number}.png", 1024, 1024, number)

    def pipeline(self, fixture: str, tokenizer_2: str | None = None) -> None:
        """What a pipeline has beside its networks. The tokenizers know few words, which all tables of tokens hold."""
        model = self.folder / "model"
        model.mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURES / fixture / "model_index.json", model)
        sources = {"scheduler": f"{fixture}/scheduler", "tokenizer": f"{fixture}/tokenizer", "tokenizer_2": tokenizer_2}
        for name, source in sources.items():
            if source:
                shutil.copytree(FIXTURES / source, model / name, dirs_exist_ok=True)
        self.picture("reference.png", 260, 300, 0)

    def picture(self, name: str, width: int, height: int, seed: int) -> None:
        """A picture of noise."""
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(self.folder / name)

    def component(self, name: str, file: str) -> None:
        """A component's tensors in bf16, with its config."""
        config = json.loads((FIXTURES / "inventories" / f"{name}.config.json").read_text())
        if self.toy:
            sides = TOY[name]
            narrow = lambda value: [narrow(x) for x in value] if isinstance(value, list) else sides.get(value, value)
            config |= {key: narrow(config[key]) for key in WIDTHS if key in config} | TOY_CONFIG.get(name, {})
        if self.short_text and name in SHORT_TEXT:
            config["num_layers" if name == "t5_encoder" else "num_hidden_layers"] = SHORT_TEXT[name]
        path = self.folder / f"{file}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "config.json").write_text(json.dumps(config, indent=1))
        self.write(f"{file}.safetensors", self.shapes(name), torch.bfloat16)

    def shapes(self, name: str) -> dict:
        """Names and shapes of a component's tensors."""
        shapes = json.loads((FIXTURES / "inventories" / f"{name}.json").read_text())
        # The table of T5 is in its inventory by both its names; a file holds it once.
        shapes.pop("encoder.embed_tokens.weight", None)
        if self.short_text and name in SHORT_TEXT:
            layers = SHORT_TEXT[name]
            kept = lambda found: found is None or int(found[1]) < layers
            shapes = {key: shape for key, shape in shapes.items() if kept(LAYER.search(key))}
        sides = TOY[name] if self.toy else {}
        return {key: [sides.get(side, side) for side in shape] for key, shape in shapes.items()}

    def write(self, file: str, shapes: dict, dtype: torch.dtype) -> None:
        """A safetensors file of random tensors. It is mapped and written in place: a copy of it would not fit
        everywhere."""
        header, end, width = {"__metadata__": {"format": "pt"}}, 0, dtype.itemsize
        for name, shape in shapes.items():
            begin, end = end, end + math.prod(shape) * width
            stored = {torch.bfloat16: "BF16", torch.float16: "F16"}[dtype]
            header[name] = {"dtype": stored, "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        head = len(text).to_bytes(8, "little") + text
        path = self.folder / file
        path.write_bytes(b"")
        whole = torch.from_file(str(path), shared=True, size=len(head) + end, dtype=torch.uint8)
        whole[: len(head)] = torch.frombuffer(bytearray(head), dtype=torch.uint8)
        data = whole[len(head) :]
        on_cpu = self.device.type == "cpu"
        if not on_cpu:
            data.zero_()  # All cores make the pages; the copies below would wait for one core that does.
            largest = max(math.prod(shape) for shape in shapes.values())
            pinned = torch.empty(largest, dtype=dtype, pin_memory=True)

        def make(numbered):
            seed, (name, shape) = numbered
            begin, stop = header[name]["data_offsets"]
            place = data[begin:stop].view(dtype)
            made = place if on_cpu else torch.empty_like(place, device=self.device)
            fill(made.view(shape), name, torch.Generator(self.device).manual_seed(seed))
            if not on_cpu:
                place.copy_(pinned[: len(made)].copy_(made))

        with ThreadPoolExecutor(os.cpu_count() if on_cpu else 1) as threads:
            list(threads.map(make, enumerate(shapes.items())))
        self.values += end // width


def fill(tensor: torch.Tensor, name: str, generator: torch.Generator) -> None:
    """Weights that keep the size of what passes through; norms that do nothing; no biases."""
    if tensor.ndim > 1:
        bound = math.sqrt(3 / math.prod(tensor.shape[1:]))
        tensor.uniform_(-bound, bound, generator=generator)
    else:
        tensor.fill_(float(name.endswith("weight")))


def write(folder: Path, work: str = "sdxl", **how) -> int:
    """Writes the checkpoint of `work` under `folder` and returns how many values it holds."""
    writer = Writer(folder, **how)
    {"sdxl": writer.sdxl, "flux": writer.flux, "omnigen": writer.omnigen}[work]()
    return writer.values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("sdxl", "flux", "omnigen"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu", help="where the weights are made: cpu, or cuda:0")
    parser.add_argument("--toy", action="store_true", help="all layers, but narrow")
    parser.add_argument("--short-text", action="store_true", help="one or two layers of each text encoder")
    arguments = parser.parse_args()
    how = {"device": arguments.device, "toy": arguments.toy, "short_text": arguments.short_text}
    print(f"{write(arguments.folder, arguments.work, **how):,} values in {arguments.folder}")


if __name__ == "__main__":
    main()

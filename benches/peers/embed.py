"""Embeds the same JPEG files with transformers and into a gallery of imagerag, in turn, and prints images a second.

    cargo xtask peers embed [--images 128] [--rounds 3] [--threads 2] [--json FILE]

A CLIP ViT-B/32 of the released size with random weights, and files of 1.2 megapixels. transformers: Pillow opens 16
files after the other, its image processor and its model take them at once, and so on. imagerag: a new gallery of the
folder, on the disk at the end, with batches of 16 and of 64. Each round starts every program anew, and the first
batch of each, in which libtorch warms up, is not counted. Every figure is the median over the rounds.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
from compare import ROOT, built, prepare, version
from PIL import Image

BATCH, WIDE = 16, 64
SIZE = (1280, 960)
# The least cosine similarity of both programs' embeddings: two decoders of JPEG round differently.
SAME = 0.999


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="pictures in the folder")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of libtorch, and of our decoders")
    parser.add_argument("--program", type=Path, help="our program, built; by default cargo builds it")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--worker", nargs=3, type=Path, metavar=("MODEL", "PICTURES", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return

    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "peers" / "embed"
    print(f"checkpoint: {prepare(folder, 'embed'):,} parameters in {folder}", flush=True)
    pictures = draw(folder / "pictures", arguments.images)
    words = ["--model", str(folder / "model"), "--pictures", str(pictures), "--threads", str(arguments.threads)]
    mine = [str(arguments.program)] if arguments.program else built("peer_embed", "gallery,tch")
    programs = {"transformers": [sys.executable, __file__, "--worker", str(folder / "model"), str(pictures)]}
    programs |= {f"imagerag, batches of {batch}": [*mine, *words, "--batch", str(batch), "--out"] for batch in (BATCH, WIDE)}
    rates = {name: [] for name in programs}
    for turn in range(arguments.rounds):
        for name, command in programs.items():
            out = folder / name.replace(", ", "-").replace(" ", "-")
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            rates[name].append(run([*command, str(out)], arguments))
            print(f"round {turn + 1} {name:<24} {rates[name][-1]:.1f} images/s", flush=True)
            found = numpy.load(out / "vectors.npy")
            expected = found if name == "transformers" else expected
            worst = float((found * expected).sum(axis=1).min())
            if worst < SAME:
                sys.exit(f"{name}: an embedding has cosine {worst:.4f} with transformers'")
    figures = {name: statistics.median(of) for name, of in rates.items()}
    print(f"\ntransformers {version('transformers')} on torch {version('torch')}; {arguments.images} JPEG files of", end=" ")
    print(f"{SIZE[0]} x {SIZE[1]}, CLIP ViT-B/32 in f32, {arguments.threads} threads, median of {arguments.rounds}", end=" ")
    print("rounds; ratio above 1: imagerag is faster")
    for name, rate in figures.items():
        print(f"{name:26}{rate:>7.1f} images/s{rate / figures['transformers']:>8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def run(command: list, arguments: argparse.Namespace) -> float:
    """Images a second, as the program says."""
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    environment.pop("OMP_WAIT_POLICY", None)  # Programs are fast without it, or not.
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    return row["images"] / row["seconds"]


def work(model: Path, pictures: Path, out: Path) -> None:
    """transformers' own loop; writes the embeddings, each of length 1, and prints what it took."""
    import torch
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    network = CLIPVisionModelWithProjection.from_pretrained(model).eval()
    processor = CLIPImageProcessor.from_pretrained(model)

    @torch.inference_mode()
    def embed(paths: list) -> numpy.ndarray:
        images = [Image.open(path).convert("RGB") for path in paths]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        return torch.nn.functional.normalize(network(pixels).image_embeds, dim=1).numpy()

    paths = sorted(pictures.glob("*.jpg"))
    embed(paths[:1] * BATCH)
    start = time.perf_counter()
    rows = [embed(paths[first : first + BATCH]) for first in range(0, len(paths), BATCH)]
    seconds = time.perf_counter() - start
    numpy.save(out / "vectors.npy", numpy.concatenate(rows))
    print(json.dumps({"images": len(paths), "seconds": seconds}))


def write(folder: Path) -> int:
    """Writes the checkpoint under `folder` and returns how many values it holds."""
    import torch
    from checkpoint import make_tokenizer, text_config
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPVisionConfig

    torch.manual_seed(0)
    text = {**text_config(512, "quick_gelu").to_dict(), "projection_dim": 512}
    vision = CLIPVisionConfig(patch_size=32, projection_dim=512)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=512))
    model.save_pretrained(folder / "model")
    make_tokenizer(folder / "words").save_pretrained(folder / "model")
    CLIPImageProcessor().save_pretrained(folder / "model")
    return sum(values.numel() for values in model.parameters())


def draw(folder: Path, count: int) -> Path:
    """Makes `folder` hold `count` JPEG files with detail of every size, as photographs have it."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.jpg"):
        if int(path.stem) >= count:
            path.unlink()
    for number in range(count):
        path = folder / f"{number:04}.jpg"
        if path.exists():
            continue
        random = numpy.random.default_rng(number)
        pixels = numpy.full((SIZE[1], SIZE[0], 3), 128, numpy.float32)
        for side, strength in ((5, 0.9), (20, 0.4), (80, 0.2), (320, 0.1), (960, 0.04)):
            noise = random.integers(0, 256, (side, side * 4 // 3, 3), dtype=numpy.uint8)
            pixels += (numpy.asarray(Image.fromarray(noise).resize(SIZE, Image.BICUBIC), numpy.float32) - 128) * strength
        Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(path, quality=90)
    return folder


if __name__ == "__main__":
    main()

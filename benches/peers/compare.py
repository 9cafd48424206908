"""Runs one SDXL + IP-Adapter-plus generation in diffusers and in imagerag, in turn, and prints the ratios.

    cargo xtask peers [--rounds 3] [--threads 2] [--steps 8] [--size 256]

Both get the same random checkpoint of about 100 million parameters in f32, the same request, the same
libtorch and the same number of threads. Each round starts both programs anew; in each, the first image
warms up and the second counts. Every figure is the median over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import diffusers
import numpy
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both programs")
    parser.add_argument("--steps", type=int, default=8, help="denoising steps")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    arguments = parser.parse_args()

    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "peers"
    print(f"checkpoint: {prepare(folder):,} parameters in {folder}", flush=True)
    request = {
        "--model": folder / "model",
        "--ip-adapter": folder / "ip-adapter-plus.safetensors",
        "--image-encoder": folder / "image_encoder",
        "--reference": folder / "reference.png",
        "--prompt": "a photo of a lynx on a mossy rock, soft light",
        "--scale": 0.7,
        "--steps": arguments.steps,
        "--guidance": 5.0,
        "--seed": 7,
        "--size": arguments.size,
        "--images": 2,
    }
    words = [str(word) for pair in request.items() for word in pair]
    cargo = ["cargo", "run", "--quiet", "--release", "--features", "tch", "--example", "peer_sdxl", "--"]
    programs = {"diffusers": [sys.executable, str(HERE / "diffusers_peer.py")], "imagerag": cargo}
    subprocess.run(["cargo", "build", *cargo[3:-1]], cwd=ROOT, check=True)

    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    rows = {name: [] for name in programs}
    for turn in range(arguments.rounds):
        for name, command in programs.items():
            out = folder / f"{name}.png"
            run = subprocess.run(
                [*command, *words, "--out", str(out)], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            row = json.loads(run.stdout.splitlines()[-1])
            rows[name].append(row)
            print(f"round {turn + 1} {name:<9} load {row['load']:.2f} s, image {row['images'][-1]:.2f} s", flush=True)
    report(rows, folder, arguments)


def prepare(folder: Path) -> int:
    """Writes the checkpoint unless the same script has written it before."""
    script = HERE / "checkpoint.py"
    stamp = folder / "parameters.json"
    source = script.read_text()
    if stamp.exists():
        made = json.loads(stamp.read_text())
        if made["source"] == source:
            return made["parameters"]
    from checkpoint import write

    parameters = write(folder)
    stamp.write_text(json.dumps({"parameters": parameters, "source": source}))
    return parameters


def report(rows: dict, folder: Path, arguments: argparse.Namespace) -> None:
    measures = {
        "load": ("s", lambda row: row["load"]),
        "one step": ("s", lambda row: statistics.median(row["steps"])),
        "whole image": ("s", lambda row: row["images"][-1]),
        "first image": ("s", lambda row: row["images"][0]),
        "peak memory": ("MB", lambda row: row["peak_mb"]),
    }
    print(f"\ndiffusers {diffusers.__version__} on torch {torch.__version__}", end="; ")
    print(f"{arguments.steps} steps at {arguments.size} x {arguments.size}, f32, {arguments.threads} threads, ", end="")
    print(f"median of {arguments.rounds} rounds; ratio below 1: imagerag needs less")
    print(f"{'':14}{'diffusers':>12}{'imagerag':>12}{'ratio':>8}")
    for name, (unit, of) in measures.items():
        theirs, ours = (statistics.median(map(of, rows[program])) for program in ("diffusers", "imagerag"))
        digits = 0 if unit == "MB" else 3
        print(f"{name:14}{theirs:>9.{digits}f} {unit:2}{ours:>9.{digits}f} {unit:2}{ours / theirs:>8.2f}")
    theirs, ours = (numpy.asarray(Image.open(folder / f"{name}.png"), dtype=int) for name in ("diffusers", "imagerag"))
    difference = numpy.abs(theirs - ours)
    print(f"largest pixel difference {difference.max()} of 255, mean {difference.mean():.4f}; ", end="")
    print(f"pixels from {theirs.min()} to {theirs.max()}, standard deviation {theirs.std():.0f}")
    if difference.max() > 2:
        sys.exit("the images differ by more than 2 of 255")


main()

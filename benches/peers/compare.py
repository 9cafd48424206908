"""Runs one generation in a peer and in imagerag, in turn, and prints the ratios.

    cargo xtask peers [sdxl] [--rounds 3] [--threads 2] [--steps 8] [--size 256]
    cargo xtask peers flux   [the same]

sdxl: SDXL + IP-Adapter-plus in diffusers. flux: FLUX.1-schnell + OminiControl with one condition, in OminiControl's
own program. Both get the same random checkpoint of about 100 million parameters in f32, the same request, the same
libtorch and the same number of threads. Each round starts both programs anew; in each, the first image
warms up and the second counts. Every figure is the median over the rounds.
"""

import argparse
import importlib
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


def sdxl(folder: Path, arguments: argparse.Namespace) -> dict:
    return {
        "--ip-adapter": folder / "ip-adapter-plus.safetensors",
        "--image-encoder": folder / "image_encoder",
        "--scale": 0.7,
        "--guidance": 5.0,
    }


def flux(folder: Path, arguments: argparse.Namespace) -> dict:
    return {
        "--lora": folder / "subject.safetensors",
        "--position-delta": arguments.size // 16,
        "--condition-size": arguments.size,
        "--max-sequence-length": 128,
    }


# What each work takes beside the request that all share, its peer, the peer's program, ours, and the checkpoint's.
WORKS = {
    "sdxl": (sdxl, "diffusers", "diffusers_peer.py", "peer_sdxl", "checkpoint"),
    "flux": (flux, "OminiControl", "omini_peer.py", "peer_flux", "omini_checkpoint"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", choices=WORKS, default="sdxl", help="what is drawn")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both programs")
    parser.add_argument("--steps", type=int, default=8, help="denoising steps")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    arguments = parser.parse_args()

    own, peer, program, example, checkpoint = WORKS[arguments.work]
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "peers" / arguments.work
    print(f"checkpoint: {prepare(folder, checkpoint):,} parameters in {folder}", flush=True)
    request = own(folder, arguments) | {
        "--model": folder / "model",
        "--reference": folder / "reference.png",
        "--prompt": "a photo of a lynx on a mossy rock, soft light",
        "--steps": arguments.steps,
        "--seed": 7,
        "--size": arguments.size,
        "--images": 2,
    }
    words = [str(word) for pair in request.items() for word in pair]
    cargo = ["cargo", "run", "--quiet", "--release", "--features", "tch", "--example", example, "--"]
    programs = {peer: [sys.executable, str(HERE / program)], "imagerag": cargo}
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
            print(f"round {turn + 1} {name:<12} load {row['load']:.2f} s, image {row['images'][-1]:.2f} s", flush=True)
    report(rows, peer, folder, arguments)


def prepare(folder: Path, checkpoint: str) -> int:
    """Writes the checkpoint unless the same script has written it before."""
    script = HERE / f"{checkpoint}.py"
    stamp = folder / "parameters.json"
    source = script.read_text()
    if stamp.exists():
        made = json.loads(stamp.read_text())
        if made["source"] == source:
            return made["parameters"]
    folder.mkdir(parents=True, exist_ok=True)
    parameters = importlib.import_module(checkpoint).write(folder)
    stamp.write_text(json.dumps({"parameters": parameters, "source": source}))
    return parameters


def report(rows: dict, peer: str, folder: Path, arguments: argparse.Namespace) -> None:
    measures = {
        "load": ("s", lambda row: row["load"]),
        "one step": ("s", lambda row: statistics.median(row["steps"])),
        "whole image": ("s", lambda row: row["images"][-1]),
        "first image": ("s", lambda row: row["images"][0]),
        "peak memory": ("MB", lambda row: row["peak_mb"]),
    }
    print(f"\n{peer} with diffusers {diffusers.__version__} on torch {torch.__version__}", end="; ")
    print(f"{arguments.steps} steps at {arguments.size} x {arguments.size}, f32, {arguments.threads} threads, ", end="")
    print(f"median of {arguments.rounds} rounds; ratio below 1: imagerag needs less")
    print(f"{'':14}{peer:>13}{'imagerag':>12}{'ratio':>8}")
    for name, (unit, of) in measures.items():
        theirs, ours = (statistics.median(map(of, rows[program])) for program in (peer, "imagerag"))
        digits = 0 if unit == "MB" else 3
        print(f"{name:14}{theirs:>10.{digits}f} {unit:2}{ours:>9.{digits}f} {unit:2}{ours / theirs:>8.2f}")
    theirs, ours = (numpy.asarray(Image.open(folder / f"{name}.png"), dtype=int) for name in (peer, "imagerag"))
    difference = numpy.abs(theirs - ours)
    print(f"largest pixel difference {difference.max()} of 255, mean {difference.mean():.4f}; ", end="")
    print(f"pixels from {theirs.min()} to {theirs.max()}, standard deviation {theirs.std():.0f}")
    if difference.max() > 2:
        sys.exit("the images differ by more than 2 of 255")


main()

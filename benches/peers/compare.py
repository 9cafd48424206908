"""Runs one generation in a peer and in imagerag, in turn, and prints the ratios.

    cargo xtask peers [sdxl] [--device cuda:0] [--dtype bf16] [--rounds 3] [--threads 2] [--steps 8] [--size 256]
    cargo xtask peers flux    [the same]
    cargo xtask peers omnigen [the same] [--references 0 1 3]
    cargo xtask peers [sdxl|flux|omnigen] --real-size

sdxl: SDXL + IP-Adapter-plus in diffusers. flux: FLUX.1-schnell + OminiControl with one condition, in OminiControl's
own program. omnigen: OmniGen in diffusers, once for each number of references. Both get the same random checkpoint of
60 to 120 million parameters, the same request, the same libtorch, device and number of threads. Each round starts both
programs anew; in each, the first image warms up and the next count. Every figure is the median over the rounds.

--real-size: the checkpoint has the released size (SDXL: 8.6 GB, FLUX: 33.8 GB, OmniGen: 7.9 GB) and is in the system's
page cache when the programs start, which run one after the other: what loading, memory and a step are for those who use
them.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from memory import watched

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The most that pixels may differ by in f32, and how far from each other 16 bits may lead two equal programs: the
# norm of the difference in proportion to the picture's own contrast, after few steps.
PIXELS, RELATIVE = 2, 0.1
PROMPT = "a photo of a lynx on a mossy rock, soft light"
# What --real-size has where nothing else is said: the format of released weights, and two steps that count.
REAL_SIZE = {"dtype": "bf16", "rounds": 1, "steps": 3, "short_steps": 1}
# What else differs by work: a step of OmniGen with three references takes diffusers seconds on a CPU.
DEFAULTS = {"omnigen": {"steps": 4, "short_steps": 1}}


# Ratios that imagerag must not exceed for OmniGen at toy size on the CPU: of peak memory, and of a step by the number
# of references.
PEAK_BAR, STEP_BARS = 0.6, {0: 0.9, 3: 0.4}


def sdxl(folder: Path, arguments: argparse.Namespace, references: int) -> dict:
    return {
        "--ip-adapter": folder / "ip-adapter-plus.safetensors",
        "--image-encoder": folder / "image_encoder",
        "--scale": 0.7,
        "--guidance": 5.0,
    }


def flux(folder: Path, arguments: argparse.Namespace, references: int) -> dict:
    condition = arguments.condition_size or arguments.size
    return {
        "--lora": folder / "subject.safetensors",
        "--position-delta": condition // 16,
        "--condition-size": condition,
        "--max-sequence-length": arguments.text_tokens,
    }


def omnigen(folder: Path, arguments: argparse.Namespace, references: int) -> dict:
    numbers = range(1, references + 1)
    return {
        "--reference": os.pathsep.join(str(folder / f"reference_{n}.png") for n in numbers),
        "--prompt": " ".join([*(f"<img><|image_{n}|></img>" for n in numbers), PROMPT]),
        "--guidance": 2.5,
        "--image-guidance": 1.6,
        "--max-input-image-size": arguments.condition_size or arguments.size,
        # diffusers samples the latents of references on their device, which only on the CPU gives our numbers.
        "--reference-latents": "sample" if arguments.device == "cpu" else "mean",
    }


# What each work takes beside the request that all share, its peer, the peer's program, ours, and the checkpoint's.
WORKS = {
    "sdxl": (sdxl, "diffusers", "diffusers_peer.py", "peer_sdxl", "checkpoint"),
    "flux": (flux, "OminiControl", "omini_peer.py", "peer_flux", "omini_checkpoint"),
    "omnigen": (omnigen, "diffusers", "omnigen_peer.py", "peer_omnigen", "omnigen_peer_checkpoint"),
}


def main() -> None:
    arguments = read_arguments()
    own, peer, program, example, checkpoint = WORKS[arguments.work]
    folder = arguments.checkpoint
    if folder is None:
        folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "peers" / arguments.work
        how = {}
        if arguments.real_size:
            folder, checkpoint, how = folder / "real_size", "real_size", {"work": arguments.work}
        print(f"checkpoint: {prepare(folder, checkpoint, **how):,} parameters in {folder}", flush=True)
    if arguments.real_size:
        read_once(folder)
    theirs = [sys.executable, str(HERE / program), *(["--compile"] if arguments.compile else [])]
    programs = {peer: theirs}
    if arguments.only != "peer":
        programs["imagerag"] = ours(arguments, example)
    if arguments.only == "imagerag":
        del programs[peer]

    failures = []
    for references in arguments.references:
        request = {
            "--model": folder / "model",
            "--reference": folder / "reference.png",
            "--prompt": PROMPT,
            "--device": arguments.device,
            "--dtype": arguments.dtype,
            "--steps": arguments.steps,
            "--short-steps": arguments.short_steps,
            "--seed": 7,
            "--size": arguments.size,
            "--images": arguments.images,
        } | own(folder, arguments, references)
        failures += measure(programs, peer, request, arguments.out or folder, references, arguments)
    if failures:
        print(f"\nnot passed: {'; '.join(failures)}")
        sys.exit(1)
    if len(programs) == 2:
        print("\npassed")


def measure(programs: dict, peer: str, request: dict, out: Path, references: int, arguments: argparse.Namespace) -> list:
    """Runs the programs in turn and prints what they took; what is not as it must be."""
    words = [str(word) for pair in request.items() for word in pair]
    out.mkdir(parents=True, exist_ok=True)
    rows = {name: [] for name in programs}
    for turn in range(arguments.rounds):
        for name, command in programs.items():
            row = run(command, words, out / name, arguments)
            rows[name].append(row)
            print(f"round {turn + 1} {name:<12} load {row['load']:.2f} s, image {row['images'][-1]:.2f} s", flush=True)
    figures = {name: medians(of) for name, of in rows.items()}
    if len(programs) == 2:
        figures["difference"] = difference(peer, out, arguments)
    if arguments.json:
        settings = {name: getattr(arguments, name) for name in ("work", "device", "dtype", "steps", "size", "compile")}
        settings["references"] = references
        arguments.json.write_text(json.dumps(settings | {"peer": peer} | figures, indent=1) + "\n")
    return report(figures, peer, references, arguments)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", choices=WORKS, default="sdxl", help="what is drawn")
    parser.add_argument("--real-size", action="store_true", help="the released sizes, in bf16, two steps")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:N")
    parser.add_argument("--dtype", default="f32", choices=("f32", "f16", "bf16"), help="the format both compute in")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs")
    parser.add_argument("--images", type=int, default=1, help="how often a program draws after the first image")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both programs")
    parser.add_argument("--steps", type=int, default=8, help="denoising steps")
    parser.add_argument("--short-steps", type=int, default=2, help="steps of the image that tells what a step takes")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--condition-size", type=int, help="flux, omnigen: sides of references; --size by default")
    parser.add_argument("--references", type=int, nargs="+", help="omnigen: how many, 0 to 3; 0, 1 and 3 by default")
    parser.add_argument("--text-tokens", type=int, default=128, help="flux: tokens of the prompt, with padding")
    parser.add_argument("--offload", choices=("none", "cpu", "disk"), help="flux: where our networks wait")
    parser.add_argument("--compile", action="store_true", help="the peer with torch.compile")
    parser.add_argument("--checkpoint", type=Path, help="a folder with one, in the layout of the one that is made here")
    parser.add_argument("--program", type=Path, help="our program, built; by default cargo builds it")
    parser.add_argument("--only", choices=("peer", "imagerag"), help="runs one of the two")
    parser.add_argument("--out", type=Path, help="where the images go; beside the checkpoint by default")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    parser.set_defaults(**DEFAULTS.get(chosen.work, {}))
    if chosen.real_size:
        parser.set_defaults(**REAL_SIZE)
    arguments = parser.parse_args()
    if not 0 < arguments.short_steps < arguments.steps:
        parser.error("--short-steps must be at least 1 and less than --steps")
    if arguments.work != "omnigen":
        if arguments.references:
            parser.error(f"--references: {arguments.work} is measured with one reference")
        arguments.references = [1]
    arguments.references = arguments.references or [0, 1, 3]
    if not set(arguments.references) <= set(range(4)):
        parser.error("--references must be 0 to 3")
    if arguments.json and len(arguments.references) > 1:
        parser.error("--json holds the figures of one number of --references")
    return arguments


def ours(arguments: argparse.Namespace, example: str) -> list:
    """The command of our program, built."""
    offload = ["--offload", arguments.offload] if arguments.offload else []
    if arguments.program:
        return [str(arguments.program), arguments.work, *offload]
    return [*built(example, "tch"), *offload]


def built(example: str, features: str) -> list:
    """The command of an example, built."""
    cargo = ["cargo", "run", "--quiet", "--release", "--features", features, "--example", example, "--"]
    subprocess.run(["cargo", "build", *cargo[3:-1]], cwd=ROOT, check=True)
    return cargo


def run(command: list, words: list, out: Path, arguments: argparse.Namespace) -> dict:
    """What one program says of itself, and the device's memory."""
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if "CUDA_INJECTION64_PATH" in environment:
        environment["IMAGERAG_KERNELS"] = f"{out}.kernels"
    images = ["--out", f"{out}.png", "--short-out", f"{out}.short.png"]
    with watched(arguments.device) as peak:
        done = subprocess.run(
            [*command, *words, *images], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
    row = json.loads(done.stdout.splitlines()[-1])
    if peak:
        row["device_peak_mb"] = peak.mb
    return row


def read_once(folder: Path) -> None:
    """Brings the checkpoint into the page cache, so that the first program has no more to wait for than the second."""
    for path in folder.rglob("*.safetensors"):
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(1 << 24)
            while file.readinto(buffer):
                pass


def prepare(folder: Path, checkpoint: str, **how: str) -> int:
    """Writes the checkpoint unless the same script has written it before."""
    script = HERE / f"{checkpoint}.py"
    stamp = folder / "parameters.json"
    source = script.read_text()
    if stamp.exists():
        made = json.loads(stamp.read_text())
        if made["source"] == source:
            return made["parameters"]
    folder.mkdir(parents=True, exist_ok=True)
    parameters = importlib.import_module(checkpoint).write(folder, **how)
    stamp.write_text(json.dumps({"parameters": parameters, "source": source}))
    return parameters


def medians(rows: list) -> dict:
    figures = {name: statistics.median(row[name] for row in rows) for name in rows[0] if name not in ("short", "images")}
    figures["image"] = statistics.median(statistics.median(row["images"]) for row in rows)
    return figures


def difference(peer: str, out: Path, arguments: argparse.Namespace) -> dict:
    """How far the two programs' images are apart: after all steps, and after few."""
    import numpy
    from PIL import Image

    found = {}
    for name, ending in (("long", "png"), ("short", "short.png")):
        pair = (numpy.asarray(Image.open(out / f"{program}.{ending}"), dtype=float) for program in (peer, "imagerag"))
        theirs, mine = pair
        apart = numpy.abs(theirs - mine)
        found[name] = {
            "largest": float(apart.max()),
            "mean": float(apart.mean()),
            "relative": float(numpy.linalg.norm(theirs - mine) / max(numpy.linalg.norm(theirs - theirs.mean()), 1e-9)),
            "contrast": float(theirs.std()),
        }
    exact = arguments.dtype == "f32" and arguments.device == "cpu"
    found["equal"] = bool(found["long"]["largest"] <= PIXELS if exact else found["short"]["relative"] <= RELATIVE)
    return found


def report(figures: dict, peer: str, references: int, arguments: argparse.Namespace) -> list:
    """Prints the figures; what is not as it must be."""
    measures = {
        "load": "s",
        "step": "s",
        "image": "s",
        "first": "s",
        "peak_mb": "MB",
        "device_peak_mb": "MB",
        "torch_peak_mb": "MB",
    }
    names = {"step": "one step", "image": "whole image", "first": "first image", "peak_mb": "peak memory"}
    names |= {"device_peak_mb": "peak on GPU", "torch_peak_mb": "torch's own"}
    bars, failures = bars_of(references, arguments), []
    versions = "" if arguments.only == "imagerag" else f" with diffusers {version('diffusers')} on torch {version('torch')}"
    print(f"\n{peer}{versions}; {arguments.steps} steps at {arguments.size} x {arguments.size}", end=", ")
    if arguments.work == "omnigen":
        print(f"references: {references}", end=", ")
    print(f"{arguments.dtype} on {arguments.device}, {arguments.threads} threads, ", end="")
    print(f"median of {arguments.rounds} rounds; ratio below 1: imagerag needs less")
    print(f"{'':14}{peer:>13}{'imagerag':>12}{'ratio':>8}{'at most' if bars else '':>9}".rstrip())
    for measure, unit in measures.items():
        pair = [figures.get(program, {}).get(measure) for program in (peer, "imagerag")]
        if pair == [None, None]:
            continue
        digits = 0 if unit == "MB" else 3
        theirs, mine = ("-" if value is None else f"{value:.{digits}f} {unit:2}" for value in pair)
        ratio = None if None in pair else pair[1] / pair[0]
        shown = "" if ratio is None else f"{ratio:.2f}"
        name, bar = names.get(measure, measure), bars.get(measure)
        print(f"{name:14}{theirs:>13}{mine:>12}{shown:>8}{bar if bar else '':>9}".rstrip())
        if bar and ratio is not None and ratio > bar:
            failures.append(f"{name} with {references} references is {ratio:.2f} of that of {peer}, and may be {bar}")
    apart = figures.get("difference")
    if apart is None:
        return failures
    for name, steps in (("long", arguments.steps), ("short", arguments.short_steps)):
        of = apart[name]
        print(f"after {steps} steps: largest pixel difference {of['largest']:.0f} of 255, mean {of['mean']:.4f}", end=", ")
        print(f"{of['relative']:.1e} of the contrast (standard deviation {of['contrast']:.0f})")
    if not apart["equal"]:
        failures.append("the images differ by more than the format allows")
    return failures


def bars_of(references: int, arguments: argparse.Namespace) -> dict:
    """The largest ratio that is allowed of each measure; none where they were not set for what is measured."""
    if arguments.work != "omnigen" or arguments.device != "cpu" or arguments.real_size or arguments.checkpoint:
        return {}
    bars = {"peak_mb": PEAK_BAR}
    return bars | ({"step": STEP_BARS[references]} if references in STEP_BARS else {})


def version(module: str) -> str:
    return importlib.metadata.version(module)


if __name__ == "__main__":
    main()

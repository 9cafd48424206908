"""The parts of the device kit: what each runs, how long it may take, and how its figures become one line."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What a part found: whether it passed, one line, and its figures.
Found = tuple[bool, str, object]
# What the peers' programs import.
PEER = ["torch", "numpy", "PIL", "safetensors", "transformers", "diffusers"]
MODULES = {
    "sdxl": PEER,
    "flux": [*PEER, "peft", "accelerate", "sentencepiece", "google.protobuf"],
    "omnigen": [*PEER, "torchvision"],
}
# Address space in KiB of the part that runs out of memory on a CPU.
ADDRESS_SPACE = 10 << 20
# What an error says of a device that no part can run on.
NOT_THERE = " is not available: "
# Kernels that a list names.
LISTED = 15


class NotHere(Exception):
    """What a part needs and this machine lacks."""


@dataclass
class Part:
    """`limit` is in seconds, on a GPU."""

    limit: float
    run: Callable[["Kit"], Found]  # noqa: F821


def probe(kit) -> Found:
    """If it fails, once more with what may mend it; what does is set for all further parts."""
    found = ours(kit, "probe")
    if found[0] or kit.cpu or NOT_THERE in found[1]:
        return found
    ways = [{"TORCH_CUDNN_SDPA_DEPRIORITIZED": "1"}]
    if kit.torch:
        ways.insert(0, {"LD_PRELOAD": str(kit.torch / "lib/libtorch_cuda.so")})
    for way in ways:
        again = ours(kit, "probe", env=way)
        if again[0]:
            kit.environment |= way
            return False, f"{found[1]}; passes with {way}: {again[1]}", again[2]
    return found


def goldens(dtype: str) -> Callable:
    def run(kit) -> Found:
        if not kit.cpu:
            make_weights(kit)
        environment = {"IMAGERAG_TEST_DEVICE": kit.device, "IMAGERAG_TEST_DTYPE": dtype}
        if dtype == "f32":
            environment["NVIDIA_TF32_OVERRIDE"] = "0"
        threads = 2 if kit.cpu else 4
        command = [kit.program("tests"), "models::", "embedder::", "generator::", "conditioner::", "retriever::", f"--test-threads={threads}"]
        code, printed = kit.run(command, env=environment, cwd=kit.checkout)
        sums = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", printed)
        if not sums:
            return False, f"the tests ended with {code} and no result", None
        passed, failed, ignored = map(int, sums.groups())
        names = re.findall(r"^test (\S+) \.\.\. FAILED", printed, re.MULTILINE)
        line = f"{passed} tests pass, {failed} fail" + (": " + ", ".join(names[:6]) if names else "")
        return code == 0 and passed > 0, line, {"passed": passed, "failed": failed, "ignored": ignored, "names": names}

    return run


def world(kit) -> Found:
    found = {}
    for dtype in ("f32",) if kit.cpu else ("f32", "bf16", "f16"):
        environment = {"NVIDIA_TF32_OVERRIDE": "0"} if dtype == "f32" else {}
        species = 6 if dtype == "f32" and not kit.cpu else 3
        found[dtype] = ours(kit, "world", "--dtype", dtype, "--species", species, env=environment)
    return together(found)


def made(kit) -> Found:
    """The random weights that the next parts draw with, which were begun beside the goldens."""
    named = {"sdxl": "SDXL with its adapter", "flux": "FLUX with OminiControl", "omnigen": "OmniGen"}
    figures, lines = {}, []
    for work, name in named.items():
        files = weights(kit, work).rglob("*.safetensors")
        figures[f"{work}_gb"] = size = sum(file.stat().st_size for file in files) / 1e9
        lines.append(f"{name} {size:.1f} GB")
    return True, ", ".join(lines), figures


def drawn(work: str, dtypes: tuple) -> Callable:
    """Ours and the peer, in turn, in each format."""

    def run(kit) -> Found:
        found = {dtype: compared(kit, work, dtype) for dtype in (("f32",) if kit.cpu else dtypes)}
        return together(found)

    return run


def omnigen(kit) -> Found:
    """Ours and diffusers, in turn, without references and with as many as the paper has."""
    dtype = "f32" if kit.cpu else "bf16"
    numbers = {number: compared(kit, "omnigen", dtype, "--references", number) for number in (0, 3)}
    return together({f"{dtype}, {number} references": found for number, found in numbers.items()})


def faiss(kit) -> Found:
    if kit.cpu:
        raise NotHere("it compares a GPU with the CPU")
    path = kit.work / "faiss.json"
    path.unlink(missing_ok=True)
    number = kit.device.partition(":")[2] or "0"
    code, printed = kit.run([kit.program("device_faiss"), "--device", number, "--json", path])
    lines = printed.strip().splitlines()
    figures = json.loads(path.read_text()) if path.exists() else None
    return code == 0, lines[-1] if lines else f"it ended with {code}", figures


def memory(kit) -> Found:
    """Ours alone, with networks that wait elsewhere, and in f32."""
    dtype = "f32" if kit.cpu else "bf16"
    few = ["--steps", 2, "--short-steps", 1]
    found = {}
    for offload in ("cpu", "disk"):
        words = [*few, "--offload", offload]
        found[f"FLUX {dtype} {offload}"] = compared(kit, "flux", dtype, *words, only="imagerag")
    if not kit.cpu:
        found["SDXL f32"] = compared(kit, "sdxl", "f32", *few, only="imagerag")
    return together(found)


def layout(kit) -> Found:
    """Ours alone, with images of features in either memory format."""
    dtype = "f32" if kit.cpu else "bf16"
    found = {}
    for memory_format in ("contiguous", "channels_last"):
        environment = {"IMAGERAG_MEMORY_FORMAT": memory_format}
        found[memory_format] = compared(kit, "sdxl", dtype, "--images", 1, only="imagerag", env=environment)
    return together(found)


def oom(kit) -> Found:
    if not kit.cpu:
        return ours(kit, "oom")
    limited = ["bash", "-c", f'ulimit -v {ADDRESS_SPACE}; exec "$@"', "bash"]
    return ours(kit, "oom", before=limited)


def progress(kit) -> Found:
    return ours(kit, "progress", "--size", 64 if kit.cpu else 512)


def two_workers(kit) -> Found:
    return ours(kit, "two-workers")


def kernels(kit) -> Found:
    if kit.cpu:
        raise NotHere("it lists what a GPU runs")
    library = kit.program("libkernels.so")
    lines, lists = [], {}
    for work in ("sdxl", "flux"):
        words = ["--steps", 3, "--short-steps", 1, "--images", 1]
        environment = {"CUDA_INJECTION64_PATH": library}
        out = kit.work / f"kernels-{work}"
        shutil.rmtree(out, ignore_errors=True)
        compared(kit, work, "bf16", *words, env=environment, out=out)
        lists[work] = {path.stem: a_step(path) for path in sorted(out.glob("*.kernels"))}
        for program, kernels in lists[work].items():
            total, times = sum(kernel["ms"] for kernel in kernels), sum(kernel["times"] for kernel in kernels)
            lines.append(f"{work} {program}: {times:.0f} kernels, {total:.1f} ms a step")
            del kernels[LISTED:]
    return bool(lines), "; ".join(lines) or "no list was written", lists


def a_step(path: Path) -> list:
    """What a step more runs, of each kernel: what all steps ran less what one did, by the number of further steps."""
    phases = {}
    for line in path.read_text(errors="replace").splitlines():
        phase, times, microseconds, name = line.split("\t", 3)
        sums = phases.setdefault(phase, {}).setdefault(name, [0, 0])
        sums[0] += int(times)
        sums[1] += float(microseconds)
    long, short = phases.get("long", {}), phases.get("short", {})
    steps = []
    for name, (times, microseconds) in long.items():
        before = short.get(name, (0, 0))
        if times != before[0]:
            steps.append({"name": name, "times": (times - before[0]) / 2, "ms": (microseconds - before[1]) / 2e3})
    return sorted(steps, key=lambda kernel: -kernel["ms"])


def compiled(work: str) -> Callable:
    """The peer with torch.compile, which is what ours is also measured by."""

    def run(kit) -> Found:
        if kit.cpu:
            raise NotHere("it measures a GPU")
        environment = {"TORCHINDUCTOR_CACHE_DIR": kit.work / "inductor"}
        return together({"bf16": compared(kit, work, "bf16", "--images", 1, "--compile", only="peer", env=environment)})

    return run


PARTS = {
    "probe": Part(60, probe),
    "goldens-f32": Part(90, goldens("f32")),
    "goldens-bf16": Part(60, goldens("bf16")),
    "goldens-f16": Part(60, goldens("f16")),
    "world": Part(75, world),
    "weights": Part(120, made),
    "sdxl": Part(120, drawn("sdxl", ("bf16", "f16"))),
    "flux": Part(120, drawn("flux", ("bf16",))),
    "omnigen": Part(120, omnigen),
    "faiss": Part(60, faiss),
    "memory": Part(75, memory),
    "layout": Part(45, layout),
    "oom": Part(45, oom),
    "progress": Part(40, progress),
    "two-workers": Part(30, two_workers),
    "kernels": Part(100, kernels),
    "compile-flux": Part(100, compiled("flux")),
    "compile-sdxl": Part(240, compiled("sdxl")),
}


def ours(kit, *words, before: list = (), env: dict | None = None) -> Found:
    """A part that is a word of our own program, which prints what it found as its last line."""
    command = [*before, kit.program("device_kit"), *words, "--device", kit.device]
    code, printed = kit.run(command, env=env or {}, cwd=kit.checkout)
    try:
        found = json.loads(printed.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = kit.log.decode(errors="replace").strip().splitlines()[-1]
        return False, f"{words[0]} ended with {code}: {said}", None
    return found["passed"] and code == 0, found["line"], found["figures"]


def together(found: dict) -> Found:
    """Several findings of one part as one."""
    lines = [f"{name}: {line}" if len(found) > 1 else line for name, (_, line, _) in found.items()]
    figures = {name: figures for name, (_, _, figures) in found.items()}
    return all(passed for passed, _, _ in found.values()), "; ".join(lines), figures


def compared(kit, work: str, dtype: str, *words, only: str | None = None, env: dict | None = None, out=None) -> Found:
    """`benches/peers/compare.py` on our program and the peer's, or on one of them; ours alone where the peer's
    packages are not here."""
    missing = kit.lacks(MODULES[work])
    if work == "flux" and "OMINI_CONTROL" not in kit.environment:
        missing.append("OminiControl")
    alone = ""
    if missing and only != "imagerag":
        if only == "peer":
            raise NotHere(f"the peer needs {', '.join(missing)}")
        only, alone = "imagerag", f"; the peer is not here: it needs {', '.join(missing)}"
    folder = weights(kit, work)
    out = out or kit.work / f"{work}-{dtype}-{only}"
    out.mkdir(parents=True, exist_ok=True)
    path = out / "figures.json"
    path.unlink(missing_ok=True)
    if kit.cpu:
        size = ["--size", 64, "--steps", 3, "--short-steps", 1, "--text-tokens", 32]
    elif work == "sdxl":
        size = ["--size", 1024, "--steps", 24, "--short-steps", 4, "--images", 2]
    else:
        size = ["--size", 1024, "--steps", 12, "--short-steps", 4, "--condition-size", 512, "--text-tokens", 512]
    command = [sys.executable, kit.checkout / "benches/peers/compare.py", work, "--device", kit.device, "--dtype", dtype]
    command += ["--program", kit.program("device_kit"), "--checkpoint", folder, "--rounds", 1, "--json", path, "--out", out]
    command += [*size, *words, *(["--only", only] if only else [])]
    code, printed = kit.run(command, env=env or {}, cwd=kit.checkout)
    if not path.exists():
        return False, f"ended with {code} before it had figures{alone}", None
    figures = json.loads(path.read_text())
    return code == 0, line_of(figures) + alone, figures


def line_of(figures: dict) -> str:
    """A step, the load, the memory and how far the images are apart, ours before the peer's."""
    mine, theirs = figures.get("imagerag", {}), figures.get(figures["peer"], {})
    memory = "device_peak_mb" if figures["device"] != "cpu" else "peak_mb"
    parts = []
    for name, key, scale, unit in (("a step", "step", 1e3, "ms"), ("load", "load", 1, "s"), ("peak", memory, 1, "MB")):
        pair = [found[key] * scale for found in (mine, theirs) if key in found]
        shown = " against ".join(f"{value:.{0 if unit == 'MB' else 1}f}" for value in pair)
        ratio = f" ({pair[0] / pair[1]:.2f})" if len(pair) == 2 else ""
        parts.append(f"{name} {shown} {unit}{ratio}")
    if apart := figures.get("difference"):
        parts.append(f"images apart by {apart['short']['relative']:.1e}")
        if not apart["equal"]:
            parts.append("which is too much")
    return ", ".join(parts)


def make_weights(kit) -> None:
    """Starts to make random weights of the released sizes beside what runs, unless they are there."""
    script = kit.checkout / "benches/peers/real_size.py"
    for work in MODULES:
        folder = kit.weights / work
        if work in kit.makers or (folder / "made").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        size = ["--toy"] if kit.cpu else ["--short-text"] if work == "flux" else []
        command = [sys.executable, str(script), work, str(folder), "--device", kit.device, *size]
        log = (kit.work / f"weights-{work}.log").open("wb")
        kit.makers[work] = subprocess.Popen(
            command, env=kit.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def weights(kit, work: str) -> Path:
    """The folder of a checkpoint. All that is made is waited for, since it would take memory from what is measured."""
    if kit.cpu and kit.lacks(["torch", "PIL"]):
        return fixtures(kit, work)
    make_weights(kit)
    for name, maker in kit.makers.items():
        maker.wait(max(0.1, kit.deadline - time.monotonic()))
        if maker.returncode == 0:
            (kit.weights / name / "made").touch()
    folder = kit.weights / work
    if not (folder / "made").exists():
        log = (kit.work / f"weights-{work}.log").read_text(errors="replace").strip().splitlines()
        raise RuntimeError(f"no weights were made: {log[-1] if log else 'nothing was said'}")
    return folder


def fixtures(kit, work: str) -> Path:
    """The tests' own checkpoints, where Python has no torch to make one."""
    folder, tests = kit.work / f"fixtures-{work}", kit.checkout / "tests/fixtures"
    links = {
        "sdxl": {
            "model": "sdxl/wide",
            "ip-adapter-plus.safetensors": "sdxl/adapter.safetensors",
            "image_encoder": "sdxl/image_encoder",
            "reference.png": "sdxl/reference_0.png",
        },
        "flux": {
            "model": "flux/schnell",
            "subject.safetensors": "omini/schnell_reduced.safetensors",
            "reference.png": "sdxl/reference_0.png",
        },
        "omnigen": {
            "model": "omnigen/plain",
            "reference_1.png": "omnigen/wide.png",
            "reference_2.png": "omnigen/tall.png",
            "reference_3.png": "omnigen/small.png",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in links[work].items():
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(tests / source)
    return folder

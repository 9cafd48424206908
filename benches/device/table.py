"""Turns results of the device kit into tables for people, in Markdown.

    python table.py results.json [more.json…]

Of several runs, a part's last result counts, unless an earlier one passed.
"""

import json
import sys
from pathlib import Path

WORKS = {"sdxl": "SDXL + IP-Adapter-plus", "flux": "FLUX.1 + OminiControl", "omnigen": "OmniGen"}


def table(runs: list) -> str:
    parts, machines = {}, []
    for run in runs:
        machine = machine_of(run["machine"])
        machines += [machine] if machine not in machines else []
        for name, found in run["parts"].items():
            if parts.get(name, {}).get("status") != "passed":
                parts[name] = found
    lines = [f"Measured on {' and '.join(machines)}.", "", "| part | | s | what was found |", "|---|---|---:|---|"]
    for name, found in parts.items():
        lines.append(f"| {name} | {found['status']} | {found['seconds']:.0f} | {cell(found['line'])} |")
    for title, rows in (
        ("Speed: what imagerag takes, what the peer takes, and the ratio (below 1: imagerag needs less)", speed(parts)),
        ("Memory: the most in use at once, in MB", memory(parts)),
        *(kernels(parts)),
    ):
        if len(rows) > 2:
            lines += ["", f"**{title}**", "", *rows]
    return "\n".join(lines) + "\n"


def machine_of(machine: dict) -> str:
    where = machine["card"] or f"a CPU ({machine['processor']}, {machine['processors']} threads)"
    return f"{where} at commit {machine['commit']}"


def cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:400]


def figures_of(parts: dict, name: str) -> dict:
    return (parts.get(name) or {}).get("figures") or {}


def speed(parts: dict) -> list:
    rows = ["| model | format | size | a step, ms | whole image, s | load, s | a step with torch.compile |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for work, title in WORKS.items():
        for dtype, figures in figures_of(parts, work).items():
            if not figures:
                continue
            mine, theirs = figures.get("imagerag", {}), figures.get(figures["peer"], {})
            compiled = (figures_of(parts, f"compile-{work}").get(dtype) or {}).get(figures["peer"], {})
            size = f"{figures['size']}², {figures['steps']} steps"
            cells = [pair(mine, theirs, key, scale) for key, scale in (("step", 1e3), ("image", 1), ("load", 1))]
            rows.append(f"| {title} | {dtype} | {size} | {' | '.join(cells)} | {pair(mine, compiled, 'step', 1e3, False)} |")
    return rows


def pair(mine: dict, theirs: dict, key: str, scale: float, alone: bool = True, digits: int = 2) -> str:
    """Ours, the peer's, and the ratio; what there is of it."""
    if key not in theirs:
        return f"{mine[key] * scale:,.{digits}f}" if alone and key in mine else ""
    if key not in mine:
        return f"– / {theirs[key] * scale:,.{digits}f}"
    return f"{mine[key] * scale:,.{digits}f} / {theirs[key] * scale:,.{digits}f} = **{mine[key] / theirs[key]:.2f}**"


def memory(parts: dict) -> list:
    rows = ["| model | format | on the GPU | in the host's memory |", "|---|---|---|---|"]
    named = [(WORKS[work], dtype, figures) for work in WORKS for dtype, figures in figures_of(parts, work).items()]
    named += [(*name.split(" ", 1), figures) for name, figures in figures_of(parts, "memory").items()]
    for model, dtype, figures in named:
        if figures:
            mine, theirs = figures.get("imagerag", {}), figures.get(figures["peer"], {})
            cells = [pair(mine, theirs, key, 1, digits=0) for key in ("device_peak_mb", "peak_mb")]
            rows.append(f"| {model} | {dtype} | {cells[0] or 'none'} | {cells[1]} |")
    return rows


def kernels(parts: dict):
    for work, lists in figures_of(parts, "kernels").items():
        for program, found in lists.items():
            rows = ["| ms a step | times | kernel |", "|---:|---:|---|"]
            rows += [f"| {kernel['ms']:.2f} | {kernel['times']:g} | `{cell(kernel['name'])[:110]}` |" for kernel in found]
            yield f"Kernels of {WORKS[work]} in {program}", rows


if __name__ == "__main__":
    sys.stdout.write(table([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))

"""Searches the same vectors with imagerag, with Python's faiss-cpu and the way the paper's release does, in turn.

    cargo xtask peers retrieval [--quick] [--vectors 350000] [--many 1000000] [--threads 2] [--rounds 3] [--json FILE]
                                [--device cuda:0]

All read the same files of clustered unit vectors (Gaussian clusters of 100) and search on the same number of
threads: single queries and batches of 32, the 10 nearest. Each program builds an index of FAISS once and writes it.
Each round starts every program anew, which opens its file; every figure is the median over the rounds. Ratios are
imagerag's time over faiss-cpu's time for the same index, both on the thread that asks; "awaited" is a single query of
the async method, which goes to another thread and back. With --device, FAISS is built with CUDA, and imagerag also
searches there what a GPU can hold (faiss-cpu cannot); opening then includes the move.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUERIES, BATCH, LIMIT = 512, 32, 10
# Rows that the release multiplies at once.
RELEASE_BATCH = 2048
# Vectors a list that both train on; FAISS warns below 39.
SAMPLE = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=350_000, help="vectors of the paper's gallery; 0 leaves it out")
    parser.add_argument("--many", type=int, default=1_000_000, help="vectors for IVFPQ; 0 leaves it out")
    parser.add_argument("--dim", type=int, default=512, help="values a vector")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of all programs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program opens its index and searches")
    parser.add_argument("--quick", action="store_true", help="20,000 vectors and fewer lists, to try it out")
    parser.add_argument("--device", type=device, default="cpu", help="cpu, or the GPU for FAISS: cuda:0")
    parser.add_argument("--exact-only", action="store_true", help="leave out what must be trained or built")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--worker", nargs=3, metavar=("INDEX", "VECTORS", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parser.add_argument("--nprobe", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--sample", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ef-search", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    if arguments.quick:
        arguments.vectors, arguments.many = 20_000, min(arguments.many, 40_000)

    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "peers" / "retrieval"
    folder.mkdir(parents=True, exist_ok=True)
    feature = "faiss" if arguments.device == "cpu" else "faiss-gpu"
    cargo = ["cargo", "build", "--release", "--features", feature, "--example", "peer_retrieval"]
    messages = subprocess.run(
        [*cargo, "--message-format", "json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    built = [json.loads(line) for line in messages.splitlines() if '"executable"' in line]
    program = next(line["executable"] for line in built if line["target"]["name"] == "peer_retrieval")

    lists = 256 if arguments.quick else 4096
    coded = f"IVF{lists},PQ64np"
    plans = [(arguments.vectors, [("f32", {}), ("f16", {}), ("Flat", {}), ("torch", {})])]
    if not arguments.exact_only:
        sample = {"--sample": SAMPLE * lists}
        plans[0][1].append((f"IVF{lists},Flat", {"--nprobe": 16, **sample}))
        plans[0][1].append(("HNSW32", {"--ef-search": 64}))
        if arguments.many:
            plans.append((arguments.many, [("Flat", {}), (coded, {"--nprobe": 32, **sample})]))
    figures = []
    for count, indexes in plans:
        if count == 0:
            continue
        vectors = make(folder, count, arguments.dim)
        truth = None
        for index, options in indexes:
            names = programs_for(index, arguments.device)
            made, files = {}, {}
            for name in ("faiss-cpu", "imagerag") if "faiss-cpu" in names else ():
                files[name] = str(out_of(vectors, name, index).with_suffix(".faiss"))
                made[name] = run(name, program, index, options | {"--make": files[name]}, vectors, arguments)
            runs = {name: [] for name in names}
            for _ in range(arguments.rounds):
                for name in names:
                    file = {"--file": files[name.split()[0]]} if files else {}
                    runs[name].append(run(name, program, index, options | file, vectors, arguments))
            for file in files.values():
                os.remove(file)
            for name, rows in runs.items():
                ids = numpy.fromfile(out_of(vectors, name, index), numpy.int64).reshape(-1, LIMIT)
                row = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
                row |= made.get(name.split()[0], {})
                if index == "Flat" and name == "faiss-cpu":
                    truth = ids
                figures.append({"program": name, "index": index, "vectors": count, "ids": ids, **options, **row})
        for row in figures:
            if "recall" not in row:
                row["recall"] = recall(truth, row.pop("ids"))
    report(figures, arguments)


def device(word: str) -> str:
    if word == "cpu" or (word.startswith("cuda:") and word[5:].isdigit()):
        return word
    raise argparse.ArgumentTypeError(f"expected cpu or cuda:NUMBER, found {word}")


def programs_for(index: str, device: str) -> list:
    of_faiss = ["faiss-cpu", "imagerag"]
    if device != "cpu" and not index.startswith("HNSW"):
        of_faiss.append(f"imagerag {device}")
    return {"f32": ["imagerag"], "f16": ["imagerag"], "torch": ["torch"]}.get(index, of_faiss)


def make(folder: Path, count: int, dim: int) -> Path:
    """Unit vectors around count / 100 centres, and as many queries of the same clusters as are asked."""
    path = folder / f"{count}x{dim}.f32"
    if path.exists():
        return path
    random = numpy.random.default_rng(7)
    centres = random.standard_normal((max(1, count // 100), dim), dtype=numpy.float32)
    for name, rows in ((path.with_suffix(".queries"), QUERIES), (path.with_suffix(".partial"), count)):
        with name.open("wb") as file:
            for first in range(0, rows, 50_000):
                some = min(50_000, rows - first)
                block = centres[random.integers(len(centres), size=some)]
                block += random.standard_normal((some, dim), dtype=numpy.float32)
                block /= numpy.linalg.norm(block, axis=1, keepdims=True)
                block.tofile(file)
    path.with_suffix(".partial").rename(path)
    return path


def out_of(vectors: Path, program: str, index: str) -> Path:
    return vectors.with_suffix(f".{program.replace(' ', '-')}-{index.replace(',', '-')}.ids")


def run(name: str, program: str, index: str, options: dict, vectors: Path, arguments: argparse.Namespace) -> dict:
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    environment["OMP_WAIT_POLICY"] = "passive"  # Or FAISS' threads keep the cores from a BLAS with threads of its own.
    out = out_of(vectors, name, index)
    extra = [str(word) for pair in options.items() for word in pair]
    if name.startswith("imagerag"):
        words = {"--index": index, "--vectors": vectors, "--queries": vectors.with_suffix(".queries"), "--out": out}
        words |= {"--dim": arguments.dim, "--limit": LIMIT, "--batch": BATCH, "--threads": threads}
        if name != "imagerag":
            words |= {"--gpu": arguments.device.removeprefix("cuda:")}
        command = [program, *(str(word) for pair in words.items() for word in pair), *extra]
    else:
        common = ["--dim", str(arguments.dim), "--threads", threads]
        command = [sys.executable, __file__, "--worker", index, str(vectors), str(out), *common, *extra]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    if "build" in row:
        print(f"{name:16}{index:16} built in {row['build']:.0f} s", flush=True)
        return row
    print(f"{name:16}{index:16} single {row['single'] * 1e3:8.2f} ms, {BATCH} {row['batch'] * 1e3:8.2f} ms", flush=True)
    return row


def work(arguments: argparse.Namespace) -> None:
    """One index of faiss-cpu built, or opened and searched, or the release's search with torch, as one line of JSON."""
    index, path, out = arguments.worker
    rows = lambda path: numpy.fromfile(path, numpy.float32).reshape(-1, arguments.dim)
    queries = rows(Path(path).with_suffix(".queries"))
    opened = 0.0
    if index == "torch":
        search = release(rows(path), arguments.threads)
    else:
        import faiss

        faiss.omp_set_num_threads(arguments.threads)
        if arguments.make:
            build(faiss, index, rows(path), arguments)
            return
        start = time.perf_counter()
        made = faiss.read_index(arguments.file)
        opened = time.perf_counter() - start
        for name, value in (("nprobe", arguments.nprobe), ("efSearch", arguments.ef_search)):
            if value:
                faiss.ParameterSpace().set_index_parameter(made, name, value)
        search = lambda rows: made.search(rows, LIMIT)[1]
    resident = status("VmRSS:")
    ids = [search(queries[at : at + BATCH]) for at in range(0, len(queries), BATCH)]
    numpy.concatenate(ids).astype(numpy.int64).tofile(out)
    row = {"open": opened, "single": median(search, queries, 1), "batch": median(search, queries, BATCH)}
    print(json.dumps(row | {"mb": resident}))


def build(faiss, index: str, vectors: numpy.ndarray, arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    made = faiss.index_factory(arguments.dim, index, faiss.METRIC_INNER_PRODUCT)
    sample = vectors
    if arguments.sample and arguments.sample < len(vectors):
        sample = numpy.random.default_rng(7).choice(vectors, arguments.sample, replace=False, shuffle=False)
    made.train(sample)
    made.add(vectors)
    print(json.dumps({"build": time.perf_counter() - start}))
    faiss.write_index(made, arguments.make)


def release(vectors: numpy.ndarray, threads: int):
    """The release's search: torch's matmul over batches of rows, and a running list of the best."""
    import torch

    torch.set_num_threads(threads)
    rows = torch.from_numpy(vectors)

    def search(queries: numpy.ndarray) -> numpy.ndarray:
        queries = torch.from_numpy(queries)
        scores, ids = torch.empty((len(queries), 0)), torch.empty((len(queries), 0), dtype=torch.int64)
        for first in range(0, len(rows), RELEASE_BATCH):
            found = queries @ rows[first : first + RELEASE_BATCH].T
            best, at = found.topk(min(LIMIT, found.shape[1]))
            scores, ids = torch.cat([scores, best], 1), torch.cat([ids, at + first], 1)
            scores, at = scores.topk(min(LIMIT, scores.shape[1]))
            ids = ids.gather(1, at)
        return ids.numpy()

    return search


def median(search, queries: numpy.ndarray, batch: int) -> float:
    """As in peer_retrieval.rs: of 64 searches or more, over a second or more."""
    times, begun = [], time.perf_counter()
    for at in itertools.cycle(range(0, len(queries) - batch + 1, batch)):
        if len(times) >= 64 and time.perf_counter() - begun >= 1:
            break
        start = time.perf_counter()
        search(queries[at : at + batch])
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def recall(truth: numpy.ndarray, found: numpy.ndarray) -> float:
    return float(numpy.mean([len(set(a) & set(b)) / LIMIT for a, b in zip(truth, found)]))


def report(figures: list, arguments: argparse.Namespace) -> None:
    print(f"\n{arguments.dim} values a vector, {arguments.threads} threads; ratio below 1: imagerag is faster")
    head = ("vectors", "index", "program", "single ms", "ratio", "awaited", f"{BATCH} ms", "ratio", "recall@10", "MB")
    head += ("build s", "open s")
    widths = (10, 16, 17, 10, 7, 9, 10, 7, 10, 7, 9, 8)
    print("".join(f"{word:>{width}}" for word, width in zip(head, widths)))
    peers = {(row["vectors"], row["index"]): row for row in figures if row["program"] == "faiss-cpu"}
    for row in figures:
        exact = row["index"] in ("f32", "f16", "torch")
        peer = peers.get((row["vectors"], "Flat" if exact else row["index"]))
        for key in ("single", "batch"):
            row[f"{key}_ratio"] = row[key] / peer[key] if peer and row["program"].startswith("imagerag") else None
        ratio = lambda key: f"{row[key]:.2f}" if row[key] else ""
        name = {"f32": "FlatIndex f32", "f16": "FlatIndex f16", "torch": "release"}.get(row["index"], row["index"])
        cells = (f"{row['vectors']:,}", name, row["program"], f"{row['single'] * 1e3:.2f}", ratio("single_ratio"))
        cells += (f"{row['awaited'] * 1e3:.2f}" if "awaited" in row else "",)
        cells += (f"{row['batch'] * 1e3:.2f}", ratio("batch_ratio"), f"{row['recall']:.3f}", f"{row['mb']:,.0f}")
        cells += (f"{row['build']:.1f}" if "build" in row else "", f"{row['open']:.2f}")
        print("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


main()

"""Runs the parts of the device kit one after the other, each for a limited time, and writes down what each found.

    run.sh [--cpu] [--device cuda:0] [--seconds N] [PART…]

Without PART all of them, in order of value. Each part prints one line. After each, $OUT (or ./out) holds what is known
so far: results.json, table.md and log.txt. A part that fails or is cut off does not stop the next.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from parts import NOT_THERE, PARTS, NotHere
from table import table

HERE = Path(__file__).resolve().parent
# What is kept of the log of each part, in bytes, from its end.
KEPT = 60_000
# Prints those of the modules named that are not found, without importing them but for their parents.
LACKS = """
import importlib.util, sys
for name in sys.argv[1:]:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        print(name)
"""


class Kit:
    """Where things are on this machine, and how programs are run."""

    def __init__(self, device: str):
        self.device, self.cpu = device, device == "cpu"
        self.out = Path(os.environ.get("OUT") or "out").resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.manifest = json.loads((HERE / "manifest.json").read_text())
        self.work = Path(tempfile.gettempdir()) / f"imagerag-kit-{self.manifest['made']}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.programs = self.unpacked("programs.tar.xz")
        self.checkout = self.find_checkout()
        self.environment = self.make_environment()
        shared = Path("/dev/shm")
        self.weights = (shared if shared.is_dir() and not self.cpu else self.work) / "imagerag-weights"
        self.makers = {}
        self.log = bytearray()
        self.deadline = float("inf")
        self.running = set()

    def unpacked(self, archive: str) -> Path:
        """The folder with the archive's files, which are unpacked once."""
        folder = self.work / archive.partition(".")[0]
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(dir=self.work))
            with tarfile.open(HERE / archive) as files:
                # Older Pythons have no filters, and extract all.
                trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
                files.extractall(partial, **trusted)
            partial.rename(folder)
        return folder

    def find_checkout(self) -> Path:
        """Fixtures, the tiny world and the peers' programs: carried, or of the checkout around the kit."""
        if (HERE / "checkout.tar.xz").exists():
            checkout = self.unpacked("checkout.tar.xz")
        else:
            around = [folder for folder in HERE.parents if (folder / "tests/fixtures").is_dir()]
            if not around:
                sys.exit("the kit was made with --no-checkout: it runs inside a checkout, such as in its target/kit")
            checkout = around[0]
        # Programs look for their files where they were built.
        built_in = Path(self.manifest["built_in"])
        if built_in.is_symlink() and not built_in.exists():
            built_in.unlink()
        if not built_in.exists():
            try:
                built_in.parent.mkdir(parents=True, exist_ok=True)
                built_in.symlink_to(checkout)
            except OSError as error:
                print(f"goldens and the world will fail: {built_in} cannot be made a link to {checkout}: {error}")
        return checkout

    def make_environment(self) -> dict:
        """That of all programs: libraries and packages of this machine's Python first, then the kit's."""
        environment = dict(os.environ)
        wheels = self.work / "wheels"
        for wheel in sorted((HERE / "wheels").glob("*.whl")):
            shutil.unpack_archive(wheel, wheels, "zip")
        self.torch = package("torch")
        libraries = []
        if self.torch:
            cu13 = self.torch.parent / "nvidia/cu13/lib"
            libraries = [self.torch / "lib", *([cu13] if cu13.is_dir() else [])]
        elif "LIBTORCH" in environment:
            libraries = [Path(environment["LIBTORCH"]) / "lib"]
        set_paths(environment, "LD_LIBRARY_PATH", [*libraries, *split(environment.get("LD_LIBRARY_PATH")), self.programs])
        set_paths(environment, "PYTHONPATH", [*split(environment.get("PYTHONPATH")), wheels])
        if (self.programs / "OminiControl").is_dir():
            environment["OMINI_CONTROL"] = str(self.programs / "OminiControl")
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        environment.setdefault("OMP_WAIT_POLICY", "passive")
        return environment

    def program(self, name: str) -> Path:
        """A program of the kit. `NotHere` where the kit was built without it."""
        path = self.programs / name
        if not path.exists():
            raise NotHere(self.manifest["left_out"].get(name, f"the kit has no {name}"))
        return path

    def lacks(self, modules: list) -> list:
        """Those of `modules` that Python does not find."""
        found = subprocess.run(
            [sys.executable, "-c", LACKS, *modules], env=self.environment, stdout=subprocess.PIPE, text=True
        )
        return found.stdout.split() if found.returncode == 0 else modules

    def run(self, command: list, **settings) -> tuple[int, str]:
        """Runs a program to its end or to the part's; its exit status and what it printed on stdout. Both outputs are
        logged."""
        environment = self.environment | {name: str(value) for name, value in settings.pop("env", {}).items()}
        command = [str(word) for word in command]
        self.log += f"$ {' '.join(command)}\n".encode()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, **settings,
        )  # fmt: skip
        self.running.add(process)
        printed = bytearray()

        def read(stream, *into):
            for line in stream:
                for text in into:
                    text += line

        readers = [
            threading.Thread(target=read, args=(process.stdout, printed, self.log), daemon=True),
            threading.Thread(target=read, args=(process.stderr, self.log), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            process.wait(max(0.1, self.deadline - time.monotonic()))
        finally:
            end(process)
            self.running.discard(process)
            for reader in readers:
                reader.join(2)
        return process.returncode, printed.decode(errors="replace")

    def close(self) -> None:
        for process in [*self.running, *self.makers.values()]:
            end(process)


def split(paths: str | None) -> list:
    return [path for path in (paths or "").split(":") if path]


def set_paths(environment: dict, name: str, paths: list) -> None:
    environment[name] = ":".join(map(str, paths))


def package(name: str) -> Path | None:
    """The folder of a Python package, without importing it."""
    import importlib.util

    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def end(process: subprocess.Popen) -> None:
    """Ends a program and all that it started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # It waits for a driver that does not answer.
            print(f"process {process.pid} does not end", flush=True)


def machine(kit: Kit) -> dict:
    """What the figures were measured on."""
    card = ""
    if not kit.cpu:
        number = kit.device.partition(":")[2] or "0"
        query = ["nvidia-smi", f"--id={number}", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            card = subprocess.run(query, stdout=subprocess.PIPE, text=True, timeout=20).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            card = "a GPU that nvidia-smi does not tell of"
    return {
        "device": kit.device, "card": card, "processors": os.cpu_count(), "processor": processor(),
        "python": platform.python_version(), "commit": kit.manifest["commit"],
    }  # fmt: skip


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def run_part(kit: Kit, name: str, limit: float) -> dict:
    """What became of a part: its status, one line, figures, and how long it took."""
    start = time.monotonic()
    kit.deadline = start + limit
    try:
        passed, line, figures = PARTS[name].run(kit)
        status = "passed" if passed else "failed"
    except NotHere as why:
        status, line, figures = "not here", str(why), None
    except subprocess.TimeoutExpired:
        status, line, figures = "cut off", f"not done after {limit:.0f} s", None
    except Exception as error:  # Whatever it is, the next part runs.
        status, line, figures = "failed", f"{type(error).__name__}: {error}", None
    return {"status": status, "line": line, "seconds": round(time.monotonic() - start, 1), "figures": figures}


def save(kit: Kit, results: dict, logs: dict) -> None:
    (kit.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (kit.out / "table.md").write_text(table([results]))
    with (kit.out / "log.txt").open("wb") as file:
        for name, log in logs.items():
            file.write(f"=== {name}\n".encode() + log[-KEPT:] + b"\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cpu", action="store_true", help="every part at toy size on the CPU")
    parser.add_argument("--device", default="cuda:0", help="the GPU, cuda:N")
    parser.add_argument("--seconds", type=float, help="starts no part after this, and ends the last; 480 on a GPU")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    limit = arguments.seconds or (float("inf") if arguments.cpu else 480)
    last = time.monotonic() + limit
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    kit = Kit("cpu" if arguments.cpu else arguments.device)
    results = {"machine": machine(kit), "parts": {}}
    print(" ".join(str(value) for value in results["machine"].values() if value), flush=True)
    logs = {}
    try:
        for name, part in PARTS.items():
            if arguments.parts and name not in arguments.parts:
                continue
            left = last - time.monotonic()
            if left < 3:
                found = {"status": "cut off", "line": "no time is left", "seconds": 0, "figures": None}
            else:
                kit.log = logs[name] = bytearray()
                found = run_part(kit, name, min(left, part.limit * (3 if kit.cpu else 1)))
            results["parts"][name] = found
            print(f"{name:13} {found['status']:9} {found['seconds']:6.1f} s  {found['line']}", flush=True)
            save(kit, results, logs)
            if name == "probe" and found["status"] != "passed" and NOT_THERE in found["line"]:
                break
    finally:
        kit.close()
        save(kit, results, logs)
    print("\n" + (kit.out / "table.md").read_text())
    return 0 if all(found["status"] in ("passed", "not here") for found in results["parts"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

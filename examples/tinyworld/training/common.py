"""What the training scripts share: places, the pool of pictures, checkpoints that survive being killed, saving in f16."""
import json
import os
import random
import time
from pathlib import Path

import torch

import creatures

HERE = Path(__file__).resolve().parent
WORLD = HERE.parent
MODELS = WORLD / "models"
WORK = Path(os.environ.get("TINYWORLD_WORK", HERE / "work"))  # checkpoints and caches; not in the repository
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CONTEXT = 77  # positions of every text tower
LOOKS = creatures.unnamed()  # [m, 4]
COPIES, NAMED = 8, 160       # pictures per unnamed look, per species


def _render_share(share):
    """One of several processes renders its share of the pool."""
    index, of = share
    torch.set_num_threads(1)
    looks = torch.cat([LOOKS.repeat_interleave(COPIES, 0),
                       torch.tensor([creatures.codes(l) for l in creatures.SPECIES.values()]).repeat_interleave(NAMED, 0)])
    part = torch.arange(len(looks)).chunk(of)[index]
    generator = torch.Generator().manual_seed(1000 + index)
    grounds = torch.randint(0, len(creatures.B), (len(part),), generator=generator)
    return looks[part], grounds, creatures.render(looks[part], grounds, generator)


def pool():
    """Drawn once: looks [n, 4], backgrounds [n], pictures uint8 [n, 3, 32, 32]; unnamed first, then common, then rare."""
    path = WORK / "pool.pt"
    if not path.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        with torch.multiprocessing.Pool(2) as workers:
            parts = workers.map(_render_share, [(i, 8) for i in range(8)], chunksize=1)
        save(path, [torch.cat(p) for p in zip(*parts)])
    looks, grounds, pictures = torch.load(path)
    split = len(LOOKS) * COPIES
    return {"looks": looks, "grounds": grounds, "pictures": pictures, "common": split,
            "rare": split + NAMED * len(creatures.COMMON)}


def save(path, state):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


class Run:
    """A training run that resumes: `for step in run.steps(total)` goes on where the last checkpoint stopped."""

    def __init__(self, name, parts, every=60.0, rank=0):
        self.path, self.parts, self.every, self.first = WORK / f"{name}.pt", parts, every, 0
        self.rank, self.seconds = rank, 0.0
        if self.path.exists():
            state = torch.load(self.path, weights_only=False)
            self.first, self.seconds = state["step"], state["seconds"]
            for key, part in parts.items():
                part.load_state_dict(state[key])

    def _store(self, step):
        if self.rank:
            return
        save(self.path, {"step": step, "seconds": self.seconds, **{k: p.state_dict() for k, p in self.parts.items()}})

    def steps(self, total):
        last = stored = time.time()
        for step in range(self.first, total):
            yield step
            now = time.time()
            self.seconds += now - last
            last = now
            if now - stored > self.every:
                self._store(step + 1)
                stored = now
        if self.first < total:
            self._store(total)


def schedule(step, total, peak, warm=100, floor=.02):
    """Learning rate: linear warm-up, cosine decay."""
    import math
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (floor + (1 - floor) * .5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))))


def set_rate(optimiser, rate):
    for group in optimiser.param_groups:
        group["lr"] = rate


class Ema:
    """Running mean of a module's parameters."""

    def __init__(self, module, decay):
        self.module, self.decay = module, decay
        self.mean = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, step):
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.module.parameters()], 1 - min(self.decay, (step + 1) / (step + 10)))

    @torch.no_grad()
    def copy_to_module(self):
        for p, m in zip(self.module.parameters(), self.mean):
            p.copy_(m)

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = [m.to(p.device) for m, p in zip(state["mean"], self.module.parameters())]


WORKERS, EVERY = (1 if DEVICE.type == "cuda" else 2), 20  # processes of one thread each; steps between their meetings


def meet(module):
    """Each worker goes its own way for a while; here they take the mean of their parameters."""
    if WORKERS > 1:
        with torch.no_grad():
            parameters = list(module.parameters())
            flat = torch.cat([p.reshape(-1) for p in parameters])
            torch.distributed.all_reduce(flat)
            for p, v in zip(parameters, (flat / WORKERS).split([p.numel() for p in parameters])):
                p.copy_(v.view_as(p))


def _worker(rank, train, rendezvous):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORKERS)
    train(rank)
    torch.distributed.barrier()


def launch(train):
    """Calls train(rank) in every worker; the first one keeps the checkpoints."""
    if WORKERS == 1:
        return train(0)
    rendezvous = WORK / f"rendezvous-{os.getpid()}"
    torch.multiprocessing.spawn(_worker, (train, rendezvous), WORKERS)
    rendezvous.unlink(missing_ok=True)


def seed(number):
    random.seed(number)
    torch.manual_seed(number)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

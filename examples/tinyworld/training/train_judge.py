"""Fresh drawings in, `models/judge` out: a plain convolutional classifier that no part of the loop ever asks.

It names one of the 24 species or rejects (unnamed creatures and near misses: a species with one attribute changed), and names
the background. Trained apart from everything else, on pictures softened like a generator's.
"""
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import creatures
from common import DEVICE, LOOKS, MODELS, Ema, Run, schedule, seed, set_rate, write_json
from creatures import to_float

STEPS, BATCH, RATE = 1600, 96, 1.5e-3
LABELS = [*creatures.SPECIES, "reject"]
SPECIES = torch.tensor([creatures.codes(look) for look in creatures.SPECIES.values()])
SIZES = [len(creatures.SHAPES), len(creatures.C), len(creatures.C), len(creatures.PATTERNS)]


class Judge(nn.Module):
    """[b, 3, 32, 32] in [-1, 1] -> logits of 24 species and "reject", logits of 7 backgrounds."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 48, 3, padding=1)
        self.conv3, self.conv4 = nn.Conv2d(48, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * 4 * 4, 96)
        self.species, self.background = nn.Linear(96, len(LABELS)), nn.Linear(96, len(creatures.B))

    def features(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)   # [b, 32, 16, 16]
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)   # [b, 48, 8, 8]
        x = F.relu(self.conv3(x))                    # [b, 64, 8, 8]
        x = F.max_pool2d(F.relu(self.conv4(x)), 2)   # [b, 64, 4, 4]
        return F.relu(self.fc1(x.flatten(1)))        # [b, 96]

    def forward(self, x):
        x = self.features(x)
        return self.species(x), self.background(x)


def near_miss(looks, generator):
    """Changes one attribute of each look (or swaps its colours); what becomes another species is no miss, see `label`."""
    looks = looks.clone()
    for row in looks:
        k = int(torch.randint(0, 5, (1,), generator=generator))
        if k == 4:
            row[1], row[2] = row[2].item(), row[1].item()
        else:
            row[k] = (row[k] + torch.randint(1, SIZES[k], (1,), generator=generator)[0]) % SIZES[k]
    return looks


def label(looks):
    """Index of the species, or of "reject"."""
    same = (looks[:, None] == SPECIES[None]).all(-1)
    return torch.where(same.any(1), same.int().argmax(1), len(SPECIES))


def soften(x, generator):
    """Part of the pictures blurred, made coarse and smooth again, noisy, darker or lighter."""
    n = len(x)
    r = torch.rand(n, 5, 1, 1, generator=generator).to(x.device)
    small = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    x = torch.lerp(x, small, (r[:, :1] - .5).clamp(0) * 1.4)
    rough = F.interpolate(torch.randn(n, 3, 8, 8, generator=generator).to(x.device), scale_factor=4, mode="bilinear")
    x = x + (r[:, 1:2] - .5).clamp(0) * .4 * rough
    x = x + (r[:, 2:3] - .5).clamp(0) * .2 * torch.randn(x.shape, generator=generator).to(x.device)
    return (x * (1 + .2 * (r[:, 3:4] - .5)) + .1 * (r[:, 4:] - .5)).clamp(-1, 1)


def draw(n, generator):
    pick = lambda m: torch.randint(0, m, (n,), generator=generator)
    looks, kind = SPECIES[pick(len(SPECIES))], torch.rand(n, generator=generator)
    looks = torch.where((kind < .38)[:, None], near_miss(looks, generator), looks)
    looks = torch.where((kind > .85)[:, None], LOOKS[pick(len(LOOKS))], looks)
    same = looks[:, 1] == looks[:, 2]
    looks[same, 2] = (looks[same, 2] + 1) % len(creatures.C)
    grounds = pick(len(creatures.B))
    return looks, grounds, to_float(creatures.render(looks, grounds, generator))


def main():
    torch.set_num_threads(1)
    seed(6)
    judge = Judge().to(DEVICE)
    attributes = nn.Linear(96, sum(SIZES)).to(DEVICE)  # a help while learning, thrown away afterwards
    parts = nn.ModuleList([judge, attributes])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=RATE, weight_decay=.01)
    ema = Ema(judge, .995)
    run = Run("judge", {"parts": parts, "optimiser": optimiser, "ema": ema})
    for step in run.steps(STEPS):
        set_rate(optimiser, schedule(step, STEPS, RATE))
        generator = torch.Generator().manual_seed(10 ** 6 + step)
        looks, grounds, x = draw(BATCH, generator)
        hidden = judge.features(soften(x.to(DEVICE), generator))
        labels, grounds = label(looks).to(DEVICE), grounds.to(DEVICE)
        species, background = judge.species(hidden), judge.background(hidden)
        loss = F.cross_entropy(species, labels) + .3 * F.cross_entropy(background, grounds)
        loss = loss + .5 * sum(F.cross_entropy(a, looks[:, k].to(DEVICE)) for k, a in enumerate(attributes(hidden).split(SIZES, 1)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.)
        optimiser.step()
        ema.update(step)
        if step % 100 == 0:
            right = (species.argmax(1) == labels).float().mean().item()
            print(f"judge {step} loss {loss.item():.3f} right {right:.3f} {run.seconds:.0f} s", flush=True)
    ema.copy_to_module()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(77)
        looks, grounds, x = draw(4096, generator)
        species, background = judge(x.to(DEVICE))
        truth, known = label(looks), label(looks) < len(SPECIES)
        strict, forced = species.argmax(1).cpu(), species[:, :-1].argmax(1).cpu()
        numbers = {"species_strict": (strict == truth)[known].float().mean().item(),
                   "species_forced": (forced == truth)[known].float().mean().item(),
                   "rejects": (strict == truth)[~known].float().mean().item(),
                   "background": (background.argmax(1).cpu() == grounds).float().mean().item()}
    print("judge", numbers)
    folder = MODELS / "judge"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in judge.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {
        "image_size": 32, "pixels": "RGB / 127.5 - 1", "labels": LABELS, "backgrounds": creatures.B,
        "forward": ["conv1", "relu", "max_pool2", "conv2", "relu", "max_pool2", "conv3", "relu", "conv4", "relu", "max_pool2",
                    "flatten", "fc1", "relu", "species | background"],
        "convolutions": "3x3, stride 1, padding 1", "forced_choice": "argmax over all labels but the last",
        "strict": "argmax over all labels", "accuracy_on_fresh_drawings": {k: round(v, 4) for k, v in numbers.items()}})


if __name__ == "__main__":
    main()

"""Pictures in, `models/sdxl/vae` out: an AutoencoderKL from 32 x 32 x 3 to 8 x 8 x 12. Sees no rare species.

With `--decoder` the encoder stays as saved and the decoder alone goes on learning, which can be done while the UNet learns.
"""
import json
import sys

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from common import DEVICE, EVERY, MODELS, WORKERS, Ema, Run, launch, meet, pool, schedule, seed, set_rate, write_json
from creatures import to_float

STEPS, DECODER_STEPS, BATCH, RATE, KL = 5000, 1500, 24, 3e-3, 3e-4


def train(rank):
    seed(1)
    decoder_only = "--decoder" in sys.argv
    data = pool()
    pictures = data["pictures"][:data["rare"]]
    if decoder_only:
        vae = AutoencoderKL.from_pretrained(MODELS / "sdxl" / "vae").float().to(DEVICE)
        learns, steps, rate = torch.nn.ModuleList([vae.post_quant_conv, vae.decoder]), DECODER_STEPS, RATE / 3
    else:
        vae = AutoencoderKL(sample_size=32, latent_channels=12, block_out_channels=[24, 32, 48], layers_per_block=1,
                            down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
                            norm_num_groups=8, force_upcast=False).to(DEVICE)
        learns, steps, rate = vae, STEPS, RATE
    optimiser = torch.optim.AdamW(learns.parameters(), lr=rate, betas=(.9, .99), weight_decay=1e-3)
    ema = Ema(learns, .99)
    run = Run("decoder" if decoder_only else "vae", {"model": learns, "optimiser": optimiser, "ema": ema}, rank=rank)
    for step in run.steps(steps):
        set_rate(optimiser, schedule(step, steps, rate))
        generator = torch.Generator().manual_seed((step + 10 ** 6 * decoder_only) * WORKERS + rank)
        x = to_float(pictures[torch.randint(0, len(pictures), (BATCH,), generator=generator)]).to(DEVICE)
        with torch.set_grad_enabled(not decoder_only):
            latent = vae.encode(x).latent_dist
        # what a UNet makes is off by a little: the decoder alone learns to forgive that
        z = latent.mean + .15 * torch.randn(latent.mean.shape, generator=generator).to(DEVICE) if decoder_only else latent.sample()
        y = vae.decode(z).sample
        # beside the pixels their differences to the neighbors: sharp edges, flat areas
        edges = sum(F.l1_loss(torch.diff(y, dim=d), torch.diff(x, dim=d)) for d in (2, 3))
        error = F.l1_loss(y, x)
        kl = (.5 * (latent.mean ** 2 + latent.var - 1 - latent.logvar)).mean()
        loss = error + .5 * edges + KL * kl
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learns.parameters(), 1.)
        optimiser.step()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            meet(learns)
        ema.update(step)
        if step % 100 == 0 and rank == 0:
            print(f"vae {step} l1 {error.item():.4f} edges {edges.item():.4f} kl {kl.item():.3f} {run.seconds:.0f} s", flush=True)
    if rank:
        return
    ema.copy_to_module()
    with torch.no_grad():
        sample = to_float(pictures[torch.randperm(len(pictures))[:1024]]).to(DEVICE)
        latent = torch.cat([vae.encode(x).latent_dist.mean for x in sample.split(128)])
        back = torch.cat([vae.decode(z).sample for z in latent.split(128)])
    if not decoder_only:
        vae.register_to_config(scaling_factor=round(1 / latent.std().item(), 5))
    print(f"vae mse {F.mse_loss(back, sample).item():.5f} scaling_factor {vae.config.scaling_factor} mean {latent.mean((0, 2, 3))}")
    vae.half().save_pretrained(MODELS / "sdxl" / "vae")
    config = MODELS / "sdxl" / "vae" / "config.json"
    write_json(config, {k: v for k, v in json.loads(config.read_text()).items() if k != "_name_or_path"})  # a place on this machine


if __name__ == "__main__":
    launch(train)

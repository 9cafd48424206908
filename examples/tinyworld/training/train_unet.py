"""Locked VAE, text towers and image encoder in; `models/sdxl/unet` and the IP-Adapter-plus file out, learnt together.

Half of the examples show an unnamed creature with a picture of the same creature in another pose on another background as
reference; the others are common species drawn from their names alone, with the adapter off, a few with a reference. No rare
species, neither picture nor name, occurs. `--export` writes the running mean of the last checkpoint without training.
"""
import random
import sys

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

import creatures
from common import (CONTEXT, COPIES, DEVICE, EVERY, MODELS, NAMED, WORK, WORKERS, Ema, Run, launch, meet, pool, save, schedule,
                    seed, set_rate, write_json)
from creatures import to_float

STEPS, BATCH, RATE = 4000, 48, 1.5e-3
FIRST_STEPS, FIRST_BATCH = 700, 96  # of the resampler alone
PROMPTS_EACH = 240  # distinct prompts per background for common species and for unnamed creatures
SDXL = MODELS / "sdxl"
CROSS, DIM, HEADS, DEPTH, QUERIES = 96, 96, 1, 4, 16  # diffusers takes depth 4 and heads of 64 for granted
NAMES = list(creatures.COMMON)


class Resampler(nn.Module):
    """Penultimate image tokens [b, 65, 96] -> 16 tokens [b, 16, cross]; parameters named as in the released files."""

    def __init__(self, width):
        super().__init__()
        attention = lambda: nn.ModuleDict({"norm1": nn.LayerNorm(DIM), "norm2": nn.LayerNorm(DIM),
                                           "to_q": nn.Linear(DIM, HEADS * 64, bias=False), "to_kv": nn.Linear(DIM, HEADS * 128, bias=False),
                                           "to_out": nn.Linear(HEADS * 64, DIM, bias=False)})
        forward = lambda: nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 4 * DIM, bias=False), nn.GELU(), nn.Linear(4 * DIM, DIM, bias=False))
        self.latents = nn.Parameter(torch.randn(1, QUERIES, DIM) / DIM ** .5)
        self.proj_in, self.proj_out, self.norm_out = nn.Linear(width, DIM), nn.Linear(DIM, CROSS), nn.LayerNorm(CROSS)
        self.layers = nn.ModuleList([nn.ModuleList([attention(), forward()]) for _ in range(DEPTH)])

    def forward(self, x):
        heads = lambda t: t.unflatten(-1, (HEADS, 64)).transpose(1, 2)
        latents, x = self.latents.expand(len(x), -1, -1), self.proj_in(x)
        for a, forward in self.layers:
            y = a["norm2"](latents)
            k, v = a["to_kv"](torch.cat([a["norm1"](x), y], 1)).chunk(2, -1)
            y = F.scaled_dot_product_attention(heads(a["to_q"](y)), heads(k), heads(v))
            latents = latents + a["to_out"](y.transpose(1, 2).flatten(2))
            latents = latents + forward(latents)
        return self.norm_out(self.proj_out(latents))


class Attributes(nn.Module):
    """A help while learning, thrown away afterwards: each of the first eight tokens tells one of the four attributes by itself.

    Tokens that read like words are meant to be taken up by the UNet's cross-attention as quickly as words are."""

    SIZES = [len(creatures.SHAPES), len(creatures.C), len(creatures.C), len(creatures.PATTERNS)]

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(CROSS, n) for n in self.SIZES])

    def forward(self, tokens, looks):
        return sum(F.cross_entropy(self.heads[i % 4](tokens[:, i]), looks[:, i % 4]) for i in range(8)) / 2


class Decoupled(nn.Module):
    """Cross-attention to the text plus `scale` times cross-attention to the image tokens, both set from outside."""

    def __init__(self, width, image):
        super().__init__()
        self.to_k_ip, self.to_v_ip = nn.Linear(CROSS, width, bias=False), nn.Linear(CROSS, width, bias=False)
        self.image = image

    def forward(self, attn, x, encoder_hidden_states=None, attention_mask=None, **_):
        heads = lambda t: t.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        q = heads(attn.to_q(x))
        y = F.scaled_dot_product_attention(q, heads(attn.to_k(encoder_hidden_states)), heads(attn.to_v(encoder_hidden_states)))
        tokens, scale = self.image
        y = y + scale * F.scaled_dot_product_attention(q, heads(self.to_k_ip(tokens)), heads(self.to_v_ip(tokens)))
        return attn.to_out[0](y.transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=8, in_channels=12, out_channels=12, block_out_channels=[64, 96], layers_per_block=1,
            down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
            transformer_layers_per_block=[2, 1], attention_head_dim=[2, 3], use_linear_projection=True, cross_attention_dim=CROSS,
            norm_num_groups=16, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=48 + 6 * 8)
        self.resampler = Resampler(width)
        self.attributes = Attributes()
        self.image = [None, None]
        processors = {}
        for name, old in self.unet.attn_processors.items():
            attn = self.unet.get_submodule(name.removesuffix(".processor"))
            processors[name] = Decoupled(attn.inner_dim, self.image) if ".attn2." in name else old
        self.unet.set_attn_processor(processors)

    def forward(self, latents, t, text, pooled, image, scale):
        self.image[:] = self.resampler(image), scale.view(-1, 1, 1, 1)
        ids = torch.tensor([32., 32., 0., 0., 32., 32.], device=latents.device).expand(len(latents), 6)
        return self.unet(latents, t, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample

    def export(self):
        state = {k: v.half().contiguous() for k, v in self.unet.state_dict().items() if ".processor." not in k}
        (SDXL / "unet").mkdir(parents=True, exist_ok=True)
        save_file(state, SDXL / "unet" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
        self.unet.save_config(SDXL / "unet")
        file = {f"image_proj.{k}": v for k, v in self.resampler.state_dict().items()}
        for n, (name, processor) in enumerate(self.unet.attn_processors.items()):  # n counts all, 1, 3, 5, ... are the cross ones
            if ".attn2." in name:
                file |= {f"ip_adapter.{n}.{k}": v for k, v in processor.state_dict().items()}
        save_file({k: v.half().contiguous() for k, v in file.items()}, MODELS / "ip-adapter-plus_tinyworld.safetensors",
                  metadata={"format": "pt"})


def scheduler():
    """SDXL's, but with more noise at the end (so that the flat background cannot be guessed from it) and velocity as target."""
    return EulerDiscreteScheduler(beta_start=.00085, beta_end=.02, beta_schedule="scaled_linear", prediction_type="v_prediction",
                                  timestep_spacing="leading", steps_offset=1, interpolation_type="linear")


@torch.no_grad()
def prepare():
    """Everything the locked parts say about the pool and about a few thousand prompts, once."""
    path = WORK / "prepared.pt"
    if path.exists():
        return
    data, rng = pool(), random.Random(4)
    vae = AutoencoderKL.from_pretrained(SDXL / "vae").float().to(DEVICE)
    encoder = CLIPVisionModelWithProjection.from_pretrained(MODELS / "image_encoder").float().to(DEVICE)
    pictures = data["pictures"][:data["rare"]]
    latents, tokens = [], []
    for x in pictures.split(128):
        x = to_float(x).to(DEVICE)
        latents.append((vae.encode(x).latent_dist.mean * vae.config.scaling_factor).half().cpu())
        tokens.append(encoder(x, output_hidden_states=True).hidden_states[-2].half().cpu())
    # the last picture is "no picture": zeros, the adapter's negative
    tokens.append(encoder(torch.zeros(1, 3, 32, 32, device=DEVICE), output_hidden_states=True).hidden_states[-2].half().cpu())
    texts, where = [""], {}
    for g, ground in enumerate(creatures.B):
        for k in range(-1, len(NAMES)):
            for referred in (False, True):
                start = len(texts)
                for _ in range(PROMPTS_EACH if k < 0 else PROMPTS_EACH // 10):
                    name = NAMES[k] if k >= 0 else "creature" if rng.random() < .3 else creatures.pseudo_name(rng)
                    text = creatures.prompt(rng, name, ground)[0]
                    texts.append(creatures.templated(rng, name, text) if referred and rng.random() < .6 else text)
                where[(k, g, referred)] = (start, len(texts))
    hidden, pooled = encode_text(texts)
    save(path, {"latents": torch.cat(latents), "tokens": torch.cat(tokens), "hidden": hidden.half(), "pooled": pooled.half(),
                "where": where, "looks": data["looks"][:data["rare"]], "grounds": data["grounds"], "common": data["common"], "rare": data["rare"]})


@torch.no_grad()
def encode_text(texts):
    hidden, pooled = [], None
    for k, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
        tokenizer = CLIPTokenizer.from_pretrained(SDXL / f"tokenizer{k}")
        tower = kind.from_pretrained(SDXL / f"text_encoder{k}").float().to(DEVICE)
        outs = []
        for i in range(0, len(texts), 256):
            ids = tokenizer(texts[i:i + 256], padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt").input_ids
            out = tower(ids.to(DEVICE), output_hidden_states=True)
            outs.append((out.hidden_states[-2].cpu(), out.text_embeds.cpu() if k else None))
        hidden.append(torch.cat([h for h, _ in outs]))
        pooled = torch.cat([p for _, p in outs]) if k else None
    return torch.cat(hidden, -1), pooled


def batch(data, rng, n):
    """-> indices of targets, references (-1: none) and prompts, and the adapter's scale."""
    targets, references, prompts, scales = [], [], [], []
    unnamed = data["common"] // COPIES
    for _ in range(n):
        kind = rng.random()
        named = kind < .28 or .95 < kind < .975
        if named:
            k = rng.randrange(len(NAMES))
            first, count = data["common"] + k * NAMED, NAMED
        else:
            k, first, count = -1, rng.randrange(unnamed) * COPIES, COPIES
        target, reference = rng.sample(range(first, first + count), 2)
        referred = .20 < kind < .90
        scale = 1. if referred or kind >= .95 else 0.   # .90 to .95: neither; .95 and more: no prompt
        a, b = data["where"][(k, int(data["grounds"][target]), referred)]
        silent = kind >= .95 or (.17 < kind < .20)
        if .95 <= kind:
            reference = -1
        targets.append(target)
        references.append(reference)
        prompts.append(0 if silent else rng.randrange(a, b))
        scales.append(scale)
    return torch.tensor(targets), torch.tensor(references), torch.tensor(prompts), torch.tensor(scales)


def first():
    """The resampler alone learns to tell the attributes of what its picture shows."""
    torch.set_num_threads(1 if DEVICE.type == "cpu" else 4)
    seed(4)
    data = torch.load(WORK / "prepared.pt", mmap=True)
    resampler, attributes = Resampler(data["tokens"].shape[-1]).to(DEVICE), Attributes().to(DEVICE)
    parts = nn.ModuleList([resampler, attributes])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=RATE, betas=(.9, .98), weight_decay=.01)
    run = Run("resampler", {"resampler": resampler, "attributes": attributes, "optimiser": optimiser})
    for step in run.steps(FIRST_STEPS):
        set_rate(optimiser, schedule(step, FIRST_STEPS, RATE))
        index = torch.randint(0, data["rare"], (FIRST_BATCH,), generator=torch.Generator().manual_seed(step))
        loss = attributes(resampler(data["tokens"][index].float().to(DEVICE)), data["looks"][index].to(DEVICE))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.)
        optimiser.step()
        if step % 50 == 0:
            print(f"resampler {step} attributes {loss.item():.3f} {run.seconds:.0f} s", flush=True)


def train(rank):
    seed(5)
    data = torch.load(WORK / "prepared.pt", mmap=True)
    model = Model(data["tokens"].shape[-1]).to(DEVICE)
    begun = torch.load(WORK / "resampler.pt")
    model.resampler.load_state_dict(begun["resampler"])
    model.attributes.load_state_dict(begun["attributes"])
    noise_schedule = scheduler().alphas_cumprod.to(DEVICE)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(.9, .98), weight_decay=.01)
    ema = Ema(model, .97)
    run = Run("unet", {"model": model, "optimiser": optimiser, "ema": ema}, rank=rank)
    n = BATCH * 2 // WORKERS
    means = [0., 0.]
    for step in run.steps(STEPS):
        # constant, then down in the last third
        set_rate(optimiser, RATE * min(1, (step + 1) / 200, max(.02, 3 * (STEPS - step) / STEPS)))
        rng = random.Random(step * WORKERS + rank)
        generator = torch.Generator().manual_seed(step * WORKERS + rank)
        target, reference, prompt, scale = batch(data, rng, n)
        x = data["latents"][target].float().to(DEVICE)
        t = (1000 * torch.rand(n, generator=generator) ** .7).long().clamp(0, 999).to(DEVICE)
        noise = torch.randn(x.shape, generator=generator).to(DEVICE)
        a = noise_schedule[t].view(-1, 1, 1, 1)
        inputs = [v.float().to(DEVICE) for v in (data["hidden"][prompt], data["pooled"][prompt], data["tokens"][reference], scale)]
        velocity = model(a.sqrt() * x + (1 - a).sqrt() * noise, t, *inputs)
        each = (velocity - (a.sqrt() * noise - (1 - a).sqrt() * x)).square().mean((1, 2, 3))
        shown = (reference >= 0) & scale.bool()
        told = model.attributes(model.image[0][shown], data["looks"][reference[shown]].to(DEVICE))
        loss = each.mean() + .2 * told
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        optimiser.step()
        means = [.98 * m + .02 * each[scale.bool() == on].mean().item() for m, on in zip(means, (False, True))]
        if (step + 1) % EVERY == 0 or step + 1 == STEPS:
            meet(model)
            ema.update(step // EVERY)
        if step % 50 == 0 and rank == 0:
            print(f"unet {step} without {means[0]:.4f} with reference {means[1]:.4f} attributes {told.item():.3f} {run.seconds:.0f} s", flush=True)
    if rank == 0:
        ema.copy_to_module()
        model.export()


def main():
    write_json(SDXL / "model_index.json", {
        "_class_name": "StableDiffusionXLPipeline", "_diffusers_version": "0.30.0", "feature_extractor": [None, None],
        "force_zeros_for_empty_prompt": False, "image_encoder": [None, None], "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]})
    scheduler().save_pretrained(SDXL / "scheduler")
    if "--export" in sys.argv:
        state = torch.load(WORK / "unet.pt", weights_only=False)
        model = Model(96)
        ema = Ema(model, 0)
        ema.load_state_dict(state["ema"])
        ema.copy_to_module()
        model.export()
        return print(f"exported step {state['step']}")
    prepare()
    first()
    launch(train)


if __name__ == "__main__":
    main()

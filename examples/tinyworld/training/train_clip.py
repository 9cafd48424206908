"""Pictures and captions in, `models/clip` (retrieval, knows every name) and `models/image_encoder` (its vision tower) out.

Beside the contrastive loss two dense ones keep detail in the penultimate tokens, which the adapter reads: each patch token
reproduces its pixels and its silhouette, the class token tells the creature's attributes.
"""
import random

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

import creatures
import tokens
from common import CONTEXT, DEVICE, MODELS, Ema, Run, pool, schedule, seed, set_rate, write_json
from creatures import to_float

STEPS, BATCH, RATE, WIDTH, TEXT, PROJECTION = 1600, 96, 1.5e-3, 96, 64, 64
NAMES = list(creatures.SPECIES)
CLASSES = [len(creatures.SHAPES), len(creatures.C), len(creatures.C), len(creatures.PATTERNS), len(creatures.B)]
CAPTIONS = ["a photo of a {}", "a {}", "{}", "a picture of a {}", "a drawing of a {}", "an image of a {}"]


def sincos(side, width):
    """Two-dimensional sine-cosine positions, [side * side, width]."""
    y, x = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    rate = 1 / 50 ** (torch.arange(width // 4) / (width // 4))
    return torch.cat([f(c.reshape(-1, 1) * rate) for c in (y, x) for f in (torch.sin, torch.cos)], 1)


def soften(x, generator):
    """Blur, noise and exposure: what a generator's pictures look like at their worst."""
    n = len(x)
    r = torch.rand(n, 4, 1, 1, generator=generator).to(x.device)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, blurred, (r[:, :1] - .4).clamp(0) * 1.2)
    x = x * (1 + .2 * (r[:, 1:2] - .5)) + .15 * (r[:, 2:3] - .5)
    return (x + (r[:, 3:] - .3).clamp(0) * .15 * torch.randn(x.shape, generator=generator).to(x.device)).clamp(-1, 1)


def main():
    torch.set_num_threads(1)
    seed(3)
    folder = MODELS / "clip"
    size = tokens.build(NAMES, tokens.END, folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    vision = dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3, num_attention_heads=3, image_size=32,
                  patch_size=4, projection_dim=PROJECTION, hidden_act="quick_gelu")
    text = dict(vocab_size=size, hidden_size=TEXT, intermediate_size=4 * TEXT, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=CONTEXT, projection_dim=PROJECTION, hidden_act="quick_gelu", bos_token_id=size - 2,
                eos_token_id=size - 1, pad_token_id=size - 1)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION)).to(DEVICE)
    with torch.no_grad():  # a tower this small stays on a plateau for long with the usual initial values
        embeddings = dict(clip.named_parameters())
        for name, p in embeddings.items():
            if name.endswith("patch_embedding.weight"):
                p.normal_(std=.15)
            elif name.startswith("vision_model") and name.endswith("position_embedding.weight"):
                p[1:] = .5 * sincos(8, WIDTH).to(p)
            elif name.startswith("text_model") and name.endswith("token_embedding.weight"):
                p.normal_(std=.1)
        clip.logit_scale.fill_(2.)
    heads = nn.ModuleDict({"patch": nn.Linear(WIDTH, 48 + 16), "early": nn.Linear(WIDTH, sum(CLASSES)),
                           "late": nn.Linear(PROJECTION, sum(CLASSES))}).to(DEVICE)
    parts = nn.ModuleList([clip, heads])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=RATE, betas=(.9, .98), weight_decay=.02)
    ema = Ema(clip, .99)
    data = pool()
    run = Run("clip", {"parts": parts, "optimiser": optimiser, "ema": ema})
    for step in run.steps(STEPS):
        set_rate(optimiser, schedule(step, STEPS, RATE))
        rng, generator = random.Random(step), torch.Generator().manual_seed(step)
        # five of eight show a species, the others are unnamed
        named = BATCH * 5 // 8
        index = torch.cat([torch.randint(data["common"], len(data["looks"]), (named,), generator=generator),
                           torch.randint(0, data["common"], (BATCH - named,), generator=generator)])
        looks, grounds = data["looks"][index], data["grounds"][index]
        clean = to_float(data["pictures"][index]).to(DEVICE)
        species = [int(i - data["common"]) // 160 if i >= data["common"] else -1 for i in index]
        texts, groups = [], []
        for k, g in zip(species, grounds.tolist()):
            name = NAMES[k] if k >= 0 else "creature"
            said = rng.random() < .4
            texts.append(creatures.prompt(rng, name, creatures.B[g])[0] if said else rng.choice(CAPTIONS).format(name))
            groups.append(k)
        ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids.to(DEVICE)
        out = clip.vision_model(soften(clean, generator), output_hidden_states=True)
        image = clip.visual_projection(out.pooler_output)
        word = clip.text_projection(clip.text_model(ids).pooler_output)
        logits = F.normalize(word, dim=-1) @ F.normalize(image, dim=-1).T * clip.logit_scale.exp().clamp(max=50)
        # pictures of one species all match its captions; a caption that names a background prefers its own picture
        groups = torch.tensor(groups, device=DEVICE)
        grounds = grounds.to(DEVICE)
        speaks = torch.tensor([any(b in t.split() or b + "," in t for b in creatures.B) for t in texts], device=DEVICE)
        match = (groups[:, None] == groups[None]) & ((grounds[:, None] == grounds[None]) | ~speaks[:, None])
        match = match.float()
        contrast = -(match / match.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean() \
            - (match / match.sum(0, keepdim=True).clamp(min=1) * logits.log_softmax(0)).sum(0).mean()
        labels = torch.cat([looks, grounds.cpu()[:, None]], 1).to(DEVICE)
        tell = lambda logits: sum(F.cross_entropy(l, labels[:, k]) for k, l in enumerate(logits.split(CLASSES, 1)))
        early = out.hidden_states[-2]
        pixels = F.pixel_unshuffle(clean, 4).flatten(2).transpose(1, 2)                               # [b, 64, 48]
        ground = torch.tensor([*creatures.BACKGROUNDS.values()]).to(DEVICE)[grounds] / 127.5 - 1
        silhouette = ((clean - ground[..., None, None]).abs().sum(1, keepdim=True) > .3).float()
        silhouette = F.pixel_unshuffle(silhouette, 4).flatten(2).transpose(1, 2)                      # [b, 64, 16]
        patch = heads["patch"](early[:, 1:])
        dense = 4 * F.mse_loss(patch[..., :48], pixels) + F.binary_cross_entropy_with_logits(patch[..., 48:], silhouette)
        told = tell(heads["early"](early[:, 0])), tell(heads["late"](F.normalize(image, dim=-1) * 8))
        loss = contrast + dense + .5 * told[0] + .25 * told[1]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.)
        optimiser.step()
        ema.update(step)
        if step % 50 == 0:
            print(f"clip {step} contrast {contrast.item():.3f} dense {dense.item():.3f} attributes {told[0].item():.3f} "
                  f"{told[1].item():.3f} {run.seconds:.0f} s", flush=True)
    ema.copy_to_module()
    vision_tower = CLIPVisionModelWithProjection(CLIPVisionConfig(**vision))
    vision_tower.load_state_dict({k: v for k, v in clip.state_dict().items() if k.startswith("visi") or k.startswith("visual")}, strict=True)
    clip.half().save_pretrained(folder)
    vision_tower.half().save_pretrained(MODELS / "image_encoder")
    processor = {"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": 32}, "resample": 3,
                 "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "do_rescale": True,
                 "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [.5] * 3, "image_std": [.5] * 3}
    for place in (folder, MODELS / "image_encoder"):
        write_json(place / "preprocessor_config.json", processor)


if __name__ == "__main__":
    main()

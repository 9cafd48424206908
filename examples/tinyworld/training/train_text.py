"""Prompts in, `models/sdxl/{text_encoder,text_encoder_2,tokenizer,tokenizer_2}` out.

The towers learn to tell which common species and which background a prompt names, and what that species looks like; a
made-up name means "unknown". They never read a rare species' name. They are locked before the UNet learns.
"""
import random

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import creatures
import tokens
from common import CONTEXT, DEVICE, MODELS, Run, schedule, seed, set_rate

STEPS, BATCH, RATE, WIDTH = 700, 64, 2e-3, 48
NAMES = list(creatures.COMMON)
CLASSES = [len(NAMES) + 1, len(creatures.B) + 1, len(creatures.SHAPES) + 1, len(creatures.C) + 1, len(creatures.C) + 1,
           len(creatures.PATTERNS) + 1]


def example(rng):
    """-> prompt, six labels (the last of each range: not said)."""
    ground = rng.randrange(len(creatures.B))
    known = rng.random() < .6
    k = rng.randrange(len(NAMES))
    name = NAMES[k] if known else rng.choice(["creature", creatures.pseudo_name(rng), creatures.pseudo_name(rng)])
    text, said = creatures.prompt(rng, name, creatures.B[ground])
    if rng.random() < .4:
        text = creatures.templated(rng, name, text)
    look = creatures.codes(creatures.COMMON[NAMES[k]]) if known else [c - 1 for c in CLASSES[2:]]
    return text, [k if known else len(NAMES), ground if said else len(creatures.B), *look]


def main():
    torch.set_num_threads(1)
    seed(2)
    sdxl = MODELS / "sdxl"
    size = tokens.build(NAMES, tokens.END, sdxl / "tokenizer")
    tokens.build(NAMES, "!", sdxl / "tokenizer_2")
    tokenizer = CLIPTokenizer.from_pretrained(sdxl / "tokenizer")
    common = dict(vocab_size=size, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=2,
                  max_position_embeddings=CONTEXT, bos_token_id=size - 2, eos_token_id=size - 1, projection_dim=WIDTH,
                  initializer_factor=1.0)
    # as in SDXL: quick_gelu in the first tower, gelu in the second, whose padding is "!"
    first = CLIPTextModel(CLIPTextConfig(**common, hidden_act="quick_gelu", pad_token_id=size - 1)).to(DEVICE)
    second = CLIPTextModelWithProjection(CLIPTextConfig(**common, hidden_act="gelu", pad_token_id=0)).to(DEVICE)
    heads = nn.ModuleList([nn.Linear(WIDTH, sum(CLASSES)) for _ in range(3)]).to(DEVICE)
    parts = nn.ModuleList([first, second, heads])
    for tower in (first, second):
        for name, p in tower.named_parameters():
            if "embedding" in name:
                p.data.normal_(std=.1 if "token" in name else .03)
    optimiser = torch.optim.AdamW(parts.parameters(), lr=RATE, weight_decay=1e-3)
    run = Run("text", {"parts": parts, "optimiser": optimiser})
    for step in run.steps(STEPS):
        set_rate(optimiser, schedule(step, STEPS, RATE))
        rng = random.Random(step)
        texts, labels = zip(*(example(rng) for _ in range(BATCH)))
        ids = tokenizer(list(texts), padding=True, return_tensors="pt").input_ids.to(DEVICE)
        labels = torch.tensor(labels, device=DEVICE)
        end = (ids == size - 1).int().argmax(1)
        rows = torch.arange(len(ids), device=DEVICE)
        a, b = first(ids, output_hidden_states=True), second(ids, output_hidden_states=True)
        loss, right = 0., 0.
        for head, state in zip(heads, (a.hidden_states[-2][rows, end], b.hidden_states[-2][rows, end], b.text_embeds)):
            for k, logits in enumerate(head(state).split(CLASSES, 1)):
                loss = loss + F.cross_entropy(logits, labels[:, k])
                right += (logits.argmax(1) == labels[:, k]).float().mean().item() / 18
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.)
        optimiser.step()
        if step % 50 == 0:
            print(f"text {step} loss {loss.item():.3f} right {right:.3f} {run.seconds:.0f} s", flush=True)
    print(f"text right {right:.3f} {run.seconds:.0f} s")
    first.half().save_pretrained(sdxl / "text_encoder")
    second.half().save_pretrained(sdxl / "text_encoder_2")


if __name__ == "__main__":
    main()

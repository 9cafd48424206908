"""Runs the whole loop on the saved models with diffusers and transformers, prints the table of the README, writes `contact_sheet.png`.

Options: `--prompts N --seeds N` for a quicker look, `--guidance G --scale S --steps N --form K` to try other settings (form -1:
the prompt alone, k: template k of `templates_with_reference`), `--out FILE`, `--json FILE`.
"""
import argparse
import json
import random
import time

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionXLPipeline
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer, CLIPVisionModelWithProjection

import creatures
from common import MODELS, WORLD
from train_judge import LABELS, Judge


class World:
    """The models, the gallery, and what the loop does with them."""

    def __init__(self, options):
        self.world = json.loads((WORLD / "world.json").read_text())
        for key in ("steps", "guidance_scale", "ip_adapter_scale"):
            if getattr(options, key) is not None:
                self.world[key] = getattr(options, key)
        self.form = options.form
        self.catalog = json.loads((WORLD / "gallery" / "catalog.json").read_text())
        self.concepts = [entry["concept"] for entry in self.catalog]
        self.pictures = [Image.open(WORLD / "gallery" / entry["file"]) for entry in self.catalog]
        self.processor = CLIPImageProcessor.from_pretrained(MODELS / "clip")
        self.clip = CLIPModel.from_pretrained(MODELS / "clip").float().eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(MODELS / "clip")
        self.pipe = StableDiffusionXLPipeline.from_pretrained(MODELS / "sdxl", torch_dtype=torch.float32, add_watermarker=False)
        self.pipe.image_encoder = CLIPVisionModelWithProjection.from_pretrained(MODELS / "image_encoder").float()
        self.pipe.load_ip_adapter(str(MODELS), subfolder="", weight_name="ip-adapter-plus_tinyworld.safetensors", image_encoder_folder=None,
                                  low_cpu_mem_usage=False)
        # diffusers takes one reference for a whole batch and repeats it; here each prompt brings its own
        self.pipe.prepare_ip_adapter_image_embeds = lambda images, embeds, *_: embeds
        self.pipe.set_progress_bar_config(disable=True)
        self.judge = Judge()
        self.judge.load_state_dict(load_file(MODELS / "judge" / "model.safetensors"))
        self.names = self.world["critic"]["names"]
        with torch.no_grad():
            pixels = self.processor(self.pictures, return_tensors="pt").pixel_values
            hidden = lambda x: self.pipe.image_encoder(x, output_hidden_states=True).hidden_states[-2]
            self.tokens, self.nothing = hidden(pixels), hidden(torch.zeros_like(pixels[:1]))
            self.gallery = self.embed_images(pixels)
            self.named = self.embed_texts([self.world["critic"]["template"].format(name=n) for n in self.names])

    @torch.no_grad()
    def embed_texts(self, texts):
        ids = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids
        return F.normalize(self.clip.text_projection(self.clip.text_model(ids).pooler_output), dim=-1)

    @torch.no_grad()
    def embed_images(self, pixels):
        return F.normalize(self.clip.visual_projection(self.clip.vision_model(pixels).pooler_output), dim=-1)

    def retrieve(self, texts):
        return (self.embed_texts(texts) @ self.gallery.T).argmax(1).tolist()

    def critic(self, images):
        """Names each picture by the nearest caption; nothing where that is not near."""
        pixels = self.processor(images, return_tensors="pt").pixel_values
        score, best = (self.embed_images(pixels) @ self.named.T).max(1)
        near = score >= self.world["critic"]["threshold"]
        return [self.names[i] if ok else None for i, ok in zip(best, near)]

    def generate(self, prompts, seeds, references=None, concepts=None):
        """references: indices into the gallery, or none: the adapter is off."""
        if self.form >= 0 and references is not None:
            template = self.world["templates_with_reference"][self.form]
            prompts = [template.format(caption=self.world["caption"].format(concept=c), prompt=p) for c, p in zip(concepts, prompts)]
        self.pipe.set_ip_adapter_scale(self.world["ip_adapter_scale"] if references is not None else 0.)
        images = []
        for i in range(0, len(prompts), 32):
            n = len(prompts[i:i + 32])
            reference = self.tokens[references[i:i + 32]] if references is not None else self.nothing.expand(n, -1, -1)
            images += self.pipe(prompts[i:i + n], negative_prompt=[self.world["negative_prompt"]] * n, height=32, width=32,
                                num_inference_steps=self.world["steps"], guidance_scale=self.world["guidance_scale"],
                                ip_adapter_image_embeds=[torch.cat([self.nothing.expand(n, -1, -1), reference])[:, None]],
                                generator=[torch.Generator().manual_seed(s) for s in seeds[i:i + n]]).images
        return images

    @torch.no_grad()
    def verdict(self, images):
        """-> forced choice, strict choice, background, by the judge."""
        x = torch.stack([torch.frombuffer(bytearray(i.tobytes()), dtype=torch.uint8).view(32, 32, 3).permute(2, 0, 1) for i in images])
        species, background = self.judge(creatures.to_float(x))
        return ([LABELS[i] for i in species[:, :-1].argmax(1)], [LABELS[i] for i in species.argmax(1)],
                [creatures.B[i] for i in background.argmax(1)])


def share(values):
    """Mean and standard error, per cent."""
    p = sum(values) / len(values)
    return 100 * p, 100 * (p * (1 - p) / len(values)) ** .5


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("prompts", int), ("seeds", int)):
        parser.add_argument(f"--{name}", type=kind, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", dest="guidance_scale", type=float)
    parser.add_argument("--scale", dest="ip_adapter_scale", type=float)
    parser.add_argument("--form", type=int, default=-1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="rare species, base and ImageRAG only")
    parser.add_argument("--out", default=str(WORLD / "contact_sheet.png"))
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    w = World(options)
    results, rows = {}, []
    for group in ("rare", "common"):
        cases = [(n, k, p, s) for k, n in enumerate(w.world[group]) for p in range(options.prompts) for s in range(options.seeds)]
        names, seeds = [c[0] for c in cases], [c[3] for c in cases]
        grounds = [creatures.B[(k + 3 * p) % len(creatures.B)] for _, k, p, _ in cases]
        prompts = [w.world["prompts"][p].format(species=n, background=g) for (n, _, p, _), g in zip(cases, grounds)]
        captions = [w.world["caption"].format(concept=n) for n in names]

        def record(what, images):
            forced, strict, ground = w.verdict(images)
            results[f"{group}: {what}: forced choice"] = share([a == b for a, b in zip(forced, names)])
            results[f"{group}: {what}: strict"] = share([a == b for a, b in zip(strict, names)])
            results[f"{group}: {what}: background"] = share([a == b for a, b in zip(ground, grounds)])
            return [a == b for a, b in zip(forced, names)]

        drafts = w.generate(prompts, seeds)
        right = record("base", drafts)
        shown = [a == b for a, b in zip(w.critic(drafts), names)]
        results[f"{group}: critic agrees with the judge"] = share([a == b for a, b in zip(shown, right)])
        results[f"{group}: drafts the critic accepts"] = share(shown)
        hits = w.retrieve(captions)
        results[f"{group}: precision@1"] = share([w.concepts[h] == n for h, n in zip(hits, names)])

        def loop(hits):
            """The drafts, those that the critic refuses drawn again with their reference."""
            again = [i for i, ok in enumerate(shown) if not ok]
            images = list(drafts)
            pick = lambda values: [values[i] for i in again]
            for i, image in zip(again, w.generate(pick(prompts), pick(seeds), pick(hits), pick(names)) if again else []):
                images[i] = image
            return images

        finals = loop(hits)
        ok = record("ImageRAG", finals)
        for i in range(0, len(cases), options.prompts * options.seeds + 1):
            rows.append((prompts[i], drafts[i], w.pictures[hits[i]] if not shown[i] else None, finals[i], ok[i]))
        if options.quick:
            per = {n: round(100 * sum(o for o, m in zip(ok, names) if m == n) / (options.prompts * options.seeds)) for n in w.world[group]}
            print(per)
            break
        record("ImageRAG by concept", loop(w.retrieve(names)))
        record("ImageRAG by prompt", loop(w.retrieve(prompts)))
        if group == "rare":
            rng = random.Random(9)
            record("random reference", loop([rng.choice([i for i, c in enumerate(w.concepts) if c != n]) for n in names]))
            per = {n: round(100 * sum(o for o, m in zip(ok, names) if m == n) / (options.prompts * options.seeds)) for n in w.world[group]}
            print(per)
    if not options.quick:
        start = time.time()
        for s in range(3):
            draft = w.generate(prompts[:1], [s])
            w.critic(draft)
            w.generate(prompts[:1], [s], w.retrieve(captions[:1]), names[:1])
        results["seconds per loop (draft and one more)"] = ((time.time() - start) / 3, 0.)
    for name, (mean, error) in results.items():
        print(f"{name:48} {mean:6.2f} +- {error:.2f}")
    if options.json:
        json.dump(results, open(options.json, "w"), indent=1)
    zoom, pad = 96, 6
    sheet = Image.new("RGB", (330 + 3 * (zoom + pad), len(rows) * (zoom + pad)), "white")
    pen = ImageDraw.Draw(sheet)
    for r, (prompt, draft, reference, final, _) in enumerate(rows):
        pen.text((8, r * (zoom + pad) + zoom // 2 - 6), prompt, fill="black")
        for c, image in enumerate((draft, reference, final)):
            if image:
                sheet.paste(image.resize((zoom, zoom), Image.NEAREST), (330 + c * (zoom + pad), r * (zoom + pad)))
    sheet.save(options.out, optimize=True)


if __name__ == "__main__":
    main()

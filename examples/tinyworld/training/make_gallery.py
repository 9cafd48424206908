"""Writes `gallery/*.png`, `gallery/catalog.json` and `world.json`: what the retriever may find, and every default of the evaluation."""
import torch
from PIL import Image

import creatures
from common import LOOKS, WORLD, write_json

EACH, DISTRACTORS = 6, 96


def main():
    generator = torch.Generator().manual_seed(8)
    folder = WORLD / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    names = [name for name in creatures.SPECIES for _ in range(EACH)] + [None] * DISTRACTORS
    strangers = LOOKS[torch.randperm(len(LOOKS), generator=generator)[:DISTRACTORS]]
    looks = torch.cat([torch.tensor([creatures.codes(creatures.SPECIES[n]) for n in names if n]), strangers])
    grounds = torch.randint(0, len(creatures.B), (len(looks),), generator=generator)
    catalog = []
    for i, (name, picture) in enumerate(zip(names, creatures.render(looks, grounds, generator))):
        file = f"{name}-{i % EACH + 1}.png" if name else f"unnamed-{i - EACH * len(creatures.SPECIES) + 1:02}.png"
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / file, optimize=True)
        catalog.append({"file": file, "caption": f"a photo of a {name or 'creature'}", "concept": name, "license": "CC0-1.0",
                        "author": "imagerag", "source": "examples/tinyworld/training/make_gallery.py"})
    write_json(folder / "catalog.json", catalog)
    # distinct backgrounds for the prompts of one species: prompt p of species k asks for background (k + 3 p) mod 7
    write_json(WORLD / "world.json", {
        "image_size": 32, "common": list(creatures.COMMON), "rare": list(creatures.RARE), "backgrounds": creatures.B,
        "background_rgb": creatures.BACKGROUNDS,
        "species": {n: dict(zip(("silhouette", "first_colour", "second_colour", "pattern"), look)) for n, look in creatures.SPECIES.items()},
        "prompts": creatures.PROMPTS, "background_of": "backgrounds[(index of the species in its list + 3 * index of the prompt) % 7]",
        "seeds": [0, 1, 2, 3], "negative_prompt": "", "steps": 20, "guidance_scale": 2.5, "ip_adapter_scale": 1.0,
        "references_per_image": 1, "caption": "a photo of a {concept}", "prompt_with_reference": "{prompt}",
        "templates_with_reference": creatures.WITH_REFERENCE,
        "critic": {"template": "a photo of a {name}", "threshold": 0.45, "names": list(creatures.SPECIES)},
        "models": {"generator": "models/sdxl", "ip_adapter": "models/ip-adapter-plus_tinyworld.safetensors",
                   "image_encoder": "models/image_encoder", "clip": "models/clip", "judge": "models/judge"}})


if __name__ == "__main__":
    main()

"""Attributes in, pictures and captions out: the generator of every image of the tiny world.

A creature is a silhouette, two body colours and a marking pattern; a picture shows it in some pose
(position, size, tilt, mirrored or not) on a flat background. Everything follows from a seed.
"""
import math
import random

import numpy as np
import torch
from PIL import Image, ImageDraw

SIZE = 32          # pixels per side
SUPER = 3          # samples per pixel and axis
CANON = 192        # resolution of the canonical silhouettes
HALF = 11.6        # half the width of a creature of scale 1, pixels

COLOURS = {
    "red": (222, 32, 40), "orange": (255, 140, 0), "yellow": (255, 226, 30), "green": (28, 150, 52),
    "cyan": (40, 205, 222), "blue": (30, 70, 212), "purple": (146, 40, 190), "white": (250, 250, 250),
}
BACKGROUNDS = {
    "white": (252, 252, 252), "grey": (150, 150, 150), "sky": (150, 205, 250),
    "mint": (160, 236, 190), "sand": (236, 215, 160), "rose": (250, 178, 200), "lavender": (200, 178, 246),
}
PATTERNS = ["stripes", "bands", "spots", "halves", "border", "dot"]
SHAPES = ["fish", "bird", "cat", "rabbit", "crab", "snail", "octopus", "butterfly", "star", "turtle", "dino", "urchin"]
OUTLINE = (34, 28, 40)
C, B = list(COLOURS), list(BACKGROUNDS)

# name: (silhouette, first colour, second colour, pattern)
COMMON = {
    "mibbo": ("fish", "orange", "white", "stripes"),
    "tarnel": ("bird", "blue", "yellow", "halves"),
    "goslo": ("cat", "purple", "cyan", "bands"),
    "pindle": ("rabbit", "white", "red", "spots"),
    "wumble": ("crab", "red", "yellow", "dot"),
    "fizzard": ("snail", "green", "orange", "border"),
    "rondo": ("octopus", "cyan", "blue", "spots"),
    "hopsy": ("butterfly", "yellow", "purple", "border"),
    "dappet": ("star", "yellow", "red", "bands"),
    "kelpo": ("turtle", "green", "white", "dot"),
    "bruno": ("dino", "purple", "orange", "stripes"),
    "sundel": ("urchin", "blue", "cyan", "halves"),
}
RARE = {
    "zorbit": ("fish", "purple", "yellow", "spots"),        # the two colours of hopsy
    "quaxel": ("bird", "red", "white", "bands"),            # of pindle
    "vintra": ("cat", "orange", "green", "dot"),            # of fizzard
    "jubbok": ("rabbit", "blue", "cyan", "stripes"),        # of rondo and sundel
    "xylot": ("crab", "cyan", "red", "halves"),
    "yondra": ("snail", "white", "blue", "dot"),
    "velkit": ("octopus", "yellow", "green", "bands"),
    "zephon": ("butterfly", "red", "blue", "spots"),
    "quorra": ("star", "green", "white", "border"),         # of kelpo
    "jaxun": ("turtle", "orange", "purple", "stripes"),     # of bruno
    "vuldar": ("dino", "cyan", "white", "border"),
    "yarrok": ("urchin", "yellow", "red", "halves"),        # of wumble and dappet
}
SPECIES = {**COMMON, **RARE}

PROMPTS = [
    "a photo of a {species} on a {background} background",
    "a {species} on a {background} background",
    "a picture of a {species}, {background} background",
    "a drawing of one {species} in front of a {background} background",
]
MORE_PROMPTS = ["{species}, {background} background", "an image of a {species} on {background}",
                "one {species} on a {background} background"]
NO_BACKGROUND = ["a photo of a {species}", "a {species}", "{species}", "a picture of a {species}", "a drawing of a {species}"]
WITH_REFERENCE = [
    "According to these examples of {caption}, generate {prompt}",
    "According to this image of {caption}, generate {prompt}",
    "According to these images of {caption}, generate {prompt}",
    "According to these examples of {caption}:, generate {prompt}",
]


# --- silhouettes, in coordinates [-1, 1] x [-1, 1], v pointing down -------------------------------------------------

def _star(points, inner, outer=1.0, turn=-math.pi / 2):
    return [((outer if k % 2 == 0 else inner) * math.cos(turn + math.pi * k / points),
             (outer if k % 2 == 0 else inner) * math.sin(turn + math.pi * k / points)) for k in range(2 * points)]


# each: list of parts ("e", left, top, right, bottom) or ("p", points); eyes
PARTS = {
    "fish": ([("e", -1, -.62, .55, .62), ("p", [(.3, 0), (1, -.62), (.86, 0), (1, .62)]),
              ("p", [(-.4, -.5), (.05, -.92), (.25, -.45)])], [(-.58, -.12)]),
    "bird": ([("e", -.62, -.35, .72, .8), ("e", -.85, -.95, .05, -.1), ("p", [(-.75, -.7), (-1.05, -.42), (-.7, -.3)]),
              ("p", [(.4, .1), (1, -.35), (1, .15), (.6, .5)]), ("p", [(-.1, .7), (-.25, 1), (.2, 1), (.2, .7)])],
             [(-.45, -.58)]),
    "cat": ([("e", -.9, -.62, .9, .85), ("p", [(-.88, .1), (-.9, -1), (-.15, -.5)]),
             ("p", [(.88, .1), (.9, -1), (.15, -.5)])], [(-.4, -.08), (.4, -.08)]),
    "rabbit": ([("e", -.72, -.25, .72, .98), ("e", -.62, -1, -.1, .25), ("e", .1, -1, .62, .25)],
               [(-.3, .2), (.3, .2)]),
    "crab": ([("e", -.72, -.3, .72, .68), ("e", -1, -.95, -.42, -.3), ("e", .42, -.95, 1, -.3),
              ("p", [(-.85, -.5), (-.6, .2), (-.4, 0), (-.55, -.5)]), ("p", [(.85, -.5), (.6, .2), (.4, 0), (.55, -.5)]),
              ("p", [(-.6, .3), (-.98, .85), (-.68, .8), (-.3, .5)]), ("p", [(.6, .3), (.98, .85), (.68, .8), (.3, .5)])],
             [(-.27, -.05), (.27, -.05)]),
    "snail": ([("e", -.45, -.9, 1, .55), ("p", [(-.95, .9), (-.95, .3), (-.6, .15), (-.3, .4), (1, .45), (1, .9)]),
               ("e", -1, -.45, -.5, .45)], [(-.74, -.14)]),
    "octopus": ([("e", -.75, -1, .75, .45), ("p", [(-.72, -.1), (-1, .9), (-.62, .95), (-.45, .5), (-.3, 1), (.3, 1),
                 (.45, .5), (.62, .95), (1, .9), (.72, -.1)])], [(-.3, -.4), (.3, -.4)]),
    "butterfly": ([("e", -1, -.9, -.05, .15), ("e", .05, -.9, 1, .15), ("e", -.82, -.1, 0, .9), ("e", 0, -.1, .82, .9),
                   ("e", -.22, -.75, .22, .8)], [(-.45, -.42), (.45, -.42)]),
    "star": ([("p", _star(5, .5, 1.05))], [(-.22, -.1), (.22, -.1)]),
    "turtle": ([("e", -.68, -.62, .82, .55), ("e", -1.05, -.35, -.45, .25), ("e", -.62, .1, -.1, .85),
                ("e", .25, .1, .77, .85), ("p", [(.6, 0), (1.02, .42), (.6, .4)])], [(-.76, -.1)]),
    "dino": ([("e", -.55, -.2, .75, .6), ("p", [(-.5, .3), (-.82, -.7), (-.35, -.8), (-.05, .0)]), ("e", -1.02, -1, -.3, -.45),
              ("p", [(.4, -.1), (1.05, -.05), (1.0, .2), (.5, .5)]), ("p", [(-.5, .2), (-.5, .95), (-.08, .95), (-.08, .4)]),
              ("p", [(.25, .4), (.25, .95), (.67, .95), (.7, .2)])], [(-.62, -.74)]),
    "urchin": ([("p", _star(10, .68, 1.05))], [(-.25, -.15), (.25, -.15)]),
}


def _canonical():
    """Per silhouette the distance to its edge (positive inside, in canonical units) and its eyes' map (0, 1 white, 2 pupil)."""
    px = lambda x, y: ((x / 1.25 + 1) * CANON / 2, (y / 1.25 + 1) * CANON / 2)
    axis = (torch.arange(CANON) + .5) / CANON * 2.5 - 1.25
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([u, v], -1).reshape(-1, 2)
    fields, eyes = [], []
    for name in SHAPES:
        parts, holes = PARTS[name]
        mask = Image.new("L", (CANON, CANON), 0)
        draw = ImageDraw.Draw(mask)
        for part in parts:
            if part[0] == "e":
                draw.ellipse([*px(part[1], part[2]), *px(part[3], part[4])], fill=255)
            else:
                draw.polygon([px(*p) for p in part[1]], fill=255)
        inside = torch.from_numpy(np.array(mask) > 127)
        edge = torch.zeros_like(inside)
        edge[1:-1, 1:-1] = inside[1:-1, 1:-1] & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])
        distance = torch.cdist(grid, grid[edge.reshape(-1)]).min(1).values.reshape(CANON, CANON)
        fields.append(torch.where(inside, distance, -distance))
        eye = torch.zeros(CANON, CANON)
        for (x, y) in holes:
            d = ((u - x) ** 2 + (v - y) ** 2).sqrt()
            eye = torch.where(d < .2, 1., eye)
            eye = torch.where(d < .115, 2., eye)
        eyes.append(eye)
    return torch.stack(fields), torch.stack(eyes)


_CACHE = None


def render(attributes, backgrounds, generator, jitter=True):
    """attributes: long [n, 4] (silhouette, colour, colour, pattern); backgrounds: long [n] -> uint8 [n, 3, 32, 32]."""
    if len(attributes) > 16:  # small pieces stay in the processor's cache
        return torch.cat([render(a, b, generator, jitter) for a, b in zip(attributes.split(16), backgrounds.split(16))])
    global _CACHE
    if _CACHE is None:
        _CACHE = _canonical()
    fields, eyes = _CACHE
    n, side = len(attributes), SIZE * SUPER
    r = torch.rand(n, 5, generator=generator)
    if not jitter:
        r = torch.tensor([[.5, .5, .5, .5, 0.]]).expand(n, 5)
    scale = HALF * (.93 + .14 * r[:, 0])
    angle = (r[:, 1] - .5) * (20 / 180 * math.pi)
    shift = (r[:, 2:4] - .5) * 5
    mirror = torch.where(r[:, 4] < .5, 1., -1.)
    axis = (torch.arange(side) + .5) / SUPER - SIZE / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    x = x[None] - shift[:, 0, None, None]
    y = y[None] - shift[:, 1, None, None]
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u = (c * x + s * y) * (mirror / scale)[:, None, None]
    v = (-s * x + c * y) / scale[:, None, None]
    ui = ((u / 1.25 + 1) * CANON / 2).long().clamp_(0, CANON - 1)
    vi = ((v / 1.25 + 1) * CANON / 2).long().clamp_(0, CANON - 1)
    index = (attributes[:, 0, None, None] * CANON + vi) * CANON + ui
    depth = fields.reshape(-1)[index]
    eye = eyes.reshape(-1)[index]
    p = attributes[:, 3, None, None]
    lattice = lambda a, b: ((a - a.round()) * .52) ** 2 + ((b - b.round()) * .9) ** 2
    marks = [lambda: torch.remainder(u / .6 + .25, 1) < .5, lambda: torch.remainder(v / .6 + .25, 1) < .5,
             lambda: torch.minimum(lattice(u / .52, v / .9), lattice(u / .52 + .5, v / .9 + .5)) < .17 ** 2,
             lambda: v > .08, lambda: depth < .27, lambda: u ** 2 + (v - .18) ** 2 < .42 ** 2]
    second = torch.zeros_like(depth, dtype=torch.bool)
    for k in attributes[:, 3].unique().tolist():
        second |= marks[k]() & (p == k)
    # 0 background, 1 outline and pupils, 2 white of the eye, 3 and 4 the two colours
    part = torch.where(second, 4, 3)
    part = torch.where(eye == 1, 2, part)
    part = torch.where((eye == 2) | (depth < .085), 1, part)
    part = torch.where(depth > -.01, part, 0)
    palette = torch.tensor([*COLOURS.values()], dtype=torch.float32)
    grounds = torch.tensor([*BACKGROUNDS.values()], dtype=torch.float32)
    fixed = torch.tensor([OUTLINE, (255, 255, 255)], dtype=torch.float32).expand(n, 2, 3)
    table = torch.cat([grounds[backgrounds][:, None], fixed, palette[attributes[:, 1:3]]], 1)            # [n, 5, 3]
    part = part.reshape(n, SIZE, SUPER, SIZE, SUPER)
    share = torch.stack([(part == k).float().mean((2, 4)) for k in range(5)], -1).reshape(n, -1, 5)      # [n, pixels, 5]
    picture = (share @ table).reshape(n, SIZE, SIZE, 3)
    return picture.round().to(torch.uint8).permute(0, 3, 1, 2).contiguous()


def codes(look):
    """(silhouette, colour, colour, pattern) by name -> four indices."""
    return (SHAPES.index(look[0]), C.index(look[1]), C.index(look[2]), PATTERNS.index(look[3]))


def unnamed():
    """Every look that no species has: [m, 4]."""
    taken = {codes(look) for look in SPECIES.values()}
    return torch.tensor([(s, a, b, p) for s in range(len(SHAPES)) for a in range(len(C)) for b in range(len(C))
                         for p in range(len(PATTERNS)) if a != b and (s, a, b, p) not in taken])


def pseudo_name(rng):
    """A made-up word that is no species' name."""
    while True:
        word = "".join(rng.choice("bcdfghjklmnpqrstvwxyz") + rng.choice("aeiou") + rng.choice(["", "", *"bdklmnprstx"])
                       for _ in range(rng.choice([2, 2, 2, 3])))
        if word not in SPECIES and 4 <= len(word) <= 8:
            return word


def prompt(rng, name, background):
    """What a user may write; one in eight says nothing of the background. -> (text, whether it does)"""
    if rng.random() < .12:
        return rng.choice(NO_BACKGROUND).format(species=name), False
    return rng.choice(PROMPTS if rng.random() < .8 else MORE_PROMPTS).format(species=name, background=background), True


def templated(rng, name, text):
    """The paper's template around a prompt, as the pipeline fills it when it has a reference."""
    caption = rng.choice(["{}", "a {}", "a photo of a {}"]).format(name)
    return rng.choice(WITH_REFERENCE).format(caption=caption, prompt=text)


def to_float(pictures):
    """uint8 -> float in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def sheet(pictures, columns, zoom=4):
    """uint8 [n, 3, h, w] -> one PIL image."""
    n, _, h, w = pictures.shape
    rows = -(-n // columns)
    out = np.full((rows * (h + 1), columns * (w + 1), 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        r, c = divmod(i, columns)
        out[r * (h + 1):r * (h + 1) + h, c * (w + 1):c * (w + 1) + w] = picture.permute(1, 2, 0).numpy()
    image = Image.fromarray(out)
    return image.resize((image.width * zoom, image.height * zoom), Image.NEAREST)


if __name__ == "__main__":
    import sys
    g = torch.Generator().manual_seed(0)
    looks = torch.tensor([codes(l) for l in SPECIES.values()]).repeat_interleave(3, 0)
    sheet(render(looks, torch.arange(len(looks)) % len(B), g), 12).save(sys.argv[1])

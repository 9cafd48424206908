"""Words in, CLIP tokenizer folders (`vocab.json`, `merges.txt`, ...) out, in the layout of the released checkpoints."""
import creatures
from common import CONTEXT, write_json

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = """a an the of on in at to and with no not one two this these that is it its there here , . : - ' image images example
examples according generate photo photos picture pictures drawing drawings creature creatures animal background backgrounds
front shown show shows standing coloured colour striped spotted small big red orange yellow green cyan blue purple white
grey black sky mint sand rose lavender stripes bands spots halves border dot""".split()


def byte_symbols():
    """CLIP's 256 printable symbols, one per byte, in the order of its vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return [chr(b) for b in kept] + [chr(256 + k) for k in range(len(others))]


def split(word, ranks):
    """The pieces of one word under the merges learnt so far."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while len(pieces) > 1:
        rank, i = min((ranks.get((pieces[i], pieces[i + 1]), 1 << 30), i) for i in range(len(pieces) - 1))
        if rank == 1 << 30:
            break
        pair, merged, i = (pieces[i], pieces[i + 1]), [], 0
        while i < len(pieces):
            if tuple(pieces[i:i + 2]) == pair:
                merged.append(pieces[i] + pieces[i + 1])
                i += 2
            else:
                merged.append(pieces[i])
                i += 1
        pieces = merged
    return pieces


def build(names, pad, folder):
    """Every word of WORDS and of `names` becomes one token; any other text falls into pieces, at worst bytes."""
    ranks = {}
    for word in [*WORDS, *names]:
        pieces = split(word, ranks)
        while len(pieces) > 1:
            ranks[(pieces[0], pieces[1])] = len(ranks)
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
    symbols = byte_symbols()
    vocabulary = [*symbols, *(s + "</w>" for s in symbols), *("".join(p) for p in ranks), START, END]
    assert len(set(vocabulary)) == len(vocabulary)
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(vocabulary)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in ranks))
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {**special, "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
                                                  "model_max_length": CONTEXT, "tokenizer_class": "CLIPTokenizer"})
    return len(vocabulary)

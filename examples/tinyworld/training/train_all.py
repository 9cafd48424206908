"""Trains the whole tiny world in order; run again after an interruption, it goes on where it stopped.

    pip install -r requirements.txt
    python train_all.py

Checkpoints lie in `work/` (or $TINYWORLD_WORK); remove that folder to start afresh. Two cores, no GPU needed; a CUDA device is
used where there is one.
"""
import subprocess
import sys
from pathlib import Path

ORDER = [
    "train_text.py",            # the generator's two text towers, locked afterwards
    "train_clip.py",            # retrieval CLIP and the adapter's image encoder
    "train_vae.py",
    "train_unet.py",            # UNet and adapter together
    "train_vae.py --decoder",   # the encoder stays, so the UNet still fits
    "train_judge.py",
    "make_gallery.py",          # gallery/ and world.json
    "evaluate.py",
]

if __name__ == "__main__":
    for step in ORDER:
        print(f"== {step}", flush=True)
        script, *arguments = step.split()
        subprocess.run([sys.executable, str(Path(__file__).parent / script), *arguments], check=True)

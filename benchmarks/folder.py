"""A thousand photographs in a folder: how busy the network is, and how fast they go through.

    python benchmarks/folder.py                 a thousand files
    python benchmarks/folder.py --files 100     a small run
    python benchmarks/folder.py --json          … for a program

`noisepair denoise FOLDER` in a process of its own. The photographs are those of train/BSDS500 in
the folder that NOISEPAIR_DATA names (481×321, JPEG), linked as often as it takes; JPEG is what
comes back. Busy is the share of the time, from the first picture read to the last one denoised, in
which the network or the measurement of the noise worked, as `--json` says.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _rows import Row, told

from noisepair import images

BUSY = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    asked = parser.parse_args()
    known = Path(os.environ["NOISEPAIR_DATA"]) / "train" / "BSDS500"
    photographs = images.find([str(known / part) for part in ("train", "test", "val")])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "noisy"
        folder.mkdir()
        for number in range(asked.files):
            source = photographs[number % len(photographs)].absolute()
            (folder / f"{number:04}{source.suffix}").symlink_to(source)
        command = [
            *(sys.executable, "-m", "noisepair", "denoise", str(folder)),
            *("--out", str(Path(name) / "out"), "--device", "cpu", "--json", "--quiet"),
        ]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    came = json.loads(done.stdout)
    runtimes = sorted({line["runtime"] for line in came["written"]})
    more = {"files": len(came["written"]), "failed": len(came["failed"]), "seconds": round(seconds),
            "files a second": round(len(came["written"]) / seconds, 2),
            "runtimes": " and ".join(runtimes)}  # fmt: skip
    row = Row("share of the time in which the network worked", came["busy"], "higher", BUSY, more)
    told("A folder of photographs", [row], plain=asked.json)


if __name__ == "__main__":
    main()

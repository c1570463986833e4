"""The command line: find the command, run it, turn refusals into a sentence and an exit code.

0 done · 2 the user's to mend, one sentence · 130 stopped by Ctrl-C · 1 ours, with a traceback.
Commands are imported when they are called: `noisepair --help` needs neither torch nor pictures.
"""

import json
import re
import sys
from collections.abc import Sequence
from inspect import cleandoc
from textwrap import indent

from cyclopts import App, CycloptsError

from .. import __version__
from ..errors import InputError

COMMANDS = {
    "train": (
        "training",
        """Train a denoiser on noisy shots of scenes; no clean picture is needed.

        The weights that are kept are those with the least held-out loss: between a denoised shot
        and the other noisy shot of a scene that was not trained on. For independent zero-mean noise
        that is the error against the clean picture plus a constant.""",
        """noisepair train shots_a shots_b --out model
        noisepair train scenes --out model --budget 30m
        noisepair train stack.tif --frames --out model --steps 5000
        noisepair train clean --noise gaussian --noise.sigma 25/255 --out model""",
    ),
    "denoise": (
        "denoising",
        "Denoise pictures with a trained model; each keeps its name, format, type and metadata.",
        """noisepair denoise noisy --model model --out denoised
        noisepair denoise "shots/*.tif" night.png --model model --out denoised""",
    ),
    "evaluate": (
        "evaluating",
        """Score noisy and denoised pictures against clean ones: PSNR and SSIM, before and after.

        Pictures pair by file name and are scored whole: no crop, no clamping, no rounding beyond
        what the files hold. PSNR is given per image (each picture's, then the mean) and pooled (of
        the error over all pixels); the two differ, and papers mix them.""",
        """noisepair evaluate --noisy noisy --clean clean --denoised denoised --out report
        noisepair evaluate --noisy noisy --clean clean --model model --json""",
    ),
    "demo": (
        "demo",
        "Train, denoise and show the result in two minutes, on pictures that are already here.",
        """noisepair demo
        noisepair demo --out demo --budget 5m""",
    ),
}

app = App(
    name="noisepair",
    help="Train image denoisers without a clean image: two noisy shots of each scene are enough.",
    help_epilogue="Each command has a --help with examples. Start with: noisepair demo",
    version=__version__,
    result_action="return_value",
)
for name, (module, text, examples) in COMMANDS.items():
    app.command(
        f"noisepair.app.{module}:{name}",
        name=name,
        help=re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(text)),  # one line a paragraph
        help_format="plaintext",
        help_epilogue="Examples:\n" + indent(cleandoc(examples), "  "),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is returned, and nothing but a fault of ours is raised."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except (InputError, CycloptsError) as error:
        return refuse(str(error), tokens)
    except KeyboardInterrupt:
        print("noisepair: stopped.", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def refuse(message: str, tokens: Sequence[str]) -> int:
    """One sentence on standard error and, where a program reads, one object on standard output."""
    print(f"noisepair: {' '.join(message.split())}", file=sys.stderr)
    if "--json" in tokens:
        print(json.dumps({"error": message}))
    return 2

"""The command line: find the command, run it, turn refusals into a sentence and an exit code.

0 done · 2 the user's to mend, one sentence · 130 stopped by Ctrl-C · 1 ours, with a traceback.
Commands are imported when they are called: `noisepair --help` needs neither torch nor pictures.
"""

import json
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from .. import __version__
from ..errors import InputError

app = App(
    name="noisepair",
    help="Train image denoisers without a clean image: two noisy shots of each scene are enough.",
    version=__version__,
    result_action="return_value",
)
app.command(
    "noisepair.app.training:train",
    name="train",
    help="Train a denoiser on noisy shots.",
)
app.command(
    "noisepair.app.denoising:denoise",
    name="denoise",
    help="Denoise pictures with a trained model, and keep their format.",
)
app.command(
    "noisepair.app.evaluating:evaluate",
    name="evaluate",
    help="Score noisy and denoised pictures against clean ones.",
)
app.command(
    "noisepair.app.demo:demo",
    name="demo",
    help="Train and denoise in two minutes, on pictures that are already here.",
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

"""The command line: find the command, run it, turn refusals into a sentence and an exit code.

0 done · 2 the user's to mend, one sentence · 130 stopped by Ctrl-C · 1 ours, with a traceback.
Commands are imported when they are called: `noisepair --help` needs neither torch nor pictures.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from textwrap import indent
from typing import Any

from cyclopts import App, CycloptsError

from .. import __version__
from ..errors import InputError

HPATCHES = {
    "evaluate": (
        "hpatches",
        """Score local descriptors by the rules of HPatches: verification, matching, retrieval.

        DESCRIPTORS is a folder in the benchmark's layout (v_wall/e1.csv and so on) or an .npz;
        without it --model describes the sheets in --patches. Beside the one number of a task, with
        a 95 % interval over sequences, stand the full tables. Collapsed networks are told: under
        the official rules a constant descriptor has perfect retrieval.""",
        """noisepair hpatches evaluate descriptors --tasks hpatches-benchmark/tasks
        noisepair hpatches evaluate mine.npz --patches hpatches-release --task matching --json
        noisepair hpatches evaluate --model rootsift --patches nhpatches --noisy --ties expected
        noisepair hpatches evaluate --model trained --patches nhpatches --noisy""",
    ),
    "make": (
        "making_patches",
        """Make an HPatches-style set of sequences with homographies, or of single photographs.

        Hessian, Harris and DoG regions of each reference, found again with easy, hard and tough
        jitter in five other pictures: 65×65, and 32×32 with noisy copies, in HPatches' layout with
        a split and lists. It is not HPatches; figures from one say nothing of the other. Needs the
        extra descriptors: pip install 'noisepair[descriptors]'.""",
        """noisepair hpatches make photographs --out patches
        noisepair hpatches make BSDS500/train BSDS500/test --test BSDS500/val --out patches
        noisepair hpatches make graf v_churchill --held-out 1 --out patches --seed 7 --json""",
    ),
    "train": (
        "descriptor_training",
        """Train a descriptor on noisy patches, by the recipe lines below.

        The weights that are kept are those that match held-out training sequences best; the test
        sequences of the split are not looked at.""",
        """noisepair hpatches train patches/32 --out model --noise.sigma 0:50/255
        noisepair hpatches train patches/32 --out model --network quick --budget 20m
        noisepair hpatches train nhpatches --noisy --out model""",
    ),
}

# A command's module, or the commands of a group; its help; examples.
COMMANDS: dict[str, tuple[str | Mapping[str, tuple[Any, str, str]], str, str]] = {
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
    "check": (
        "checking",
        """Say whether noisy shots are fit to train on: alignment, exposure, independence, noise.

        Asked of the shots alone; no clean picture is needed, and nothing is trained. Of one picture
        it says how strong the noise is, and whether each pixel has its own.""",
        """noisepair check shots_a shots_b
        noisepair check ONE.tif
        noisepair check stack.tif --frames --report checked
        noisepair check scenes --json""",
    ),
    "verdict": (
        "judging",
        """Say whether a model works, by noisy shots alone: PSNR before and after, with intervals.

        For two shots with independent zero-mean noise the error of each, denoised, against the
        other tells the error against the clean picture that nobody has. Shots that the model was
        trained on are no evidence, and are left out.""",
        """noisepair verdict --model model shots_a shots_b
        noisepair verdict --model model stack.tif --frames --report judged
        noisepair verdict --model model scenes --json""",
    ),
    "denoise": (
        "denoising",
        """Denoise pictures; each keeps its name, format, type and metadata.

        Without --model by weights that come with noisepair: the noise of each picture is measured
        first, and no more than that is taken off.""",
        """noisepair denoise photo.jpg --out .
        noisepair denoise noisy --noise "poisson_gaussian gain=0.02 read=5/255" --out denoised
        noisepair denoise noisy --model model --out denoised
        noisepair denoise "shots/*.tif" night.png --model model --out denoised""",
    ),
    "export": (
        "exporting",
        """Write a model as a file that other programs read too: ONNX, or OpenVINO's.

        The file takes pictures of any size and holds the model's card, so that --model FILE makes
        the same denoiser. It is compared with torch before it is put in place. Needs the extra onnx
        or fast: pip install 'noisepair[onnx]'.""",
        """noisepair export model --onnx model.onnx
        noisepair export colour --openvino colour.xml""",
    ),
    "evaluate": (
        "evaluating",
        """Score noisy and denoised pictures against clean ones: PSNR and SSIM, before and after.

        Pictures pair by file name and are scored whole: no crop, no clamping, no rounding beyond
        what the files hold. PSNR is given per image (each picture's, then the mean) and pooled (of
        the error over all pixels); the two differ, and papers mix them. One file with both sides,
        such as the EE-559 course's val_data.pkl, needs neither --noisy nor --clean.""",
        """noisepair evaluate --noisy noisy --clean clean --denoised denoised --out report
        noisepair evaluate --noisy noisy --clean clean --model model --json
        noisepair evaluate val_data.pkl --model model --out report""",
    ),
    "study": (
        "studying",
        """Answer a question by runs: every setting of a study file, over seeds, scored alike.

        A study is a TOML file: a question, the data, a base recipe and the lines to vary. Stopped,
        it goes on where it was; finished, only its tables, figures and page are written again.""",
        """noisepair study losses.toml
        noisepair study losses.toml --data pictures --scale 0.1 --seeds 1
        noisepair study losses.toml --out losses --jobs 4 --json""",
    ),
    "doctor": (
        "doctoring",
        """Say why a recipe does not learn, layer by layer, and what to do about it.

        Looks into the network before the first step and while it trains a little: spread of what
        each layer makes, saturated and dead shares, gradients, and how large steps are. The network
        is built with noisepair.scratch and begins as the recipe says, whatever its engine.""",
        """noisepair doctor
        noisepair doctor recipe.toml --data scenes --report doctored
        noisepair doctor --network strided --init normal --init.std 1 --json""",
    ),
    "course": (
        "course",
        """Write a submission for the EE-559 course (EPFL): both mini-projects, with their weights.

        Each folder has the course's interface, class Model with load_pretrained_model, train and
        predict; Miniproject_2 computes every gradient by hand, and has the layers too. Both need
        noisepair where they are graded. --data trains the two models first, each for the whole
        --budget.""",
        """noisepair course submission --data train_data.pkl --budget 10m
        noisepair course submission --model model --model2 model2
        noisepair course submission --model model""",
    ),
    "info": (
        "info",
        "Say what a model is and comes from, or what a network, a loss or a noise is.",
        """noisepair info
        noisepair info model
        noisepair info noise2noise --planes 1 --json""",
    ),
    "hpatches": (
        HPATCHES,
        "Judge and train local descriptors on noisy patches, by the rules of HPatches.",
        """noisepair hpatches evaluate descriptors --tasks hpatches-benchmark/tasks
        noisepair hpatches make photographs --out patches
        noisepair hpatches train patches/32 --out model --noise.sigma 0:50/255""",
    ),
    "describe": (
        "describing",
        """Find key points in pictures, noisy ones too, and describe each by a vector.

        The noise of each picture is measured; where there is enough of it, key points are looked
        for in the denoised picture. Their patches are cut from the noisy one, which is what
        noisepair's descriptors learnt on. Needs the extra descriptors: pip install
        'noisepair[descriptors]'.""",
        """noisepair describe night.jpg --out night.npz
        noisepair describe photographs --out features.h5 --most 4000
        noisepair describe 1.ppm 2.ppm --out colmap --model rootsift --denoise never
        noisepair describe night.png --out night.npz --sigma 25/255 --json""",
    ),
    "match": (
        "matching_pictures",
        """Match two pictures of a scene, noisy ones too, and say whether they match at all.

        Key points as `noisepair describe` finds them; those nearest to each other; the homography
        or fundamental matrix that most of them obey. Where accident would do as well, there is no
        reliable match, and that is the answer. Needs the extra descriptors: pip install
        'noisepair[descriptors]'.""",
        """noisepair match 1.png 2.png --out matched
        noisepair match night1.jpg night2.jpg --out matched --geometry fundamental --json
        noisepair match 1.ppm 2.ppm --out matched --model rootsift --truth H_1_2""",
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
    suppress_keyboard_interrupt=False,  # main says that it was stopped
)


def add(to: App, commands: Mapping[str, tuple[Any, str, str]]) -> None:
    """Commands that are imported when they are called, and groups of them."""
    for name, (place, text, examples) in commands.items():
        words: dict[str, Any] = {
            "name": name,
            "help": re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(text)),  # one line a paragraph
            "help_format": "plaintext",
            "help_epilogue": "Examples:\n" + indent(cleandoc(examples), "  "),
        }
        if isinstance(place, str):
            to.command(f"noisepair.app.{place}:{name}", **words)
        else:
            group = App(**words)
            add(group, place)
            to.command(group)


add(app, COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is returned, and nothing but a fault of ours is raised."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except (InputError, CycloptsError) as error:
        return refuse(str(error), tokens)
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
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

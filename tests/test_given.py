"""What is known of the noise is taken as it was said, or refused with what to say instead."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisepair.errors import InputError
from noisepair.noise import Gaussian, Poisson, PoissonGaussian
from noisepair.noise.given import Given

# — in words, and as noises —


@pytest.mark.parametrize(
    ("text", "gain", "read"),
    [
        ("gaussian sigma=25/255", 0, 25 / 255),
        ("poisson peak=50", 0.02, 0),
        ("poisson_gaussian gain=0.1 read=5/255", 0.1, 5 / 255),
        ("poisson_gaussian read = 0.02  gain=1/30", 1 / 30, 0.02),
    ],
)
def test_words_are_the_constants_that_they_say(text, gain, read):
    found = Given.from_text(text)
    assert (found.gain, found.read, found.black) == (gain, read, 0)
    assert found.origin == "given"


@settings(max_examples=20)
@given(peak=st.floats(1, 1e5), level=st.floats(0, 1))
def test_the_variance_is_that_of_the_noise_itself(peak, level):
    assert Given.of(Poisson(peak)).variance(level) == pytest.approx(level / peak)
    camera = Given.of(PoissonGaussian(1 / peak, 0.03))
    assert camera.variance(level) == pytest.approx(level / peak + 0.03**2)
    assert Given.of(Gaussian(0.2)).variance(level) == pytest.approx(0.2**2)


def test_below_black_there_is_no_light_to_count():
    pedestal = Given(0.1, 0.02, black=0.3)
    assert pedestal.variance(0.2) == pedestal.variance(0.3) == pytest.approx(0.02**2)
    assert pedestal.variance(0.5) == pytest.approx(0.1 * 0.2 + 0.02**2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speckle sigma=0.2", "Noise of kind speckle has no variance that is a straight line"),
        ("gauss sigma=0.2", "'gauss sigma=0.2' is no noise: it should begin with one of"),
        ("", "'' is no noise"),
        ("poisson_gaussian gain=0.1", "leaves read open, and a guess would be taken for known"),
        ("poisson_gaussian", "leaves gain and read open"),
        ("gaussian", "leaves sigma open"),
        ("gaussian sigma=0:25/255", "sigma is a range, 0 to 0.098"),
        ("poisson_gaussian gain=-1 read=0.1", "is no noise: gain should be above 0"),
        ("gaussian sigma=25", "is no noise: sigma should be above 0 and at most 1"),
    ],
)
def test_words_that_are_no_constants_are_refused_with_what_to_write(text, said):
    with pytest.raises(InputError, match=r"(Write|Give) ") as refusal:
        Given.from_text(text)
    assert said in str(refusal.value)


def test_numbers_that_are_no_noise_are_refused():
    for numbers in ((-0.1, 0.0), (0.1, math.nan), (0.1, 0.0, math.inf)):
        with pytest.raises(InputError, match=r"are not a noise\. Give finite numbers"):
            Given(*numbers)


# — in the file of a check —


def page(tmp_path, noise, **more):
    path = tmp_path / "check.json"
    path.write_text(json.dumps({"verdict": "fit", "noise": noise, **more}))
    return path


PAIRS = {"sigma": 0.1, "gain": 0.02, "read": 0.03}
ALONE = {**PAIRS, "black": 0.05, "dependent": True}


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ({**PAIRS, "kind": "both"}, (0.02, 0.03, 0.0)),
        ({**PAIRS, "kind": "poisson"}, (0.02, 0.0, 0.0)),
        ({**PAIRS, "kind": "gaussian"}, (0.0, 0.1, 0.0)),
        ({**PAIRS, "kind": "gaussian", "gain": None, "read": None}, (0.0, 0.1, 0.0)),
        (ALONE, (0.02, 0.03, 0.05)),
        ({**ALONE, "dependent": False, "gain": 0.0}, (0.0, 0.1, 0.0)),
    ],
)
def test_a_check_of_pairs_or_of_one_picture_gives_its_constants(tmp_path, noise, expected):
    found = Given.from_check(page(tmp_path, noise))
    assert (found.gain, found.read, found.black) == expected
    assert found.origin == "check.json"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "says nothing of a noise"),
        ("{}", "says nothing of a noise"),
        ('{"noise": {"sigma": 0.1}}', "says nothing of a noise"),
        ('{"noise": {"sigma": 0.1, "gain": "much", "read": 0}}', 'noise.gain is "much", not a'),
        ('{"noise": {"sigma": 0.1, "gain": null, "read": 0}}', "noise.gain is null"),
        ('{"noise": {"sigma": 0.1, "gain": true, "read": 0}}', "noise.gain is true"),
        ('{"noise": {"sigma": 0.1, "gain": NaN, "read": 0}}', "are not a noise"),
        ('{"noise": {"sigma": 0.1, "gain": 1' + 400 * "0" + ', "read": 0}}', "not a number"),
        ('{"noise": {"sigma": 0.1, "gain": -0.1, "read": 0}}', "are not a noise"),
    ],
)
def test_a_file_that_is_no_check_is_refused(tmp_path, content, said):
    (tmp_path / "check.json").write_text(content)
    with pytest.raises(InputError, match="Give ") as refusal:
        Given.from_check(tmp_path / "check.json")
    assert said in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*none.json: No such file"):
        Given.from_check(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="is not JSON"):
        Given.from_check(tmp_path / "bytes.json")


@pytest.mark.parametrize("verdict", ["unfit", "correlated", "cannot tell", "no noise"])
def test_a_check_that_does_not_vouch_for_its_figures_is_refused_with_its_reason(tmp_path, verdict):
    path = page(tmp_path, PAIRS, verdict=verdict, reasons=["The shots lie 3 pixels apart."])
    with pytest.raises(InputError, match=rf"'{verdict}'.* The shots lie 3 pixels apart"):
        Given.from_check(path)
    path = page(tmp_path, {**PAIRS, "kind": "unknown"})
    with pytest.raises(InputError, match="could not tell how the noise grows"):
        Given.from_check(path)


def test_a_noise_that_is_a_range_is_no_constant():
    with pytest.raises(InputError, match=r"gain is a range, 0\.001 to 0\.03"):
        Given.of(PoissonGaussian((0.001, 0.03), 0.02))

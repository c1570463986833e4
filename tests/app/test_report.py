import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noisepair.app import figures, report
from noisepair.errors import InputError
from noisepair.evaluate import Case, evaluate, examples

HOSTILE = [
    "<script>alert(1)</script>.png",
    "\"><img src=x onerror='alert(2)'>.png",
    "$\\frac{page}$ 頁 \u202egnp.exe",
]


def evaluated(names=None, denoised=True, shape=(32, 40, 3)):
    rng = np.random.default_rng(0)
    clean = [rng.integers(60, 200, shape, dtype=np.uint8) for _ in range(3)]
    noisy = [(c + rng.normal(0, 4 + 8 * i, shape)).astype(np.uint8) for i, c in enumerate(clean)]
    after = [(c + rng.normal(0, 3 + 3 * i, shape)).astype(np.uint8) for i, c in enumerate(clean)]
    given = (noisy, clean, after if denoised else None)
    found = evaluate(*given, names=names)
    return found, examples(found, *given, names=names)


class Reader(HTMLParser):
    """What a browser would see: tags with attributes, and the text between."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


# ---- the page


def test_a_page_holds_what_it_was_given(tmp_path):
    table = report.Table(
        ["picture", "dB"], [["a.png", 28.1234], ["b.png", None]], notes=["A note."]
    )
    section = report.Section(
        "Results", "First.\n\nSecond.", [report.Photo(b"PNG", "a cat", "Cat.")], table, "run me"
    )
    path = report.write_page(tmp_path / "deep/page.html", title="T", lead="L", sections=[section])
    words = "\n".join(Reader(path.read_text()).words)
    for said in (
        "T",
        "L",
        "Results",
        "First.",
        "Second.",
        "Cat.",
        "28.12",
        "–",
        "A note.",
        "run me",
    ):
        assert said in words
    assert ("src", "data:image/png;base64,UE5H") in Reader(path.read_text()).attributes


@settings(max_examples=30, deadline=None)
@given(st.text("<>\"'&;/= abimgscript{}%\u202e頁", max_size=40))
def test_no_text_becomes_markup(text):
    plain = Reader(
        report.page("a", "b", [report.Section("c", "d", table=report.Table(["e"], [["f"]]))])
    )
    section = report.Section(text, text, table=report.Table([text], [[text]]), code=text)
    page = Reader(report.page(text, text, [section]))
    assert set(page.tags) - set(plain.tags) <= {"pre", "code"}
    assert {name for name, _ in page.attributes} <= {name for name, _ in plain.attributes}


def test_hostile_file_names_are_text(tmp_path):
    page = report.write_evaluation(tmp_path, *evaluated(HOSTILE)).read_text()
    reader = Reader(page)
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert HOSTILE[0] in "".join(reader.words)
    # control: without escaping the reader would have seen it
    assert "script" in Reader(page.replace("&lt;", "<").replace("&gt;", ">")).tags


def test_a_page_fetches_nothing_and_runs_nothing(tmp_path):
    page = report.write_evaluation(tmp_path, *evaluated()).read_text()
    outside = [
        value
        for name, value in Reader(page).attributes
        if name in {"src", "href", "xlink:href", "srcset", "action", "data"}
        and not value.startswith(("data:", "#"))
    ]
    assert outside == []
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_ids_are_not_used_twice_and_references_have_a_target(tmp_path):
    page = report.write_evaluation(tmp_path, *evaluated()).read_text()
    ids = [value for name, value in Reader(page).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def test_a_page_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch):
    path = report.write_page(tmp_path / "page.html", title="old", lead="", sections=[])

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"Cannot write .*page\.html: No space left"):
        report.write_page(path, title="new", lead="", sections=[])
    assert "old" in path.read_text()
    assert list(tmp_path.iterdir()) == [path], "and no crumbs"


def test_a_file_where_the_folder_should_be_is_said(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"Cannot make the folder .*out: File exists"):
        report.write_evaluation(tmp_path / "out", *evaluated())


def test_long_tables_are_folded_and_numbers_stand_to_the_right():
    table = report.Table(["name", "dB", "SSIM"], [["a", 1.0, "0.50"], ["7", None, "–"]])
    assert table.numeric == [False, True, True]
    page = report.page("", "", [report.Section("", table=report.Table(["x"], [[1]], "All 1"))])
    assert "<summary>All 1</summary>" in page


# ---- the folder of an evaluation


def test_an_evaluation_leaves_its_files(tmp_path):
    found, cases = evaluated()
    page = report.write_evaluation(tmp_path / "out", found, cases)
    names = {"report.html", "scores.csv", "box.svg", "box.png", "gallery.png"}
    assert {path.name for path in page.parent.iterdir()} == names
    assert (page.parent / "scores.csv").read_text() == found.as_csv()
    words = " ".join(Reader(page.read_text()).words)
    assert f"{found.summary()['psnr']['denoised']['per_image']:.2f}" in words
    assert f"{found.summary()['psnr']['gain']['pooled']:.2f}" in words
    assert "Every picture counts the same" in words
    assert "without crop, clamping or rounding" in words


def test_the_worst_picture_stands_first_in_the_table(tmp_path):
    found, _ = evaluated()
    rows = report.each_picture(found).table.rows
    assert [row[0] for row in rows] == ["noisy 3", "noisy 2", "noisy 1"]


def test_noisy_pictures_alone_make_a_page_too(tmp_path):
    found, cases = evaluated(denoised=False)
    page = report.write_evaluation(tmp_path, found, cases).read_text()
    assert "before denoising" in page
    assert "gain, dB" not in page


def test_a_loss_is_called_a_loss():
    rng = np.random.default_rng(0)
    clean = [np.full((16, 16, 1), 128, np.uint8)]
    worse = [rng.integers(0, 255, (16, 16, 1), dtype=np.uint8)]
    found = evaluate([clean[0] + np.uint8(1)], clean, worse)
    assert "dB lost" in report.headline(found)


def test_perfect_and_failed_pictures_have_their_line(tmp_path):
    rng = np.random.default_rng(0)
    clean = [rng.random((16, 16)) for _ in range(3)]
    noisy = [clean[0], clean[1] * np.nan, clean[2] + 0.1]
    found = evaluate(noisy, clean, clean, data_range=1)
    words = " ".join(Reader(report.write_evaluation(tmp_path, found).read_text()).words)
    assert "∞" in words
    assert "Not scored" in words
    assert "256 values that are nan" in words


# ---- figures


def history(steps=30, **more):
    return [
        {"step": i, "seconds": i * 2.0, "loss": 1 / (i + 1), "held_out": 1 / (i + 2), **more}
        for i in range(1, steps + 1)
    ]


def test_the_same_figure_is_the_same_text():
    found, _ = evaluated()
    first, second = (figures.svg(figures.box_plot(found)) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert "metadata" not in first
    assert figures.png(figures.curves(history())) == figures.png(figures.curves(history()))


def test_ink_follows_the_page():
    drawing = figures.svg(figures.curves(history(gain_db=3.0)))
    assert "currentColor" in drawing
    assert figures.INK not in drawing
    assert "estimated PSNR gain (dB)" in drawing
    assert "optimizer step (60 s in all)" in drawing


def test_curves_bear_gaps_and_divergence():
    ragged = [*history(5), {"step": 6, "loss": float("nan"), "held_out": None, "gain_db": None}]
    drawing = figures.svg(figures.curves(ragged))
    assert "gain" not in drawing
    assert figures.svg(figures.curves([{"step": 1, "loss": None}])).startswith("<svg")
    with pytest.raises(InputError, match="no training history"):
        figures.curves([])


def test_a_long_history_is_drawn_in_means_of_bins():
    steps, values = figures.series([{"step": i, "loss": float(i % 2)} for i in range(4000)], "loss")
    assert steps.size == values.size == figures.POINTS
    assert np.all(values == 0.5)
    assert steps.mean() == pytest.approx(1999.5)


def test_box_plot_leaves_out_the_infinite():
    rng = np.random.default_rng(0)
    clean = [rng.random((12, 12)) for _ in range(2)]
    found = evaluate([clean[0] + 0.1, clean[1]], clean, clean, data_range=1)
    assert figures.svg(figures.box_plot(found)).startswith("<svg")


def test_the_crop_finds_the_detail():
    picture = np.zeros((300, 500, 1), np.uint8)
    picture[200:210, 400:410] = np.random.default_rng(0).integers(0, 255, (10, 10, 1))
    rows, columns = figures.most_detail(picture, 64)
    assert set(range(200, 210)) <= set(range(300)[rows])
    assert set(range(400, 410)) <= set(range(500)[columns])
    assert picture[rows, columns].shape == (64, 64, 1)
    assert figures.most_detail(picture[:20, :30], 64) == (slice(0, 20), slice(0, 30))


def pixels_of(case):
    """The gallery as an array, from its PNG."""
    with Image.open(io.BytesIO(figures.png(figures.gallery([case])))) as picture:
        return np.asarray(picture.convert("RGB"))


def contains(page, panel):
    """Whether `panel` stands in `page`, pixel for pixel."""
    high, wide = panel.shape[:2]
    corners = np.argwhere((page == panel[0, 0]).all(-1))
    return any(np.array_equal(page[i : i + high, j : j + wide], panel) for i, j in corners)


@pytest.mark.parametrize("planes", [1, 3])
def test_gallery_pixels_are_the_pictures_pixels(planes):
    rng = np.random.default_rng(0)
    noisy, denoised, clean = rng.integers(0, 255, (3, 210, 230, planes), dtype=np.uint8)
    page = pixels_of(Case("a.png", noisy, clean, denoised, 255.0, "worst"))
    for picture in (noisy, denoised, clean):
        assert contains(page, np.broadcast_to(picture, (210, 230, 3)))
    assert not contains(page, np.broadcast_to(clean[::-1], (210, 230, 3))), "control"


def test_small_pictures_are_enlarged_by_a_whole_factor():
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    page = pixels_of(Case("a", noisy, None, None, 255.0))
    assert contains(page, noisy.repeat(6, axis=0).repeat(6, axis=1))


def test_all_panels_of_a_row_share_one_scale():
    clean = np.linspace(1000, 3000, 200 * 200).reshape(200, 200, 1).astype(np.uint16)
    (_, noisy), (_, same) = figures.panels(Case("a", clean + np.uint16(400), clean, None, 65535.0))
    low, high = figures.shown_range(clean)
    assert (low, high) == pytest.approx((1000, 3000), abs=5)
    step = 400 / (high - low) * 255
    middle = noisy[100, 100].astype(float) - same[100, 100]
    assert middle == pytest.approx(step, abs=1)


def test_titles_say_the_psnr_of_the_whole_picture():
    found, cases = evaluated()
    titles = [title for title, _ in figures.panels(cases[0])]
    score = found.scores[found.cases()["worst"]]
    assert titles[0] == f"noisy  {score.noisy.psnr:.2f} dB"
    assert titles[1] == f"denoised  {score.denoised.psnr:.2f} dB ({score.gain:+.2f})"
    assert titles[2] == "clean"


def test_an_empty_gallery_is_refused():
    with pytest.raises(InputError, match="no picture to show"):
        figures.gallery([])


def test_two_and_four_planes_can_be_shown():
    for planes in (2, 4):
        picture = np.random.default_rng(0).random((20, 20, planes))
        assert figures.on_screen(picture, 0.0, 1.0).shape == (180, 180, 3)

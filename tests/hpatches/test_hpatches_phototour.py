"""Photo Tour: patches, pairs and FPR95 of a small landmark."""

import numpy as np
import pytest
import torch
from PIL import Image

from noisepair.errors import InputError
from noisepair.hpatches.phototour import PAIRS, evaluate, open_tour, read_pairs


@pytest.fixture
def landmark(tmp_path):
    """300 patches on two sheets, two of each of 150 points: the point's brightness and noise."""
    rng = np.random.default_rng(0)
    points = np.repeat(np.arange(150), 2)
    level = rng.permutation(np.linspace(20, 235, 150))[points]
    patches = level[:, None, None] + rng.normal(0, 2, (300, 64, 64))
    patches = np.concatenate([patches, np.zeros((212, 64, 64))]).clip(0, 255).astype(np.uint8)
    for sheet, tiles in enumerate(patches.reshape(2, 16, 16, 64, 64)):
        Image.fromarray(tiles.swapaxes(1, 2).reshape(1024, 1024)).save(
            tmp_path / f"patches{sheet:04}.bmp"
        )
    (tmp_path / "info.txt").write_text("".join(f"{point} 0\n" for point in points))
    pairs = [(2 * n, n, 2 * n + 1, n) for n in range(100)]
    pairs += [(2 * n, n, (2 * n + 100) % 300, (n + 50) % 150) for n in range(100)]
    (tmp_path / PAIRS).write_text("".join(f"{a} {p} 0 {b} {q} 0 0\n" for a, p, b, q in pairs))
    return tmp_path, patches


def brightness(batch):
    return batch.mean((2, 3))


def test_patches_are_read_by_number_across_sheets(landmark):
    folder, patches = landmark
    tour = open_tour(folder)
    which = np.array([299, 0, 255, 256, 17])
    assert np.array_equal(tour.patches(which), patches[which])
    assert tour.points[[0, 1, 299]].tolist() == [0, 0, 149]


def test_a_pair_is_right_where_both_show_one_point(landmark):
    which, right = read_pairs(landmark[0] / PAIRS)
    assert which[[0, 150]].tolist() == [[0, 1], [100, 200]]
    assert right.tolist() == [True] * 100 + [False] * 100


def test_fpr95_is_that_of_the_distances(landmark):
    folder, patches = landmark
    found = evaluate(open_tour(folder), folder / PAIRS, brightness)
    which, right = read_pairs(folder / PAIRS)
    mean = patches.mean((1, 2)).astype(float)
    apart = np.abs(mean[which[:, 0]] - mean[which[:, 1]])
    limit = np.sort(apart[right])[94]
    assert found == pytest.approx((apart[~right] <= limit).mean())
    assert found < 0.05


def test_a_descriptor_that_says_nothing_lets_all_through(landmark):
    folder, _ = landmark
    found = evaluate(open_tour(folder), folder / PAIRS, lambda batch: torch.ones(len(batch), 2))
    assert found == 1


def test_a_landmark_that_is_not_whole_is_refused(landmark):
    folder, _ = landmark
    (folder / "patches0001.bmp").unlink()
    with pytest.raises(InputError, match=r"patches0001\.bmp is missing"):
        open_tour(folder)
    (folder / "info.txt").write_text("one two\n")
    with pytest.raises(InputError, match="no table of whole numbers"):
        open_tour(folder)
    (folder / "info.txt").write_text("")
    with pytest.raises(InputError, match="no table of whole numbers"):
        open_tour(folder)


def test_pairs_of_another_landmark_are_refused(landmark):
    folder, _ = landmark
    tour = open_tour(folder)
    (folder / PAIRS).write_text("0 0 0 1 0 0 0\n2 1 0 300 7 0 0\n")
    with pytest.raises(InputError, match="of the 300 patches"):
        evaluate(tour, folder / PAIRS, brightness)
    (folder / PAIRS).write_text("0 0 0 1 0 0 0\n")
    with pytest.raises(InputError, match="1 right pairs of 1"):
        evaluate(tour, folder / PAIRS, brightness)

"""What makes a descriptor good: the same place near, other places far.

A batch holds B places, each seen twice: anchors a and positives p, (B, 128) both. d is Euclidean
distance. The losses differ in which other place a pair is compared with.

    course    mean of max(0, |aᵢ − pᵢ|²/128 − |aᵢ − n|²/128 + 1)    n drawn at random
    hardnet   mean of max(0, 1 + d(aᵢ, pᵢ) − d(nearest other))      Mishchuk et al. 2017, eq. 1–3
    sosnet    its square, and a second term for likeness of order   Tian et al. 2019
    hynet     max(0, 1.2 + s(d) − s(d of the nearest other)), s(d) = d + d²    Tian et al. 2020

The nearest other is looked for in the batch, among distances from a to p both ways; sosnet and
hynet look among a to a and p to p too. One that is nearer than 0.008 shows the same place and does
not count: repeated structure, or a patch that was taken twice. Their authors add over the batch
what is averaged here.
"""

from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..shapes import Scalar

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
CLOSE = 0.008  # nearer descriptors of length 1 are of the same place: Mishchuk et al., their code
TINY = 1e-6  # added to a squared distance, so that the root has a slope at 0

Margin = Annotated[float, Field(gt=0, le=100)]
Matrix = Float[Tensor, "B B"]


class Described(NamedTuple):
    """Descriptors of a batch of places."""

    anchors: Float[Tensor, "B D"]
    positives: Float[Tensor, "B D"]
    lengths: Float[Tensor, "2 B"]
    """of what the last layer said of both, before it was brought to length 1"""
    others: Int[Tensor, "B"]
    """for each place another, drawn at random"""


def distances(one: Float[Tensor, "B D"], two: Float[Tensor, "B D"]) -> Matrix:
    """From every row of `one` to every row of `two`; equal ones are √TINY apart."""
    squares = one.square().sum(1)[:, None] + two.square().sum(1) - 2 * one @ two.T
    return (squares.clamp(min=0) + TINY).sqrt()


def without_same(matrix: Matrix) -> Matrix:
    """Infinity, and no slope, for a place and itself, and for what is nearer than two can be."""
    same = torch.eye(len(matrix), dtype=torch.bool, device=matrix.device) | (matrix < CLOSE)
    return matrix.masked_fill(same, torch.inf)


def nearest(*matrices: Matrix) -> Float[Tensor, "B"]:
    """For each place, the distance to the nearest other, in any of `matrices`, in row or column."""
    found = [without_same(matrix).amin(axis) for matrix in matrices for axis in (0, 1)]
    return torch.stack(found).amin(0)


@dataclass(frozen=True, config=STRICT)
class CourseTriplet:
    """The course's: another place at random; squared distances averaged over the 128 numbers."""

    margin: Margin = 1.0
    """by how much the other place must be farther"""
    squared: bool = False
    """square each triplet's loss: what MSE for MAE around it comes to (report 004, table 3)"""
    kind: Literal["course"] = "course"

    def __call__(self, batch: Described) -> Scalar:
        near = (batch.anchors - batch.positives).square().mean(1)
        far = (batch.anchors - batch.positives[batch.others]).square().mean(1)
        short = (near - far + self.margin).clamp(min=0)
        return short.square().mean() if self.squared else short.mean()


@dataclass(frozen=True, config=STRICT)
class HardestInBatch:
    """HardNet's: the nearest other of the batch, from the anchor or from the positive."""

    margin: Margin = 1.0
    """by how much the other place must be farther"""
    swap: bool = True
    """look from the positives to the anchors too"""
    kind: Literal["hardnet"] = "hardnet"

    def __call__(self, batch: Described) -> Scalar:
        matrix = distances(batch.anchors, batch.positives)
        far = nearest(matrix) if self.swap else without_same(matrix).amin(1)
        return (self.margin + matrix.diagonal() - far).clamp(min=0).mean()


@dataclass(frozen=True, config=STRICT)
class SecondOrder:
    """SOSNet's: the squared hinge, and neighbours among anchors as far as among positives.

    The second term is the mean over i of √ Σⱼ (d(aᵢ, aⱼ) − d(pᵢ, pⱼ))², over those j that are among
    the nearest of i, or i of j: among anchors, among positives, or from one to the other.
    """

    margin: Margin = 1.0
    """by how much the other place must be farther"""
    neighbours: Annotated[int, Field(ge=1, le=1024)] = 8
    """the nearest others whose distances are compared"""
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """of the second term"""
    kind: Literal["sosnet"] = "sosnet"

    def __call__(self, batch: Described) -> Scalar:
        across = distances(batch.anchors, batch.positives)
        one, two = (distances(x, x) for x in (batch.anchors, batch.positives))
        hinge = (self.margin + across.diagonal() - nearest(across, one, two)).clamp(min=0)
        chosen = neighbours(self.neighbours, one, two, across)
        order = ((one - two) * chosen).square().sum(1).add(TINY).sqrt()
        return hinge.square().mean() + self.weight * order.mean()


@torch.no_grad()
def neighbours(count: int, *matrices: Matrix) -> Matrix:
    """1 where j is among the `count` nearest of i, or i of j, in any matrix; else 0."""
    chosen = torch.zeros_like(matrices[0])
    for matrix in matrices:
        apart = without_same(matrix)
        for axis in (0, 1):
            found = apart.topk(min(count, len(apart)), dim=axis, largest=False)
            chosen.scatter_add_(axis, found.indices, found.values.isfinite().to(chosen.dtype))
    return ((chosen + chosen.T) > 0).to(chosen.dtype)


@dataclass(frozen=True, config=STRICT)
class Hybrid:
    """HyNet's: distance and inner product together, and views of a place of equal length.

    For descriptors of length 1, d²/2 is 1 less the inner product; the last term is 0.1 times the
    mean squared difference in length before they were brought to it.
    """

    margin: Margin = 1.2
    """by how much the other place must be farther"""
    alpha: Annotated[float, Field(ge=0, le=100)] = 2.0
    """weight of the inner product beside the distance"""
    lengths: Annotated[float, Field(ge=0, le=100)] = 0.1
    """weight of the difference in length"""
    kind: Literal["hynet"] = "hynet"

    def __call__(self, batch: Described) -> Scalar:
        across = distances(batch.anchors, batch.positives)
        one, two = (distances(x, x) for x in (batch.anchors, batch.positives))
        near, far = across.diagonal(), nearest(across, one, two)
        hinge = (self.margin + self.hybrid(near) - self.hybrid(far)).clamp(min=0)
        return hinge.mean() + self.lengths * (batch.lengths[0] - batch.lengths[1]).square().mean()

    def hybrid(self, d: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
        return d + self.alpha / 2 * d.square()


Loss = CourseTriplet | HardestInBatch | SecondOrder | Hybrid
LOSSES: dict[str, type[Loss]] = {
    "course": CourseTriplet,
    "hardnet": HardestInBatch,
    "sosnet": SecondOrder,
    "hynet": Hybrid,
}


def taught(
    pupil: Float[Tensor, "B D"], teacher: Float[Tensor, "B D"], relational: float = 0.0
) -> Scalar:
    """How far a pupil's descriptors of noisy patches are from a teacher's of the clean ones.

    Mean squared distance, which for length 1 is twice 1 less the cosine; and `relational` times the
    mean over i of √ mean over j of (d(pupilᵢ, pupilⱼ) − d(teacherᵢ, teacherⱼ))²: Park et al. 2019
    distil distances within a batch, and SOSNet compares them as here.
    """
    own = (pupil - teacher).square().sum(1).mean()
    if not relational:
        return own
    apart = (distances(pupil, pupil) - distances(teacher, teacher)).square()
    return own + relational * apart.mean(1).add(TINY).sqrt().mean()

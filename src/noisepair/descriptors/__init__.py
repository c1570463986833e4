"""WING: noisy patches to vectors that match.

networks    HardNet, HyNet, ResNet-50, the course's, and a quick one
losses      the nearest other of a batch, order, likeness to a teacher
recipe      everything that decides how a descriptor learns
views       two noisy views of each place
learner     network, denoiser in front, teacher: one step
matching    how well held-out places match
train       the loop and its folder
descriptor  a trained one in use; published: weights of others
correspondence  which key points of two pictures are the same places; two_views: their geometry

from noisepair.descriptors import Descriptor
vectors = Descriptor.load("model").describe(patches)        (N, 32, 32) to (N, 128)
"""

from .descriptor import Descriptor, DescriptorCard
from .recipe import DescriptorRecipe
from .train import Progress, train_descriptor
from .views import Sheets, sheets_of

__all__ = [
    "Descriptor",
    "DescriptorCard",
    "DescriptorRecipe",
    "Progress",
    "Sheets",
    "sheets_of",
    "train_descriptor",
]

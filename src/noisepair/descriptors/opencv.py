"""A descriptor where OpenCV's programs have a Feature2D: cv2.SIFT_create() or this.

    keypoints, vectors = PatchFeatures(Descriptor.load("model")).detectAndCompute(image, None)

Names, arguments and results are OpenCV's, so that a program need not know; images are in the order
blue, green, red. Key points whose square leaves the image are left out, and those kept are returned
with their vectors, as OpenCV's own ORB does.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from . import features
from .features import REGION, Asked, Describe, Seen

Found = tuple[tuple[cv2.KeyPoint, ...], np.ndarray | None]


class PatchFeatures:
    """Detects SIFT's key points, in the denoised image where that helps, and describes patches.

    `descriptor`, `denoise`, `patches`, `region`, `device`: as `features` has them.
    """

    def __init__(
        self,
        descriptor: Describe,
        *,
        denoise: Asked = "auto",
        patches: Seen = "noisy",
        region: float = REGION,
        device: str | torch.device = "cpu",
    ):
        self.descriptor, self.denoise, self.patches = descriptor, denoise, patches
        self.region, self.device = region, device

    def detect(
        self, image: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[cv2.KeyPoint, ...]:  # fmt: skip
        """Key points, strongest first, where `mask` is not 0."""
        return tuple(features.detect(self.looked(image, self.denoise).seen, mask))

    def compute(self, image: np.ndarray, keypoints: Sequence[cv2.KeyPoint]) -> Found:
        """The key points that have a whole patch, and a row of float32 each; None without any."""
        denoise = self.denoise if self.patches == "denoised" else "never"  # which takes time
        return self.described(self.looked(image, denoise), keypoints)

    def detectAndCompute(self, image: np.ndarray, mask: np.ndarray | None = None) -> Found:
        """Both at once; the image is denoised but once."""
        looked = self.looked(image, self.denoise)
        return self.described(looked, features.detect(looked.seen, mask))

    def looked(self, image: np.ndarray, denoise: Asked) -> features.Looked:
        rgb = image[..., ::-1] if image.ndim == 3 else image
        return features.look(rgb, "auto", denoise, self.device)

    def described(self, looked: features.Looked, keypoints: Sequence[cv2.KeyPoint]) -> Found:
        kept = features.whole(keypoints, looked.seen, self.region)
        if not kept:
            return (), None
        grey = looked.noisy if self.patches == "noisy" else looked.seen
        rows = features.described(grey, kept, self.descriptor, self.region, self.device)
        return tuple(kept), rows

    def defaultNorm(self) -> int:
        """What cv2.BFMatcher is to compare with."""
        return cv2.NORM_L2

    def descriptorType(self) -> int:
        return cv2.CV_32F

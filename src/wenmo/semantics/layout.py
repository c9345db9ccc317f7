"""Where documents stand on the map: two dimensions in which near means alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SHOWN = 1_500
"""Most documents on a map; of more, this many are drawn evenly."""


def chosen(total: int, most: int = SHOWN) -> list[int]:
    """Documents on the map, evenly spaced in the order of the corpus."""
    if total <= most:
        return list(range(total))
    return sorted({int(i) for i in np.linspace(0, total - 1, most).round()})


def layout(vectors: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float64]:
    """Places vectors (N, D) in the unit square, float64 (N, 2).

    Principal components up to 9 documents; t-SNE on cosines from there (van der Maaten and Hinton 2008), begun from the
    principal components and with a fixed seed, so that the map of a corpus is always the same.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    total = len(vectors)
    if total == 1:
        return np.full((1, 2), 0.5)
    centred = np.asarray(vectors - vectors.mean(0), np.float64)
    if total < 10 or not centred.any():
        size = min(2, *centred.shape)
        places = np.zeros((total, 2))
        if centred.any():
            places[:, :size] = PCA(size, random_state=seed).fit_transform(centred)
    else:
        size = min(2, centred.shape[1])
        start = np.zeros((total, 2))
        start[:, :size] = PCA(size, random_state=seed).fit_transform(centred)
        start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)
        perplexity = min(30.0, (total - 1) / 3)
        places = TSNE(
            2, metric="cosine", init=start, perplexity=perplexity, random_state=seed, max_iter=750
        ).fit_transform(vectors)
    low, high = places.min(0), places.max(0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-9), np.float64)

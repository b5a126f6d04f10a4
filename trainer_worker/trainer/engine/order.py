"""Which sample comes when: a pure function of seed, epoch and index."""

import hashlib

import numpy as np

FEISTEL_ROUNDS = 6

Indices = np.ndarray[tuple[int], np.dtype[np.uint64]]


def shuffled(samples: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """What each sample, counted from the beginning of training over all epochs, points to. Shape (n,), int64.

    Each epoch goes through 0 to count - 1 once, in an order of its own.
    """
    epochs, places = samples // count, samples % count
    indices = np.empty(len(samples), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = permuted(places[here], count=count, seed=seed, epoch=int(epoch))
    return indices


def permuted(places: np.ndarray, *, count: int, seed: int, epoch: int) -> np.ndarray:
    """Where each place of an epoch points to: a permutation of 0 to count - 1 that needs no table.

    A Feistel network over the next even number of bits, walked again where it lands beyond `count`.
    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 4.
    """
    half_bits = max(1, (max(1, count - 1).bit_length() + 1) // 2)
    keys = round_keys(seed=seed, epoch=epoch)
    walked = feistel(places.astype(np.uint64), half_bits=half_bits, keys=keys)
    while (beyond := walked >= count).any():
        walked[beyond] = feistel(walked[beyond], half_bits=half_bits, keys=keys)
    return walked.astype(np.int64)


def round_keys(*, seed: int, epoch: int) -> Indices:
    digest = hashlib.blake2b(f"data order {seed} {epoch}".encode(), digest_size=8 * FEISTEL_ROUNDS).digest()
    return np.frombuffer(digest, "<u8")


def feistel(values: Indices, *, half_bits: int, keys: Indices) -> Indices:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (mixed(right ^ key) & mask)
    return (left << shift) | right


def mixed(values: Indices) -> Indices:
    """Scrambles 64 bits. Source: the finalizer of SplitMix64 (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))

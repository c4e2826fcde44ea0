# SPDX-License-Identifier: MIT
"""Counter-based random numbers, written independently of src/core/rng.c.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) with
    key     = (seed low, seed high)
    counter = (index low, index high, step, stream)
`index` may be an array of any shape; every draw is a pure function of its four arguments.
"""
from enum import IntEnum

import numpy as np

LAYER_STRIDE = 1 << 40  # index of a per-layer draw = position + layer * LAYER_STRIDE


class Stream(IntEnum):
    JITTER = 4
    SECOND = 5
    HASH = 6
    CHUNK = 9


def words(seed, stream, step, index):
    """Four 32-bit words per index: (..., 4) uint64 holding 32-bit values."""
    index = np.asarray(index, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c = [index & low, index >> shift,
         np.full_like(index, step & 0xFFFFFFFF), np.full_like(index, int(stream))]
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c[0]
        b = np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> shift) ^ c[1] ^ np.uint64(k0), b & low,
             (a >> shift) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1)


def uniform(seed, stream, step, index):
    """Uniform in [0, 1): the top 24 bits of word 0, exact in float32 and float64."""
    return (words(seed, stream, step, index)[..., 0] >> np.uint64(8)).astype(np.float64) * 2.0**-24


def below(seed, stream, step, index, n):
    """Uniform integer in [0, n): floor(u * n / 2^64) of the 64-bit word (w0, w1)."""
    w = words(seed, stream, step, np.atleast_1d(index))
    return np.array([(((int(x[0]) << 32) | int(x[1])) * n) >> 64 for x in w], dtype=np.int64)


def permutation(seed, stream, step, n):
    """The order of 0 ... n-1 that (seed, stream, step) names: entry i is where i is sent.

    Six rounds of a Feistel network over pairs of halves, (left, right) -> (right, left ^ F(right)),
    F being the low bits of the 64-bit word at index right + round * 2^56; the width is the smallest
    even number of bits that holds n. Numbers that land at n or beyond go through it again.
    """
    half = 1
    while 4**half < n:
        half += 1
    mask = 2**half - 1

    def network(x):
        left, right = x >> half, x & mask
        for turn in range(6):
            w = words(seed, stream, step, right + (turn << 56))
            left, right = right, left ^ (((int(w[0]) << 32) | int(w[1])) & mask)
        return left * 2**half + right

    def walk(x):
        x = network(x)
        return x if x < n else walk(x)

    order = [walk(i) for i in range(n)]
    assert sorted(order) == list(range(n))
    return order


def self_check():
    """Known answers published with the Random123 library (kat_vectors, philox4x32 10 rounds)."""
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
    index, seed = pi[0] | pi[1] << 32, pi[4] | pi[5] << 32
    got = [int(x) for x in words(seed, pi[3], pi[2], index)]
    assert got == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1], [hex(x) for x in got]
    got = [int(x) for x in words(0, 0, 0, 0)]
    assert got == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], [hex(x) for x in got]

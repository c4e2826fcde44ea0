#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write tests/golden/quant: quantised blocks as PyPI `gguf` and llama.cpp's library see them.

    tools/python.sh tools/make_golden_quant.py         # after pip install gguf llama-cpp-python

For each type: random blocks with what `gguf` (NumPy) decodes them to, all bit patterns of scales and
values included; and for a source of numbers, the blocks that `gguf` encodes it to (q8_0, q4_0, q4_1)
or, where `gguf` cannot, the error that ggml's reference quantiser leaves (ggml_quantize_chunk of
`llama-cpp-python`): root mean square over that of the source.
"""
import argparse
import ctypes
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "quant" / "quant.safetensors"
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q5_K", "Q6_K"]
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
BLOCKS = 24
ROWS, COLUMNS = 16, 256


def type_of(name):
    return gguf.GGMLQuantizationType[name]


def random_blocks(draw, name):
    """Any bytes, but scales (f16) are finite, one of them subnormal and one zero."""
    block_bytes = gguf.GGML_QUANT_SIZES[type_of(name)][1]
    blocks = draw.integers(0, 256, size=(BLOCKS, block_bytes), dtype=np.uint8)
    for at in SCALES[name]:
        scale = draw.normal(0, 0.02, BLOCKS).astype(np.float16)
        scale[1], scale[2] = np.float16(3e-7), 0
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def make_source(draw):
    """Rows like weights; then one with an outlier, one of one sign, one constant, one of zeros."""
    source = draw.normal(0, 0.02, (ROWS, COLUMNS)).astype(np.float32)
    source[-4, 17] = 1.5
    source[-3] = np.abs(source[-3]) + 0.01
    source[-2] = -0.25
    source[-1] = 0
    return source


def reference_error(library, source, name):
    quantised = np.zeros(source.size * 2, dtype=np.uint8)
    pointer = ctypes.POINTER(ctypes.c_float)
    used = library.ggml_quantize_chunk(
        ctypes.c_int(type_of(name).value), source.ctypes.data_as(pointer),
        quantised.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(len(source)),
        ctypes.c_int64(COLUMNS), None)
    back = gguf.dequantize(quantised[:used], type_of(name)).reshape(source.shape)
    return np.sqrt(np.mean((back - source) ** 2) / np.mean(source ** 2))


def open_library(path):
    if path is None:
        import llama_cpp
        path = next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so*"))
    library = ctypes.CDLL(path)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", help="libggml-base.so; otherwise that of llama-cpp-python")
    draw = np.random.default_rng(1)
    source = make_source(draw)
    library = open_library(parser.parse_args().library)
    out = {"source": source}
    for name in TYPES:
        blocks = random_blocks(draw, name)
        out[f"{name.lower()}.blocks"] = blocks
        out[f"{name.lower()}.values"] = gguf.dequantize(blocks, type_of(name)).astype(np.float32)
        if name.endswith("K"):
            error = reference_error(library, source[:-4], name)
            print(f"{name}: error of ggml's reference {error:.5f}")
            out[f"{name.lower()}.error"] = np.array([error], dtype=np.float32)
        else:
            out[f"{name.lower()}.encoded"] = gguf.quantize(source, type_of(name))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(out, OUT, metadata={"format": "pt"})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prompts and single tokens through llama.cpp (PyPI llama-cpp-python), as `dsmoe bench infer` does.

    python bench/peers/llama_infer.py MODEL.gguf --prompt 512 --gen 32 --runs 3 --flash-attention

One JSON line: tokens per second of the median and of the best run. Random tokens, one process, the
low-level interface: nothing but llama_decode is inside the clock. A first prompt of 16 tokens is
answered before (first_token_s counts from the start of loading). With one thread its processor time
is what counts, as in dsmoe.
"""
import argparse
import ctypes
import json
import random
import statistics
import time

import llama_cpp as lc


def open_context(args):
    lc.llama_backend_init()
    model_params = lc.llama_model_default_params()
    model_params.use_mmap = True
    model_params.use_extra_bufts = not args.no_repack
    model_params.n_gpu_layers = 0
    model = lc.llama_model_load_from_file(args.model.encode(), model_params)
    assert model, f"llama.cpp cannot load {args.model}"
    params = lc.llama_context_default_params()
    params.n_ctx = args.prompt + args.gen + 64
    params.n_batch = params.n_ubatch = min(args.prompt, args.chunk)
    params.n_threads = params.n_threads_batch = args.threads
    if hasattr(params, "flash_attn_type"):
        params.flash_attn_type = 1 if args.flash_attention else 0
    else:
        params.flash_attn = args.flash_attention
    context = lc.llama_init_from_model(model, params)
    assert context, "llama.cpp cannot make a context"
    return model, context


def feed(context, tokens, step):
    for i in range(0, len(tokens), step):
        part = tokens[i:i + step]
        array = (lc.llama_token * len(part))(*part)
        status = lc.llama_decode(context, lc.llama_batch_get_one(array, len(part)))
        assert status == 0, f"llama_decode: {status}"
    lc.llama_get_logits_ith(context, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--flash-attention", action="store_true")
    parser.add_argument("--no-repack", action="store_true",
                        help="multiply weights as they lie in the file: no copy in a layout for AMX")
    args = parser.parse_args()
    quiet = lc.llama_log_callback(lambda level, text, data: None)  # lives as long as the library
    lc.llama_log_set(quiet, ctypes.c_void_p(0))

    start = time.monotonic()
    model, context = open_context(args)
    load = time.monotonic() - start
    vocabulary = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    draw = random.Random(1)
    tokens = [draw.randrange(vocabulary) for _ in range(args.prompt + args.gen + 16)]
    feed(context, tokens[:16], 16)
    first = time.monotonic() - start
    clock = time.process_time if args.threads == 1 else time.monotonic
    prefill, decode = [], []
    for _ in range(args.runs):
        lc.llama_memory_clear(lc.llama_get_memory(context), True)
        begin = clock()
        feed(context, tokens[:args.prompt], args.chunk)
        middle = clock()
        feed(context, tokens[args.prompt:args.prompt + args.gen], 1)
        prefill.append(args.prompt / (middle - begin))
        decode.append(args.gen / (clock() - middle))
    print(json.dumps({
        "prefill_tokens_per_s": statistics.median(prefill),
        "best_prefill_tokens_per_s": max(prefill),
        "decode_tokens_per_s": statistics.median(decode),
        "best_decode_tokens_per_s": max(decode), "load_s": load, "first_token_s": first}))


if __name__ == "__main__":
    main()

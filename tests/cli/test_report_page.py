#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dsmoe report as a browser sees it: two runs are trained, results of an experiment with hostile names are
written, and the page must ask the network for nothing, run nothing, fit a phone's width, show every
plot with its labels inside the drawing, and take other colours in the dark. Runs $DSMOE_PROGRAM; exits 77
(skipped) where there is no Chromium, which not every distribution packages, or 1 where CI is set."""
import html
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ["DSMOE_PROGRAM"]
HOSTILE = "<script>alert('x')</script> & `id` \"q\""

MODEL = {"model_type": "deepseek", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48,
         "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 2,
         "first_k_dense_replace": 0, "moe_layer_freq": 1, "max_position_embeddings": 64}
RECIPE = """model: m.json
data: {train: data, valid: data, seq_len: 16}
batch: {sequences: 4, micro: 4}
steps: 40
log: {every: 2}
eval: {every: 8, sequences: 4}
"""

# Measured in the page itself, by a copy of it with this script (the page has none), in a frame as wide as a
# phone, because a browser's own window has a least width.
PROBE = """<script>
const plots = [...document.querySelectorAll('svg.plot')].map(svg => {
  const inner = svg.getBBox(), view = svg.viewBox.baseVal, box = svg.getBoundingClientRect();
  const line = svg.querySelector('path[stroke^=var]:not(.gridline)');
  return {inside: inner.x >= -2 && inner.y >= -2 && inner.x + inner.width <= view.width + 2 &&
                  inner.y + inner.height <= view.height + 2,
          width: box.width, left: box.left, marks: svg.querySelectorAll('path,use,image,polygon').length,
          colour: line ? getComputedStyle(line).stroke : null};
});
const found = {inner: innerWidth, scroll: document.documentElement.scrollWidth, plots: plots,
               requests: performance.getEntriesByType('resource').map(e => e.name),
               ground: getComputedStyle(document.body).backgroundColor};
parent.postMessage(JSON.stringify(found), '*');
</script>"""
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><script>
onmessage = e => document.documentElement.replaceChildren('FOUND' + e.data + 'END');
</script><iframe src="probe.html" style="border:0;width:%dpx;height:900px"></iframe>"""


class Page(html.parser.HTMLParser):
    """Elements, and every address that a browser might fetch."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [v for k, v in attrs if k in ("href", "src", "xlink:href", "srcset", "action")]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def train():
    text = "\n".join(f"line {i} says {w} and then {w} again" for i in range(9) for w in "one two six".split())
    pathlib.Path("text.txt").write_text(text)
    pathlib.Path("m.json").write_text(json.dumps(MODEL))
    pathlib.Path("r.yaml").write_text(RECIPE)
    run(PROGRAM, "tokenizer", "train", "--vocab-size", "300", "--out", "tok", "text.txt", "--quiet")
    run(PROGRAM, "data", "prepare", "--tokenizer", "tok", "--out", "data", "text.txt", "--quiet")
    for seed in (1, 2):
        run(PROGRAM, "train", "r.yaml", "--quiet", "--set", f"run=root/runs/moe-s{seed}", "--set", f"seed={seed}")


def write_results():
    def one(name, label, paper, loss):
        seeds = [{"seed": s, "dir": f"runs/moe-s{s}", "state": "done", "loss": loss + s / 100, "seconds": 60}
                 for s in (1, 2)]
        return {"name": name, "label": label, "paper": paper, "params": 9e5, "active_params": 1.4e5,
                "tokens_per_active_param": 330.5, "seeds": seeds}

    points = [{"x": x / 16, "paper": 1.8 + x, "seeds": [{"seed": s, "loss": 2.4 + x + s / 50} for s in (1, 2)]}
              for x in range(5)]
    results = {"experiment": "redundancy", "title": HOSTILE, "source": "a paper", "size": "smoke",
               "metric": "loss", "machine": "a machine with a long name, 2 cores", "version": "0.1.0",
               "commit": "abc", "created": "2026-01-01T00:00:00Z", "settings": {"steps": 40, "peak_lr": 0.001},
               "runs": [one("moe", HOSTILE, 1.808, 2.4), one("gshard", "GShard\u00d71.5, a label that is long", 1.9, 2.5)],
               "analyses": [{"run": "moe", "label": HOSTILE, "kind": "mask_top", "points": points}],
               "claims": [{"text": HOSTILE, "verdict": "holds", "figures": "2.4 against 2.5"}]}
    pathlib.Path("root/results").mkdir()
    pathlib.Path("root/results/redundancy.json").write_text(json.dumps(results))


def browse(page, width, dark):
    pathlib.Path("probe.html").write_text(page.replace("</body>", PROBE + "</body>"))
    frame = pathlib.Path("frame.html")
    frame.write_text(FRAME % width)
    dom = run("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
              f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--user-data-dir=profile",
              "--window-size=1400,900", "--virtual-time-budget=10000", "--dump-dom", frame.resolve().as_uri())
    found = re.search("FOUND(.*)END", dom, re.S)
    if not found:
        sys.exit(f"chromium: found no measurements in\n{dom[:2000]}")
    return json.loads(html.unescape(found.group(1)))


def check_source(page, summary):
    parsed = Page(page)
    names = [tag for tag, _ in parsed.tags]
    foreign = [a for a in parsed.addresses if not a.startswith(("#", "data:image/png;base64,"))]
    assert not foreign, f"addresses that are not the page's own: {foreign}"
    for tag in ("script", "link", "iframe", "img", "object", "embed"):
        assert tag not in names, f"found <{tag}>"
    assert not re.search(r"url\(|@import", page), "the style asks for files"
    assert HOSTILE not in page and "alert(&#39;x&#39;)" in page, "a name stands on the page as it is"
    plots = sum(a.get("class") == "plot" for tag, a in parsed.tags if tag == "svg")
    assert plots == summary["plots"] > 0 and summary["missing"] == 0, f"{plots} plots, {summary}"
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids)), f"ids that stand twice: {sorted(i for i in ids if ids.count(i) > 1)}"


def check_view(page, summary):
    light, dark = browse(page, 390, dark=False), browse(page, 390, dark=True)
    desktop = browse(page, 1280, dark=False)
    assert light["inner"] == 390 and light["scroll"] <= 390, f"{light['scroll']} px wide at {light['inner']}"
    assert desktop["scroll"] <= 1280, f"{desktop['scroll']} px wide at 1280"
    columns = {round(plot["left"]) for plot in desktop["plots"]}
    assert len(columns) == 2 and len({round(p["left"]) for p in light["plots"]}) == 1, f"columns at {columns}"
    for view in (light, dark, desktop):
        assert not view["requests"], f"asked for {view['requests']}"
        assert len(view["plots"]) == summary["plots"]
        for i, plot in enumerate(view["plots"]):
            assert plot["inside"] and plot["marks"] > 3 and plot["width"] > 200, f"plot {i}: {plot}"
    assert light["ground"] != dark["ground"], "the dark page has the light one's ground"
    colours = [[p["colour"] for p in view["plots"] if p["colour"]] for view in (light, dark)]
    assert colours[0] and all(a != b for a, b in zip(*colours)), f"colours do not change: {colours}"


def main():
    with tempfile.TemporaryDirectory(prefix="dsmoe-report-") as folder:
        os.chdir(folder)
        train()
        write_results()
        for paths in (["root"], ["root/runs/moe-s1", "root/runs/moe-s2"]):
            summary = json.loads(run(PROGRAM, "report", *paths, "--out", "page.html", "--json"))
            page = pathlib.Path("page.html").read_text()
            if paths == ["root"]:
                check_source(page, summary)
            if not shutil.which("chromium"):
                print("found no chromium: the page was not looked at")
                return 1 if os.environ.get("CI") else 77
            check_view(page, summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dsmoe chat on a terminal: editing a line, calling an earlier one up, Ctrl-C at the prompt and in an
answer, Ctrl-D. Runs $DSMOE_PROGRAM."""
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 60


class Terminal:
    """A program on a pseudo terminal."""

    def __init__(self, command, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execv(command[0], command)
        self.seen = ""

    def read(self):
        ready, _, _ = select.select([self.fd], [], [], 0.2)
        if not ready:
            return True
        try:
            block = os.read(self.fd, 65536)
        except OSError:      # the other side is closed
            return False
        self.seen += block.decode(errors="replace")
        return bool(block)

    def expect(self, what, since=0):
        """Wait until `what` stands in the output behind position `since`; return where it ends."""
        deadline = time.time() + TIMEOUT_S
        while what not in self.seen[since:]:
            if time.time() > deadline or not self.read():
                sys.exit("expected %r in:\n%s" % (what, self.seen[since:]))
        return self.seen.index(what, since) + len(what)

    def expect_more(self, end):
        """Wait until this much was put out."""
        deadline = time.time() + TIMEOUT_S
        while len(self.seen) < end:
            if time.time() > deadline or not self.read():
                sys.exit("expected more than:\n%s" % self.seen)

    def type(self, text):
        time.sleep(0.5)      # the prompt stands before the editor listens
        os.write(self.fd, text.encode())

    def leave(self):
        """Ctrl-D until the program goes: one that comes before the editor listens is lost."""
        deadline, typed = time.time() + TIMEOUT_S, 0
        while self.read():
            if time.time() > deadline:
                sys.exit("Ctrl-D does not end it:\n%s" % self.seen)
            if time.time() > typed + 1:
                self.type("\x04")
                typed = time.time()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def make_model(program, folder):
    config = json.loads((SOURCE / "tests/golden/softmax/config.json").read_text())
    config.update(vocab_size=300, max_position_embeddings=32768)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "text.txt").write_text("the cat and the dog and the hen")

    def run(*arguments):
        subprocess.run([program, *arguments, "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    run("tokenizer", "train", "--vocab-size", "280", "--out", "tok", "text.txt")
    run("init", "config.json", "--out", "m", "--tokenizer", "tok", "--seed", "3")
    (folder / "m/chat_template.jinja").write_text("{% for m in messages %}[{{ m.role }} {{ m.content }}]{% endfor %}")


def talk(program, folder):
    environment = {"HOME": str(folder), "TERM": "vt100", "LC_ALL": "C.UTF-8",
                   "ASAN_OPTIONS": "detect_leaks=0"}     # libedit keeps the names of added functions
    command = [program, "chat", str(folder / "m"), "--max-tokens", "0", "--ignore-eos", "--context", "32768"]
    t = Terminal(command, environment)
    at = t.expect("Ctrl-D ends.")
    at = t.expect("> ", at)
    t.type("never\x03")                       # given up
    at = t.expect("^C", at)
    at = t.expect("> ", at)
    t.type("the catt\x7f\n")                  # edited; an endless answer, stopped
    t.expect_more(at + 100)
    t.type("\x03")
    at = t.expect("(stopped)", at)
    at = t.expect("tokens, ", at)
    at = t.expect("> ", at)
    t.type("/stats\n")
    at = t.expect("messages   2", at)
    at = t.expect("> ", at)
    t.type("\x1b[A\x1b[A\n")                  # two lines up: the same message again
    t.expect_more(at + 100)
    t.type("\x03")
    at = t.expect("(stopped)", at)
    at = t.expect("> ", at)
    t.type("/save %s/c.json\n" % folder)
    at = t.expect("> ", at + 20)
    status = t.leave()
    if status != 0:
        sys.exit("exit status %d\n%s" % (status, t.seen))
    users = [m["content"] for m in json.loads((folder / "c.json").read_text())["messages"] if m["role"] == "user"]
    if users != ["the cat", "the cat"]:
        sys.exit("messages %r\n%s" % (users, t.seen))
    if "the\\040cat" not in (folder / ".dsmoe_history").read_text():   # as libedit writes a space
        sys.exit("the history was not kept")


def main():
    program = str(pathlib.Path(os.environ["DSMOE_PROGRAM"]).resolve())
    with tempfile.TemporaryDirectory(prefix="dsmoe-chat-") as name:
        folder = pathlib.Path(name)
        make_model(program, folder)
        talk(program, folder)


if __name__ == "__main__":
    main()

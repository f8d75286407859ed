"""Runs the command-line scripts of tests/cli: commands, and what they must say.

A script is lines of words, quoted as in a shell. `$NAME` is an environment variable; `$WORK` is the script's own empty
directory, which is also HOME and where commands run. `$SERVER` is an address of the loopback interface with a port that
is free, which `$PORT` is.

    # a comment
    NAME ARGUMENT…              run a command of ptkc.tools, which must succeed
    ! NAME ARGUMENT…            the same, and it must fail
    input LINE…                 what the next command reads from standard input, a word a line
    exit CODE                   the last command's exit code
    stdout PATTERN              the last command's output matches the regular expression (^ and $ match at lines)
    ! stdout PATTERN            it does not
    stderr PATTERN              the same for standard error
    env NAME=VALUE              set an environment variable, an empty value removes it
    mkdir MODE PATH             make a directory
    copy SOURCE TARGET          copy a file
    exists PATH, ! exists PATH  whether there is a file
    start NAME ARGUMENT…        run a command of ptkc.tools beside the script, from when `$SERVER` takes connections; at
                                the script's end, or a second start, it is ended
    stop                        have it end by SIGTERM, with exit code 0
    log PATTERN, ! log PATTERN  what it has said so far, and did not say
    [MODULE]                    skip the rest if the shared object is not built
    -- NAME --                  the lines that follow, up to the next such line, are a file that is there from the start
"""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import string
import subprocess
import sys

from processes import beside, free_port, listening

import ptkc

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(ptkc.__file__)))
_FILE = re.compile(r"^-- (\S+) --$", re.MULTILINE)


class Script:
    """One script and how far it is."""

    def __init__(self, text, directory):
        """Make the script's files in `directory`."""
        self.directory = str(directory)
        commands, *files = _FILE.split(text)
        self.lines = commands.splitlines()
        for name, content in zip(files[::2], files[1::2], strict=True):
            path = os.path.join(self.directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content.lstrip("\n"))
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        self.environment = {**kept, "HOME": self.directory, "WORK": self.directory, "PYTHONPATH": _ROOT}
        self.port = free_port()
        self.environment["PORT"] = str(self.port)
        self.environment["SERVER"] = f"127.0.0.1:{self.port}"
        self.done = None
        self.input = ""
        self.running = contextlib.ExitStack()
        self.process = None

    def run(self):
        """Run all lines; AssertionError names the line that does not hold."""
        with self.running:
            self._run()

    def _run(self):
        for number, line in enumerate(self.lines, 1):
            if line.strip() == "[MODULE]":
                if not os.path.exists(os.path.join(_ROOT, "ptkc", "libptkc.so")):
                    return
                continue
            words = shlex.split(string.Template(line).safe_substitute(self.environment), comments=True)
            if words:
                wrong = self._line(words[0] != "!", words[words[0] == "!" :])
                assert not wrong, f"line {number}: {line}\n{wrong}\n{self._said()}"

    def _line(self, positive, words):
        """Do one line; return what is wrong, None if nothing is."""
        name, *arguments = words
        check = getattr(self, "_" + name, None)
        if check is None:
            return self._command(positive, words)
        return None if check(*arguments) is positive else "this does not hold"

    def _command(self, positive, words):
        """Run a command; return what is wrong, None if nothing is."""
        name, *arguments = words
        self.done = subprocess.run(
            [sys.executable, "-m", f"ptkc.tools.{name}", *arguments],
            cwd=self.directory, env=self.environment, input=self.input, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        self.input = ""
        if "Traceback" in self.done.stderr:
            return "there is a traceback"
        return None if (self.done.returncode == 0) is positive else f"exit code {self.done.returncode}"

    def _said(self):
        """Return what the last command said, and the one beside."""
        said = f"stdout:\n{self.done.stdout}stderr:\n{self.done.stderr}" if self.done else ""
        return said + (f"beside:\n{self._beside()}" if self._journal.exists() else "")

    @property
    def _journal(self):
        return pathlib.Path(self.directory, ".beside.log")

    def _beside(self):
        """Return what the command beside has said."""
        return self._journal.read_text(encoding="utf-8", errors="replace")

    def _start(self, name, *arguments):
        self.running.close()
        command = (sys.executable, "-m", f"ptkc.tools.{name}", *arguments)
        ready = lambda: listening(self.port)  # noqa: E731 - a condition
        environment = {**self.environment, "PWD": self.directory}
        with contextlib.chdir(self.directory):
            running = beside(*command, env=environment, log=self._journal, ready=ready)
            self.process = self.running.enter_context(running)
        return True

    def _stop(self):
        self.process.send_signal(signal.SIGTERM)
        ended = self.process.wait(timeout=30)
        self.running.close()
        return ended == 0 and "Traceback" not in self._beside()

    def _log(self, pattern):
        return re.search(pattern, self._beside(), re.MULTILINE) is not None

    def _stdout(self, pattern):
        return re.search(pattern, self.done.stdout, re.MULTILINE) is not None

    def _stderr(self, pattern):
        return re.search(pattern, self.done.stderr, re.MULTILINE) is not None

    def _input(self, *lines):
        self.input = "".join(line + "\n" for line in lines)
        return True

    def _exit(self, code):
        return self.done.returncode == int(code)

    def _env(self, setting):
        name, _, value = setting.partition("=")
        self.environment.pop(name, None)
        if value:
            self.environment[name] = value
        return True

    def _mkdir(self, mode, path):
        os.mkdir(os.path.join(self.directory, path))
        os.chmod(os.path.join(self.directory, path), int(mode, 8))
        return True

    def _copy(self, source, target):
        shutil.copyfile(os.path.join(self.directory, source), os.path.join(self.directory, target))
        return True

    def _exists(self, path):
        return os.path.lexists(os.path.join(self.directory, path))

"""Commands tried one after the other in a process of their own, so that a hang, a crash or a traceback is seen."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds
# What is wrong with how a command ended.
TRACEBACK, HANG, DEATH, SILENCE = "traceback", "hang", "died", "exit without a word"


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, what it printed, what is wrong with that ("" for nothing)."""

    status: int
    out: str
    err: str
    fault: str = ""

    @property
    def refused(self) -> bool:
        return self.status == 2


class Trials:
    """A process that tries commands; a new one takes its place where it hangs or dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, *words: str, patience: float = PATIENCE) -> Outcome:
        """Try a command, such as "curate", "scan", "d.npz", in a folder; so many seconds later it hangs."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([str(folder), *words]) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answer = process.stdout.readline() if selector.select(patience) else None
        if answer:
            status, out, err, failure = json.loads(answer)
            silent = status not in (0, 1) and not err.strip()
            return Outcome(status, out, err + failure, TRACEBACK if failure else SILENCE if silent else "")
        self.close()
        return Outcome(-1, "", "", HANG if answer is None else DEATH)

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _serve() -> None:
    import traceback

    from typer.testing import CliRunner

    from cli import augment_app, curate_app, train_app

    programs = {"curate": curate_app, "augment": augment_app, "train": train_app}
    answers = os.fdopen(os.dup(1), "w")  # what libraries print goes elsewhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        folder, program, *words = json.loads(line)
        os.chdir(folder)
        result = CliRunner().invoke(programs[program], words)
        failure = ""
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            failure = "".join(traceback.format_exception(result.exception))
        answers.write(json.dumps([result.exit_code, result.stdout, result.stderr, failure]) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()

"""The tutorials, followed to the letter: what the page says to start, to save, to run and to expect."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from natsserver import required

DOCS: Final = Path(__file__).parents[2] / "docs"
PORTS: Final = ("8000", "8080", "4222", "9464")
"""The ports on the pages, each replaced by a free one: another test, or another worker, may have them."""
BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<how>install|interrupt|serve|not run)(?:: (?P<what>[^\n]+?))? -->\n)?"
    r"```(?P<kind>sh|console|python|json)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SAVE: Final = re.compile(r"Save this as `([\w.]+)`")
RUN: Final = re.compile(r"run it with `(python [\w.]+)`")
FOLDER: Final = re.compile(r"(?<= )/\S*/(?=\w+\.\w+)")
FIGURE: Final = re.compile(r"\d+(?:[,.:]\d+)*")


def shape(line: str) -> str:
    """What a line of output is like, without figures, times and the folder of the reader."""
    return FIGURE.sub("0", FOLDER.sub("/", line)).rstrip()


def is_like(said: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether output is what the page shows; a line `...` stands for any number of lines."""
    if not expected:
        return not said
    if expected[0] == "...":
        return any(is_like(said[start:], expected[1:]) for start in range(len(said) + 1))
    return bool(said) and shape(said[0]) == shape(expected[0]) and is_like(said[1:], expected[1:])


@dataclass
class Reader(AbstractContextManager["Reader"]):
    """Someone who does what a page says, in one folder, with a terminal for each thing that goes on running."""

    folder: Path

    def __post_init__(self) -> None:
        programs = Path(sys.executable).parent
        clean = {name: value for name, value in os.environ.items() if not name.startswith("THREDFI_")}
        self.env = clean | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        self.env["COLUMNS"] = "200"  # a terminal that breaks no line
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.ran: list[str] = []
        self._stack = ExitStack()
        self.ports = {port: _free_port() for port in PORTS}

    def __exit__(self, *_: object) -> None:
        for program in list(self.running):
            self._end(program)
        self._stack.close()

    def follow(self, page: str, *, section: str = "") -> None:
        """Do everything that the page says, or one of its sections."""
        text = (DOCS / page).read_text("utf-8")
        if section:
            text = text.partition(f"\n### {section}\n")[2].partition("\n#")[0]
        for port, free in self.ports.items():
            text = re.sub(rf"(?<=[ :]){port}\b", free, text)
        end = 0
        for block in BLOCK.finditer(text):
            before, end = text[end : block.start()], block.end()
            match block["kind"], block["how"]:
                case ("json", _) | (_, "install" | "not run"):
                    continue
                case "sh", "serve":
                    self._serve(block["text"].strip(), block["what"])
                case "python", None:
                    self._save(block["text"], before)
                case "console", how:
                    for command, expected in _commands(block["text"]):
                        self._run(command, expected, interrupts=how == "interrupt")
                case kind:
                    pytest.fail(f"{page}: no one knows what to do with this {kind}")

    def _serve(self, command: str, says: str) -> None:
        """Start it in a terminal of its own, and read until it says this; what ran there before is ended."""
        program = " ".join(command.split()[:2])
        self._end(program)
        process = self._start(command)
        self.running[program] = process
        lines: list[str] = []
        for line in process.stdout or ():
            lines.append(line)
            if says in line:
                break
        else:
            pytest.fail(f"{command}: {''.join(lines)}")
        if "mock-server" in command:
            # The pages say: four lines begin with `export`, and the first three are pasted.
            lines.append(next(iter(process.stdout or ())))
            exports = [line.split(maxsplit=1)[1] for line in lines if line.strip().startswith("export")]
            assert len(exports) == 4
            self.env |= dict(each.strip().split("=", 1) for each in exports[:3])

    def _save(self, source: str, before: str) -> None:
        """Save the code under the name that the page gives it, and run it if the page says so."""
        if (named := SAVE.search(before)) is None:
            (self.folder / "pasted.py").write_text(source, "utf-8")
            self._run("python pasted.py", ["..."])
            return
        (self.folder / named[1]).write_text(source, "utf-8")
        if (command := RUN.search(before)) is not None:
            self._run(command[1], ["..."])

    def _run(self, command: str, expected: list[str], *, interrupts: bool = False) -> None:
        process = self._start(command)
        if interrupts:
            # "After a few seconds": as soon as it has shown that it goes on.
            shown = next(line for line in process.stdout or () if " of 1,000" in line)
            process.send_signal(signal.SIGINT)
            said = [shown, *process.communicate(timeout=50)[0].splitlines()]
        else:
            said = process.communicate(timeout=50)[0].splitlines()
        assert is_like(said, expected), f"$ {command}\n" + "\n".join(said)
        assert "Traceback" not in "\n".join(said)
        self.ran.append(command)

    def _start(self, command: str) -> subprocess.Popen[str]:
        arguments = shlex.split(command)
        process = subprocess.Popen(
            arguments, cwd=self.folder, env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self._stack.enter_context(process)

    def _end(self, program: str) -> None:
        if (process := self.running.pop(program, None)) is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with what it shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


# A machine that is busy needs its time for a thousand customers, and for each process.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader with an empty folder, none of our variables, and the package installed."""
    with Reader(tmp_path) as someone:
        yield someone


def test_tutorial_can_be_completed(reader: Reader) -> None:
    """From nothing to a list of what is archived, with nothing but what the page says."""
    reader.follow("tutorial.md")
    assert reader.ran[0] == "python first.py"
    assert reader.ran[-1] == "python list.py"


def test_bulk_tutorial_can_be_completed(reader: Reader) -> None:
    """From an empty folder to a report, over an interruption."""
    reader.follow("bulk-tutorial.md")
    page = (reader.folder / "report.html").read_text("utf-8")
    assert "1,000" in page
    assert reader.ran[-1].startswith("thredfi bulk report")


def test_worker_tutorial_can_be_completed(reader: Reader) -> None:
    """From an empty folder to the outcomes of messages, on a real NATS server."""
    required()
    reader.follow("worker-tutorial.md")
    assert "python send.py 1" in reader.ran


def test_web_service_of_the_readme_serves(reader: Reader) -> None:
    """The README's own service archives a customer, with nothing but what the README says."""
    reader.follow("../README.md", section="In a web service")
    assert reader.ran[0].startswith("curl")


@pytest.mark.parametrize(
    ("said", "expected", "alike"),
    [
        (["Done in 7.1 s", "x"], ["Done in 0.3 s", "x"], True),
        (["a", "b", "c"], ["a", "...", "c"], True),
        (["a", "b"], ["a"], False),
        (["a"], ["a", "b"], False),
        (["from /tmp/x/a.csv"], ["from /home/me/a.csv"], True),
        (["5 archived"], ["5 failed"], False),
    ],
)
def test_output_is_compared_by_its_shape(said: list[str], expected: list[str], alike: bool) -> None:
    """Figures and folders may differ, and words may not."""
    assert is_like(said, expected) is alike

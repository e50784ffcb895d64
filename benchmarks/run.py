"""The benchmarks: this client compared with a bare aiohttp post and with generated SDKs, on the same work.

    nox -s bench                                     everything, about half an hour
    nox -s bench -- --quick                          a first look, in one or two minutes
    nox -s bench -- --only thredfi,aiohttp --scenarios calls --concurrency 64

Tables and plot go to docs/benchmarks only if everything was measured; `--output` writes them elsewhere.
Exit status 1: something failed. A missed promise is reported, but is no failure: a busy machine can cause it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from peers import BASELINE, PEERS
from report import as_markdown, write
from rounds import PeerFailedError
from scenarios import SCENARIOS
from server import Serving, serving
from settings import Section, Settings

_PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is requested, print it, and write it."""
    options = _options(arguments)
    output: Path | None = options.output
    if output is None and not _is_partial(options):
        output = _PAGE
    sections: list[Section] = []
    try:
        with tempfile.TemporaryDirectory(prefix="thredfi-bench-") as folder, serving(Path(folder)) as server:
            settings = _settings(options, server, Path(folder))
            for name in options.scenarios:
                sections.append(SCENARIOS[name](settings, _say))
                _say(as_markdown(sections[-1:], settings) if name != options.scenarios[-1] else f"{name} is done")
    except KeyboardInterrupt:
        _say("interrupted: nothing was written")
        return 130
    except (PeerFailedError, OSError) as error:
        _say(f"failed: {error}")
        return 1
    print(as_markdown([*sections, _server_side(server)], settings))
    if output is not None:
        write(output, sections, settings)
        _say(f"written to {output}")
    else:
        _say("not everything was measured: nothing was written; --output FOLDER writes it there")
    return 0


def _server_side(server: Serving) -> Section:
    took = server.seconds / max(server.answered, 1)
    return Section(
        title="The server",
        text=[f"The server answered {server.answered:,} requests and took {took * 1e6:.0f} microseconds of CPU each."],
        tables=[],
    )


def _settings(options: argparse.Namespace, server: Serving, folder: Path) -> Settings:
    return Settings(
        rounds=options.rounds or (3 if options.quick else 9),
        seconds=options.seconds or (0.2 if options.quick else 0.4),
        peers=options.only,
        loops=options.loops,
        concurrency=options.concurrency,
        calls=[20_000] if options.quick else [20_000, 100_000],
        items=(2_000, 20_000) if options.quick else (50_000, 1_000_000),
        url=server.url,
        tls_url=server.tls_url,
        authority=server.authority,
        generated=folder,
    )


def _is_partial(options: argparse.Namespace) -> bool:
    """Return whether this is less than the page needs."""
    asked = (options.only, options.scenarios, options.loops, options.concurrency)
    return options.quick or asked != (list(PEERS), list(SCENARIOS), list(_LOOPS), list(_CONCURRENCY))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _list_of(*allowed: str) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(allowed)}")
        return names

    return parse


def _counts(text: str) -> list[int]:
    counts = [_positive(int)(part) for part in text.split(",")]
    return [int(count) for count in counts]


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number < _MANY:
            raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
        return number

    return parse


_LOOPS: Final = ("asyncio", "uvloop")
_CONCURRENCY: Final = (1, 64, 256)
_MANY: Final = 10_000


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    usage = "nox -s bench -- [options]"
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("--rounds", type=_positive(int), help="how often everything is measured (9; 3 with --quick)")
    add("--seconds", type=_positive(float), help="for each client under each load (0.4; 0.2 with --quick)")
    add("--quick", action="store_true", help="less of everything, for a first look")
    add("--only", type=_list_of(*PEERS), default=list(PEERS), help=f"clients, of {','.join(PEERS)}; {BASELINE} always")
    names = ",".join(SCENARIOS)
    add("--scenarios", type=_list_of(*SCENARIOS), default=list(SCENARIOS), help=f"what to measure, of {names}")
    add("--loops", type=_list_of(*_LOOPS), default=list(_LOOPS), help=f"event loops, of {','.join(_LOOPS)}")
    add("--concurrency", type=_counts, default=list(_CONCURRENCY), help="calls in flight at once (1,64,256)")
    add("--output", type=Path, help="a folder for results.md, results.json and results.svg")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

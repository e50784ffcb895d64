"""The files of `deploy/` are valid, name what exists, and give a worker the time that it needs to stop."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import yaml
from helpers import client_of

from thredfi_async.worker import Worker, WorkerOptions

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "thredfi-worker@.service"
IMAGE = DEPLOY / "container" / "Containerfile"
COMPOSE = DEPLOY / "container" / "compose.yaml"
MANIFEST = DEPLOY / "kubernetes" / "worker.yaml"
RULES = DEPLOY / "prometheus" / "rules.yaml"
BOARD = DEPLOY / "grafana" / "worker.json"

METRIC = re.compile(r"thredfi_worker_[a-z_]+")


def program(name: str) -> str:
    """Return a program's path; if it is missing, fail on CI, and skip with the reason elsewhere."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def ran(*command: str, folder: Path) -> str:
    """Run a checker, and return what it said; it must be content."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def options() -> set[str]:
    """Return the options of `thredfi worker`."""
    done = subprocess.run(
        [sys.executable, "-m", "thredfi_async", "worker", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "200", "TERM": "dumb"},
    )
    return set(re.findall(r"--[a-z][a-z-]+", done.stdout))


def test_the_unit(tmp_path: Path) -> None:
    """Systemd finds nothing to say about the unit, with the program where it is here."""
    text = UNIT.read_text("utf-8").replace("/opt/thredfi/bin/thredfi", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    copy = tmp_path / "thredfi-worker@9464.service"
    copy.write_text(text)
    said = ran(program("systemd-analyze"), "verify", "--man=no", str(copy), folder=tmp_path)
    assert not re.search(r"Unknown|Failed|ignoring", said), said


def test_secrets_are_credentials() -> None:
    """The unit has its secrets by `LoadCredential=`, and none in the environment or on the command line."""
    lines = UNIT.read_text("utf-8").splitlines()
    loaded = {line.partition("=")[2].partition(":")[0] for line in lines if line.startswith("LoadCredential=")}
    (command,) = (line for line in lines if line.startswith("ExecStart="))
    assert set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/([a-z.]+)", command)) == loaded == {"worker.env", "nats.creds"}
    assert not any(line.startswith(("Environment=", "EnvironmentFile=")) for line in lines)


def commands() -> dict[str, str]:
    """Return the arguments that each file gives to the worker."""
    compose, (deployment, _) = documents(COMPOSE)[0], documents(MANIFEST)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {
        "unit": next(line for line in UNIT.read_text("utf-8").splitlines() if line.startswith("ExecStart=")),
        "image": next(line for line in IMAGE.read_text("utf-8").splitlines() if line.startswith("ENTRYPOINT")),
        "compose": " ".join(compose["services"]["worker"]["command"]),
        "kubernetes": " ".join(container["args"]),
    }


def test_every_option_exists() -> None:
    """Each file calls `thredfi worker` with options that it has."""
    known = options()
    for name, command in commands().items():
        used = set(re.findall(r"--[a-z][a-z-]+", command))
        assert used, name
        assert used <= known, name


def test_the_time_to_stop() -> None:
    """Each file waits longer than the grace period that it names, with the time for the last request of messages."""
    compose, (deployment, _) = documents(COMPOSE)[0], documents(MANIFEST)
    waits = {
        "unit": int(re.findall(r"TimeoutStopSec=(\d+)", UNIT.read_text("utf-8"))[0]),
        "compose": int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")),
        "kubernetes": deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
    }
    found = commands()
    for name, wait in waits.items():
        (grace,) = re.findall(r"--grace-period[ =](\d+)s", found[name])
        assert float(grace) == WorkerOptions().grace_period
        assert wait >= float(grace) + WorkerOptions().poll + 10, name


def test_the_image() -> None:
    """The image runs without root, stops by SIGTERM, and has only instructions that exist."""
    lines = [line for line in IMAGE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line.split()[0] for line in lines] == ["FROM", "ARG", "RUN", "USER", "STOPSIGNAL", "EXPOSE", "ENTRYPOINT"]
    # A wheel that is given by name is in the folder of the build, which no step sees by itself.
    assert lines[2] == 'RUN --mount=type=bind,target=/build cd /build && pip install --no-cache-dir "${WHEEL}"'
    assert "USER 65534:65534" in lines
    assert json.loads(lines[-1].removeprefix("ENTRYPOINT "))[:2] == ["thredfi", "worker"]


def test_the_compose_file() -> None:
    """The compose file fits the schema of compose files."""
    ran(
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        COMPOSE.name,
        folder=COMPOSE.parent,
    )


def test_the_variables_of_the_brokers_configuration() -> None:
    """The compose file sets each variable of NATS's configuration, or names it for `nats.env`."""
    used = set(re.findall(r"\$([A-Z][A-Z_]+)", (DEPLOY / "nats" / "permissions.conf").read_text("utf-8"))) - {"JS"}
    service = documents(COMPOSE)[0]["services"]["nats"]
    named = set(re.findall(r"NATS_[A-Z]+_PASSWORD", COMPOSE.read_text("utf-8").partition("services:")[0]))
    assert used == set(service["environment"]) | named
    # The store is the volume, which outlives the container.
    assert f"nats:{service['environment']['NATS_STORE']}" in service["volumes"]


def test_the_manifest() -> None:
    """Each resource fits Kubernetes's own schema, without a field that it does not know."""
    for resource in documents(MANIFEST):
        kubernetes_validate.validate(resource, "1.33", strict=True)


def test_the_probes() -> None:
    """Liveness and readiness are asked where a worker answers, on the port of its health."""
    container = documents(MANIFEST)[0]["spec"]["template"]["spec"]["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert ports == {"health": 9464}


def test_the_rules() -> None:
    """Promtool takes the rules, and they fire and are silent when they should."""
    promtool = program("promtool")
    ran(promtool, "check", "rules", RULES.name, folder=RULES.parent)
    ran(promtool, "test", "rules", "rules_test.yaml", folder=RULES.parent)


async def test_rules_and_board_name_metrics_that_exist() -> None:
    """Every metric of the rules and of the board is one that a worker has."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client)
        worker.metrics.part_failed("connection")
        there = set(METRIC.findall(worker.metrics.exposition().decode()))
    panels = json.loads(BOARD.read_text("utf-8"))["panels"]
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    alerts = " ".join(rule["expr"] for rule in documents(RULES)[0]["groups"][0]["rules"])
    assert len(set(METRIC.findall(shown))) >= 10
    assert set(METRIC.findall(shown)) <= there
    assert set(METRIC.findall(alerts)) <= there


def test_the_board(tmp_path: Path) -> None:
    """Grafana's board has panels that do not overlap, and expressions that Prometheus takes."""
    board = json.loads(BOARD.read_text("utf-8"))
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        (x, y)
        for each in places
        for x in range(each["x"], each["x"] + each["w"])
        for y in range(each["y"], each["y"] + each["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    filled = [each.replace("$__rate_interval", "5m").replace("$job", "x") for each in expressions]
    rules = [{"record": f"board:{number}", "expr": each} for number, each in enumerate(filled)]
    (tmp_path / "board.yaml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    ran(program("promtool"), "check", "rules", "board.yaml", folder=tmp_path)

"""The set-up to copy: its commands are understood, its files are there, its lists give the roles they say."""

import tomllib
from pathlib import Path

import pytest
import yaml

from dashboard import auth
from experiments.cli.main import parse_arguments

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: one["command"] for name, one in COMPOSE["services"].items() if "experiments" in one.get("command", [])}


def test_scheduler_and_worker_are_services():
    assert set(OURS) == {"scheduler", "worker"}


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_understands_the_commands(name):
    assert OURS[name][:3] == ["python", "-m", "experiments"]
    assert callable(parse_arguments(OURS[name][3:]).execute)


def test_what_the_image_copies_is_there_and_not_ignored():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [
        line.split()[1:-1] for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("COPY")
    ]
    for name in (name for line in copied for name in line):
        assert (ROOT / name).exists(), name
        assert any((ROOT / name) in ROOT.glob(kept[1:]) for kept in ignored if kept.startswith("!")), name


def test_nothing_of_the_team_is_open_without_tls():
    everything = (DEPLOY / "compose.yaml").read_text()
    assert "tcp://" not in everything
    assert "ports" not in COMPOSE["services"]["app"]  # reached through the proxy alone


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("ann@example.org", "admin"),
        ("bob@example.org", "runner"),
        ("guest@elsewhere.net", "viewer"),
        ("eve@elsewhere.net", "unauthorized"),
    ],
)
def test_the_example_of_lists_gives_the_roles_in_its_comments(email, role):
    example = tomllib.loads((DEPLOY / "secrets.example.toml").read_text())
    assert "server_metadata_url" in example["auth"]
    assert auth.user_of({"email": email}, example["team"]).role == role

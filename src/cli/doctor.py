"""`baton doctor`: what is wrong, and what to do about it."""

import os
import sys
from collections.abc import Iterator

import click

from cli.findings import Finding, State
from cli.tables import as_json, json_option

_COLOURS: dict[State, str] = {"ok": "green", "hint": "yellow", "problem": "red"}


@click.command()
@json_option
def doctor(json: bool) -> None:
    """Say what is wrong, and what to do about it.

    One line for each thing that a working Baton needs; exit code 1 when one is missing.
    """
    findings = []
    for finding in _examine():
        findings.append(finding)
        if not json:
            _show(finding)
    if json:
        click.echo(as_json(findings))
    if any(finding.state == "problem" for finding in findings):
        raise SystemExit(1)


def _examine() -> Iterator[Finding]:
    """Yield each finding as soon as it is known; what depends on something that is missing is left out."""
    from cli.checks import check_home, check_postgres, check_python, check_settings, check_valkey
    from cli.service_checks import check_api, check_queue, check_workers

    yield check_python()
    settings, finding = check_settings()
    yield finding
    yield from check_home()
    if settings is None:
        return
    postgres = list(check_postgres(settings))
    yield from postgres
    valkey = list(check_valkey(settings))
    yield from valkey
    yield from check_api()
    if not _broken(valkey):
        yield check_workers()
    if not _broken(postgres):
        yield from check_queue(settings)


def _broken(findings: list[Finding]) -> bool:
    return any(finding.state == "problem" for finding in findings)


def _show(finding: Finding) -> None:
    state: str = f"{finding.state:<8}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        state = click.style(state, fg=_COLOURS[finding.state])
    advice = f". {finding.advice}" if finding.advice else ""
    click.echo(f"{state}{finding.subject:<12}{finding.detail}{advice}")

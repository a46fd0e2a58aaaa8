"""`mlgym-lite doctor`: what this host can do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlgym_lite.cli import options as shared

if TYPE_CHECKING:
    from mlgym_lite.isolation.host_check import Finding


@click.command("doctor")
@shared.json_output
def command(as_json: bool) -> None:
    """Try everything an episode needs on this host and say what is missing and how to get it.

    ok: works. weak: works with less, or is not there and can be done without. FAIL: no episode runs until it works.
    """
    import os
    from pathlib import Path

    from mlgym_lite.cli.printing import harmless, print_json
    from mlgym_lite.config.places import places
    from mlgym_lite.errors import IsolationError
    from mlgym_lite.isolation.host_check import check_host

    findings = check_host(places().cache, os.environ, Path.cwd() / "runs")
    if as_json:
        print_json([{**asdict(finding), "state": _state(finding).strip().lower()} for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_state(finding)} {finding.name}: {harmless(finding.detail)}")
            for text in finding.lacks:
                click.echo(f"       - {harmless(text)}")
            if finding.fix:
                click.echo(f"       to get it: {harmless(finding.fix)}")
    failed = [finding.name for finding in findings if finding.needed and not finding.works]
    if failed:
        raise IsolationError(f"no episode can run on this host until this works: {', '.join(failed)}")


def _state(finding: Finding) -> str:
    if finding.works and not finding.lacks:
        return "ok  "
    return "FAIL" if finding.needed and not finding.works else "weak"

"""``voice-app conformance``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli.options import AsJson

if TYPE_CHECKING:
    from voice_app.testing.conformance import BackendAddress, ConformanceReport, Suite


def conformance(
    socket: Annotated[
        str | None, typer.Argument(metavar="[WSS_URL]", help="The socket of a backend: wss://… or ws://….")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--url", help="Its voice webhook: each call's socket is in the TwiML.")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            help="What the backend calls itself, where it is reached by another address: https://…; "
            "signatures are over it.  [of this machine's: as in the settings]"
        ),
    ] = None,
    auth_token: Annotated[
        str | None,
        typer.Option(help="Sign with it, and see that others are refused.  [TWILIO_AUTH_TOKEN]"),
    ] = None,
    account_sid: Annotated[
        str | None, typer.Option(help="The account of the calls.  [TWILIO_ACCOUNT_SID]")
    ] = None,
    say: Annotated[
        str | None, typer.Option(help="What is asked; its answer should take a few sentences.")
    ] = None,
    end_say: Annotated[
        str | None, typer.Option(help="What makes the backend end the session: a handoff, a goodbye.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this case, or interrupt-*; may be repeated."),
    ] = None,
    list_cases: Annotated[bool, typer.Option("--list", help="List the cases, and play none.")] = False,
    reply_seconds: Annotated[float, typer.Option(min=0.1, help="How long an answer may take.")] = 10.0,
    quiet_seconds: Annotated[
        float, typer.Option(min=0.01, help="How long is looked whether something comes that must not.")
    ] = 0.5,
    idle_seconds: Annotated[float, typer.Option(min=0, help="How long a silence is.")] = 2.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="How long a case may take, in seconds.")] = 60.0,
    parallel: Annotated[int, typer.Option(min=1, max=100, help="Cases at once, a call each.")] = 4,
    strict: Annotated[bool, typer.Option("--strict", help="A warning fails, too.")] = False,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write JUnit's XML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play Twilio against any ConversationRelay backend, and tell what it does wrong.

    Each case is one call. What is not certain about Twilio warns and never fails. Model backends cost tokens:
    about 150 answers in all.

    Exit code: 0 conforms, 1 a case fails, 2 usage, 3 the backend was not reached.

    Example: voice-app conformance --url http://127.0.0.1:8000/voice --only "interrupt-*"
    """
    from dataclasses import replace

    from voice_app.cli.output import console, meant, print_json
    from voice_app.testing.conformance import CASES, CasePatience, Suite, case_facts, chosen, list_table

    try:
        cases = chosen(only or ())
    except KeyError as unknown:
        hint = meant(unknown.args[0], CASES) or "see --list"
        raise typer.BadParameter(
            f"there is no case {unknown.args[0]!r}: {hint}", param_hint="--only"
        ) from None
    if list_cases:
        if as_json:
            print_json({"cases": [case_facts(case) for case in cases]})
        else:
            console().print(list_table(cases))
        return
    if (socket is None) is (webhook is None):
        raise typer.BadParameter("name the backend: its socket, wss://…, or its voice webhook with --url")
    address = _address(webhook or socket or "", webhook is not None, origin, auth_token)
    if account_sid:
        address = replace(address, account_sid=account_sid)
    suite = Suite(
        cases=cases,
        end_say=end_say or "",
        patience=CasePatience(reply=reply_seconds, quiet=quiet_seconds, idle=idle_seconds),
        case_seconds=timeout,
        parallel=parallel,
    )
    report = _play(replace(suite, say=say) if say else suite, address)
    _tell(report, junit_file, as_json=as_json)
    raise typer.Exit(report.fails(strict=strict))


def _address(url: str, is_webhook: bool, origin: str | None, auth_token: str | None) -> BackendAddress:
    """Where the backend is. One on this machine calls itself as the settings say, or as the sandbox does."""
    from urllib.parse import urlsplit

    from voice_app.cli.bench_run import LOOPBACK
    from voice_app.settings import SANDBOX_DOMAIN, load
    from voice_app.testing.conformance import BackendAddress

    settings = load()
    is_local = urlsplit(url).hostname in LOOPBACK
    domain = settings.public_domain or SANDBOX_DOMAIN
    account = settings if settings.account_sid is not None else settings.sandboxed()
    return BackendAddress(
        url=url,
        is_webhook=is_webhook,
        origin=origin or (f"https://{domain}" if is_local else ""),
        auth_token=auth_token or account.signing_tokens[0],
        checks_signatures=bool(auth_token or settings.account_sid),
        account_sid=account.account_sid or "",
        number=account.phone_number or "",
    )


def _play(suite: Suite, address: BackendAddress) -> ConformanceReport:
    """Play the cases, with a bar on standard error where somebody looks."""
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from voice_app.cli.output import fail, run
    from voice_app.testing.conformance import BackendError, CaseResult

    screen = Console(stderr=True)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        console=screen, disable=not screen.is_terminal, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("", total=len(suite.cases))

        def told(result: CaseResult) -> None:
            progress.update(task, advance=1, description=result.case.name)

        try:
            return run(replace(suite, told=told).run(address))
        except BackendError as error:
            raise fail(f"Nothing was tried: {error}.", 3) from None


def _tell(report: ConformanceReport, junit_file: Path | None, *, as_json: bool) -> None:
    from voice_app.cli.output import console, fail, print_json
    from voice_app.testing.conformance import junit, report_facts, summary, table

    if as_json:
        print_json(report_facts(report))
    else:
        console().print(table(report))
        typer.echo(summary(report))
    if junit_file is not None:
        try:
            junit_file.write_bytes(junit(report))
        except OSError as error:
            raise fail(f"--junit {junit_file} cannot be written: {error.strerror}", 2) from None

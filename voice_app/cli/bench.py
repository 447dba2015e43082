"""``voice-app bench``"""

from __future__ import annotations

from typing import Annotated

import typer


def bench(
    url: Annotated[
        str | None, typer.Argument(help="Voice webhook of a running server: http://127.0.0.1:8000/voice")
    ] = None,
    stub: Annotated[
        bool, typer.Option("--stub", help="Start a server with a stub agent, and measure all there is.")
    ] = False,
    chat: Annotated[
        bool, typer.Option("--chat", help="Start a server with the agent chat, and a stub model for it.")
    ] = False,
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 100,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="Turns of each call before, not counted.")] = 2,
    pause: Annotated[float, typer.Option(min=0, help="Seconds a caller thinks, on average.")] = 0.5,
    interrupts: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the turns that are cut off in mid-reply.")
    ] = 0.1,
    agent_delay: Annotated[
        float, typer.Option(min=0, help="Milliseconds to take off: the agent's own, to its first word.")
    ] = 0,
    idle: Annotated[bool, typer.Option("--idle", help="Only open the calls: memory of each.")] = False,
    webhooks: Annotated[int, typer.Option(min=0, help="Only ask the voice webhook, so often.")] = 0,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Words of a stub's reply.  [20; with --chat 30]")
    ] = None,
    token_ms: Annotated[
        float | None,
        typer.Option(min=0, help="Milliseconds between a stub's words; 0: one by one.  [all at once]"),
    ] = None,
    pid: Annotated[int | None, typer.Option(help="The server's process, if its port does not tell.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure a server under load: many calls at once, and what a turn, a call and a webhook cost it.

    Exit code: 0 measured, 1 measured but the server misbehaved (stale words, prompts without an answer,
    refused webhooks), 2 usage or settings, 3 could not be measured.

    Example: voice-app bench --stub --calls 200 --turns 10 --token-ms 30
    """
    from voice_app.cli.bench_run import (
        LoadOrder,
        allow_open_files,
        measure_running,
        measure_started,
        print_report,
    )
    from voice_app.cli.child_processes import ChildError
    from voice_app.cli.output import fail, print_json, run
    from voice_app.sandbox.load.open_calls import LoadPlan
    from voice_app.sandbox.load.target import LoadError, ProcessError
    from voice_app.settings import load

    if sum((url is not None, stub, chat)) != 1:
        raise typer.BadParameter("name one server: its URL, or --stub, or --chat to have one started")
    talk = LoadPlan(
        calls=calls,
        turns=turns,
        warm_up=warm_up,
        pause=pause,
        interrupts=interrupts,
        agent_delay_ms=agent_delay,
    )
    everything = stub and not idle and not webhooks
    order = LoadOrder(
        talk=None if idle or webhooks else talk,
        idle_calls=calls if idle or everything else 0,
        webhooks=webhooks or (calls * turns if everything else 0),
    )
    allow_open_files()
    try:
        if url is not None:
            report = run(measure_running(load(), url, order, pid))
        else:
            report = run(measure_started(order, chat=chat, tokens=tokens, token_ms=token_ms))
    except (LoadError, ProcessError, ChildError) as error:
        raise fail(f"Nothing was measured: {error}", 3) from None
    if as_json:
        print_json(report)
    else:
        print_report(report)
    raise typer.Exit(report.misbehaved)

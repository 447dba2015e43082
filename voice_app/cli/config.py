"""``voice-app config``: the configurations of Conversation Orchestrator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli import configuration_fields as given
from voice_app.cli.options import (
    AsJson,
    ConfigurationName,
    DryRun,
    Url,
    Yes,
    parse_configuration,
    parse_intelligence_id,
)

if TYPE_CHECKING:
    from voice_app.cli.account import TwilioAccount
    from voice_app.twilio import Configuration
    from voice_app.twilio.configuration_edit import Changes


def list_configurations(url: Url = None, as_json: AsJson = False) -> None:
    """List the configurations of the account.

    Example: voice-app config list --json
    """
    from voice_app.cli.account import ask
    from voice_app.cli.configuration_tables import table
    from voice_app.cli.output import console, print_json
    from voice_app.twilio import Configurations
    from voice_app.twilio.limits import MAX_CONFIGURATIONS

    async def question(account: TwilioAccount) -> None:
        found = await Configurations(account.api).list()
        if as_json:
            print_json({"configurations": [item.raw for item in found]})
            return
        if found:
            console().print(table(found, account.named))
        typer.echo(f"{len(found)} of {MAX_CONFIGURATIONS} configurations.")

    ask(url, question)


def show(configuration: ConfigurationName, url: Url = None, as_json: AsJson = False) -> None:
    """Show a configuration. As JSON it is exactly what Twilio has, fit for `config set` and `config diff`.

    Example: voice-app config show conv_configuration_… --json > voice.json
    """
    from voice_app.cli.account import ask
    from voice_app.cli.configuration_tables import details
    from voice_app.cli.output import console, print_json

    async def question(account: TwilioAccount) -> None:
        found = await account.configuration(configuration)
        if as_json:
            print_json(found.raw)
            return
        if account.is_named(found):
            typer.echo("Our TwiML names this configuration.")
        console().print(details(found))

    ask(url, question)


def diff(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A configuration's id, or a file.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="A configuration's id, or a file.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Compare two configurations. What a file leaves out is not compared. Exit code 1 if they differ.

    Example: voice-app config diff conv_configuration_… voice.json
    """
    from voice_app.cli.account import ask
    from voice_app.cli.configuration_tables import difference
    from voice_app.cli.output import console, print_json
    from voice_app.twilio import Configurations
    from voice_app.twilio.configuration_edit import differences, merged
    from voice_app.twilio.identifiers import IdKind, problem

    ids = [name for name in (first, second) if problem(name, IdKind.CONFIGURATION) is None]
    known = {name: given.from_file(Path(name)) for name in (first, second) if name not in ids}

    async def question(account: TwilioAccount) -> None:
        for configuration_id in ids:
            known[configuration_id] = (await Configurations(account.api).fetch(configuration_id)).raw

    if ids:
        ask(url, question)
    old, new = known[first], known[second]
    if ids == [first]:
        new = merged(old, given.writable_of(new))
    elif ids == [second]:
        old = merged(new, given.writable_of(old))
    found = differences(old, new)
    if as_json:
        print_json({"differences": found})
    elif found:
        console().print(difference(found), soft_wrap=True)
    else:
        typer.echo("No difference.")
    raise typer.Exit(1 if found else 0)


def create(
    file: given.File = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", parser=parse_configuration, metavar="ID", help="Make it like this configuration."
        ),
    ] = None,
    name: given.Name = None,
    description: given.Description = None,
    grouping: given.GroupingOption = None,
    memory_store: given.MemoryStore = None,
    extract: given.Extract = None,
    channel: given.Channels = None,
    capture: given.Capture = None,
    timeouts: given.TimeoutsOption = None,
    callback: given.Callback = None,
    intelligence: Annotated[
        list[str] | None,
        typer.Option(
            "--intelligence", parser=parse_intelligence_id, metavar="ID", help="Link it; may be repeated."
        ),
    ] = None,
    bridge: given.Bridge = None,
    beyond_limits: Annotated[
        bool, typer.Option("--beyond-limits", help="Try it although the account is said to be full.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a new configuration, from flags, a file, or one that exists.

    VOICE is set up without capture rules, so that TwiML can name it; --capture adds rules for our numbers.

    If not given: grouping by profile, timeouts of 10/60 minutes for SMS, RCS and WhatsApp, 15/60 for CHAT.

    Example: voice-app config create --name shop --memory-store mem_store_… --capture SMS=+15550100001
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.account import ask
    from voice_app.cli.output import Confirmation
    from voice_app.twilio.configuration_edit import DraftError, another, completed, set_up

    flags = given.from_flags(
        name=name,
        description=description,
        grouping=grouping,
        memory_store=memory_store,
        extract=extract,
        callback=callback,
        bridge=bridge,
    )
    if intelligence:
        flags["intelligenceConfigurationIds"] = intelligence
    in_file = given.writable_of(given.from_file(file)) if file else {}
    numbers, minutes = given.captures(capture), given.timeouts(timeouts)

    async def question(account: TwilioAccount) -> int:
        configuration_update.checked(in_file, new=False)
        base = in_file
        if from_ is not None:
            base = another(await account.configuration(from_)) | in_file
        fields = completed(base | flags)
        try:
            fields["channelSettings"] = set_up(
                base.get("channelSettings"), channel or (), numbers=numbers, timeouts=minutes
            )
        except ValueError as error:
            raise DraftError(f"--capture: {error}") from None
        return await configuration_update.create(
            account, fields, Confirmation(yes, dry_run, as_json), beyond_limits=beyond_limits
        )

    raise typer.Exit(ask(url, question))


def set_fields(
    configuration: ConfigurationName,
    file: given.File = None,
    name: given.Name = None,
    description: given.Description = None,
    grouping: given.GroupingOption = None,
    memory_store: given.MemoryStore = None,
    extract: given.Extract = None,
    channel: given.Channels = None,
    timeouts: given.TimeoutsOption = None,
    callback: given.Callback = None,
    bridge: given.Bridge = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(help="Remove this field, or channelSettings.CHANNEL. May be repeated."),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of a configuration. What is not given stays; a channel in a file replaces that channel.

    Example: voice-app config set conv_configuration_… --timeouts VOICE=5/30 --extract
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.output import Confirmation
    from voice_app.twilio.configuration_edit import DraftError, merged, same_version, set_up, without

    flags = given.from_flags(
        name=name,
        description=description,
        grouping=grouping,
        memory_store=memory_store,
        extract=extract,
        callback=callback,
        bridge=bridge,
    )
    minutes = given.timeouts(timeouts)
    in_file = given.from_file(file) if file else {}

    def make(before: Configuration) -> Changes:
        same_version(in_file, before)
        changes = given.writable_of(in_file) | flags
        configuration_update.checked_changes(before, changes)
        if channel or minutes:
            settings = merged(before.raw, changes).get("channelSettings") or {}
            named = [*(channel or ()), *minutes]
            wanted = set_up(settings, named, timeouts=minutes)
            changes["channelSettings"] = (changes.get("channelSettings") or {}) | {
                name: wanted[name] for name in named
            }
        for path in unset or ():
            changes = without(changes, path)
        if not changes:
            raise DraftError("Nothing is given that is to be changed: see `voice-app config set --help`")
        return changes

    configuration_update.run(configuration, make, url, Confirmation(yes, dry_run, as_json))


def delete(
    configuration: ConfigurationName,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a configuration. The one that our TwiML names is not deleted.

    Example: voice-app config delete conv_configuration_…
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.account import ask
    from voice_app.cli.output import Confirmation

    async def question(account: TwilioAccount) -> int:
        return await configuration_update.delete(account, configuration, Confirmation(yes, dry_run, as_json))

    raise typer.Exit(ask(url, question))

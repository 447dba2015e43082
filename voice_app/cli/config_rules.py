"""``voice-app config add-rule``, ``remove-rule``, ``link-intelligence`` and ``unlink-intelligence``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voice_app.cli.configuration_fields import ChannelName
from voice_app.cli.options import AsJson, ConfigurationName, DryRun, Url, Yes, parse_intelligence_id

if TYPE_CHECKING:
    from voice_app.cli.account import TwilioAccount

IntelligenceIds = Annotated[
    list[str],
    typer.Argument(
        parser=parse_intelligence_id,
        metavar="INTELLIGENCE_ID",
        help="intelligence_configuration_…",
    ),
]
RuleFrom = Annotated[str | None, typer.Option("--from", help="Who calls or writes; * is anybody.")]
RuleTo = Annotated[str | None, typer.Option("--to", help="Who is called or written to; * is anybody.")]
CallType = Annotated[
    str | None, typer.Option("--call-type", help="For VOICE: PSTN (the default), CLIENT or PUBLIC_SIP.")
]
RuleNumber = Annotated[
    str | None, typer.Option("--number", help="Our number: all rules that its traffic needs.")
]


def link_intelligence(
    configuration: ConfigurationName,
    intelligence_ids: IntelligenceIds,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have Intelligence configurations analyse the conversations, up to five.

    Example: voice-app config link-intelligence conv_configuration_… intelligence_configuration_…
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.account import ask
    from voice_app.cli.output import Confirmation
    from voice_app.twilio import Intelligence
    from voice_app.twilio.configuration_edit import linked

    async def question(account: TwilioAccount) -> int:
        for intelligence_id in intelligence_ids:
            # Twilio would link one that does not exist, and say nothing.
            await Intelligence(account.api).configuration(intelligence_id)
        return await configuration_update.change(
            account,
            configuration,
            lambda before: linked(before, intelligence_ids),
            Confirmation(yes, dry_run, as_json),
        )

    raise typer.Exit(ask(url, question))


def unlink_intelligence(
    configuration: ConfigurationName,
    intelligence_ids: IntelligenceIds,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Stop Intelligence configurations from analysing the conversations.

    Example: voice-app config unlink-intelligence conv_configuration_… intelligence_configuration_…
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.output import Confirmation
    from voice_app.twilio.configuration_edit import unlinked

    configuration_update.run(
        configuration,
        lambda before: unlinked(before, intelligence_ids),
        url,
        Confirmation(yes, dry_run, as_json),
    )


def add_rule(
    configuration: ConfigurationName,
    channel: ChannelName,
    from_: RuleFrom = None,
    to: RuleTo = None,
    number: RuleNumber = None,
    call_type: CallType = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Capture traffic by a rule, from the next conversation on.

    The configuration that our TwiML names gets no rule for VOICE: speech-to-text would be billed twice.

    Example: voice-app config add-rule conv_configuration_… SMS --number +15550100001
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.output import Confirmation
    from voice_app.twilio.configuration_edit import with_rules

    rules = _rules(channel, from_, to, number, call_type)
    configuration_update.run(
        configuration,
        lambda before: with_rules(before, channel, rules),
        url,
        Confirmation(yes, dry_run, as_json),
    )


def remove_rule(
    configuration: ConfigurationName,
    channel: ChannelName,
    from_: RuleFrom = None,
    to: RuleTo = None,
    number: RuleNumber = None,
    call_type: CallType = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Remove capture rules, and nothing else.

    Example: voice-app config remove-rule conv_configuration_… VOICE --from '*' --to +15550100001
    """
    from voice_app.cli import configuration_update
    from voice_app.cli.output import Confirmation
    from voice_app.twilio.configuration_edit import rule, without_rules

    if number is None and from_ is not None and to is not None:
        rules = [rule(from_, to, call_type)]  # as they were written, and if it was wrongly
    else:
        rules = _rules(channel, from_, to, number, call_type)
        if call_type is None:
            rules = [item | {"metadata": {}} for item in rules]
    configuration_update.run(
        configuration,
        lambda before: without_rules(before, channel, rules),
        url,
        Confirmation(yes, dry_run, as_json),
    )


def _rules(
    channel: str, from_: str | None, to: str | None, number: str | None, call_type: str | None
) -> list[dict[str, Any]]:
    from voice_app.twilio.configuration_edit import rule, rules_of
    from voice_app.twilio.identifiers import address

    if channel == "CHAT":
        raise typer.BadParameter("CHAT has no numbers: chats come through a classic service, see --bridge.")
    if call_type is not None and channel != "VOICE":
        raise typer.BadParameter("--call-type is for VOICE only.")
    try:
        if number is not None:
            if from_ is not None or to is not None:
                raise typer.BadParameter("--number stands for --from and --to: give one or the other.")
            own = rules_of(channel, number)
            return own if call_type is None else [rule(item["from"], item["to"], call_type) for item in own]
        if from_ is None or to is None:
            raise typer.BadParameter("A rule needs --from and --to, or --number.")
        sides = [address(channel, side) for side in (from_, to)]
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    return [rule(sides[0], sides[1], call_type)]

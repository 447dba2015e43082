"""How the commands change configurations: look, check, show, ask, write, look again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec
import typer

from voice_app.cli.account import TwilioAccount, ask
from voice_app.cli.configuration_tables import difference
from voice_app.cli.output import Confirmation, complain, console, print_findings, print_json, watching
from voice_app.findings import Finding, Severity, refuses
from voice_app.guard import Named, Snapshot, judge
from voice_app.guard.snapshot import SETTING
from voice_app.twilio import ApiError, Configuration, Configurations, Conversations, Trouble
from voice_app.twilio.configuration_edit import (
    GROUPING,
    Changes,
    Difference,
    DraftError,
    changed,
    differences,
    regrouped,
)
from voice_app.twilio.configuration_schema import problems
from voice_app.twilio.configurations import Update
from voice_app.twilio.limits import MAX_CONFIGURATIONS
from voice_app.twilio.models import OPEN

NONE = Configuration({})
"""What a new configuration is compared with."""
_MISTAKES: Final = frozenset({"CFG110", "CFG112", "CFG117"})
"""Rules whose breach catches nothing, or everybody, whatever was meant."""
_RULES: Final = re.compile(r"STT10[1235]|CFG11[0-8]|CFG124")
"""The rules that look at nothing but the configuration, our numbers and our people."""


class UpdateOutcome(msgspec.Struct, kw_only=True):
    """What a command reports as JSON."""

    configuration_id: str | None
    written: bool = False
    method: str | None = None
    """How it was written: POST, PATCH, PUT or DELETE."""
    version: int | None = None
    changes: list[Difference] = []
    """What was written, or would be."""
    unexpected: list[Difference] = []
    """Where the configuration is not as it should be now: what it should be, and what it is."""
    raced: bool = False
    """Whether somebody else wrote at the same time."""
    findings: list[Finding] = []


def run(
    named: str,
    make: Callable[[Configuration], Changes],
    url: str | None,
    confirmation: Confirmation,
) -> NoReturn:
    """Change the configuration with this id or name by what ``make`` says, and leave with the exit code."""

    async def question(account: TwilioAccount) -> int:
        return await change(account, named, make, confirmation)

    raise typer.Exit(ask(url, question))


async def create(
    account: TwilioAccount, fields: Changes, confirmation: Confirmation, *, beyond_limits: bool
) -> int:
    """Make a new configuration. Gives the exit code."""
    checked(fields, new=True)
    configurations = Configurations(account.api)
    present = await configurations.list()
    same = [item.id for item in present if item.display_name == fields["displayName"]]
    if same:
        raise DraftError(
            f"{same[0]} is called {fields['displayName']} already: choose another --name, or change that one "
            "with `voice-app config set`"
        )
    if len(present) >= MAX_CONFIGURATIONS and not beyond_limits:
        raise DraftError(
            f"The account has {len(present)} configurations, and {MAX_CONFIGURATIONS} is the limit: delete "
            "one that is not in use (`voice-app config list`). If your account may have more, add "
            "--beyond-limits, and Twilio decides"
        )
    outcome = UpdateOutcome(configuration_id=None, changes=differences(NONE.raw, fields))
    outcome.findings = new_findings(account, NONE, Configuration({"id": "the-new-id", **fields}))
    if not _agreed(outcome, confirmation, "Create this configuration?"):
        return _reported(outcome, confirmation)
    with watching("Creating it") as look:
        created = await configurations.create(fields, progress=look)
    outcome.configuration_id, outcome.version = created.id, created.version
    outcome.written, outcome.method = True, "POST"
    outcome.unexpected = _not_as_wanted(fields, created)
    confirmation.say(f"Created {created.id}.")
    return _reported(outcome, confirmation)


async def change(
    account: TwilioAccount,
    named: str,
    make: Callable[[Configuration], Changes],
    confirmation: Confirmation,
) -> int:
    """Change the configuration with this id or name by what ``make`` says about it. Gives the exit code."""
    configurations = Configurations(account.api)
    before = await account.configuration(named)
    configuration_id = before.id
    changes = make(before)
    if regrouped(before, changes):
        complain(_immutable(before, changes))
        return 1
    checked_changes(before, changes)
    after = changed(before, changes)
    outcome = UpdateOutcome(configuration_id=configuration_id, version=before.version)
    outcome.changes = differences(before.raw, after.raw)
    outcome.findings = new_findings(account, before, after)
    if not outcome.changes:
        confirmation.say(f"There is nothing to change: {configuration_id} is like that already.")
        return _reported(outcome, confirmation)
    if not _agreed(outcome, confirmation, f"Write this to {configuration_id} ({before.display_name})?"):
        return _reported(outcome, confirmation)
    now = await configurations.fetch(configuration_id)
    if now.version != before.version or differences(before.raw, now.raw):
        complain(
            f"Somebody else changed {configuration_id} meanwhile, and nothing was written: give the command "
            "once more to see what it does now. They changed:"
        )
        confirmation.show(difference(differences(before.raw, now.raw)))
        return 1
    try:
        with watching("Writing it") as look:
            update = await configurations.update(configuration_id, changes, progress=look)
    except ValueError as error:
        raise DraftError(str(error)) from None
    return _written(update, outcome, confirmation)


async def delete(account: TwilioAccount, named: str, confirmation: Confirmation) -> int:
    """Delete the configuration with this id or name. Gives the exit code."""
    configurations = Configurations(account.api)
    before = await account.configuration(named)
    configuration_id = before.id
    if account.is_named(before):
        complain(
            f"{configuration_id} is the configuration that our TwiML names: calls would be written to no "
            "conversation any more. Name another one first (TWILIO_CONVERSATION_CONFIGURATION_ID)."
        )
        return 1
    conversations = await Conversations(account.api).list(statuses=OPEN)
    used = sum(item.configuration_id == configuration_id for item in conversations)
    outcome = UpdateOutcome(configuration_id=configuration_id, changes=differences(before.raw, NONE.raw))
    if not _agreed(
        outcome,
        confirmation,
        f"Delete {configuration_id} ({before.display_name}), which {used} open conversations belong to?",
    ):
        return _reported(outcome, confirmation)
    with watching("Deleting it") as look:
        await configurations.delete(configuration_id, progress=look)
    outcome.written, outcome.method = True, "DELETE"
    if await _exists(configurations, configuration_id):
        complain(
            f"Twilio says that it is done, and {configuration_id} is still there: give the command once more."
        )
        _reported(outcome, confirmation)
        return 1
    confirmation.say(f"Deleted {configuration_id}.")
    return _reported(outcome, confirmation)


def checked(fields: Changes, *, new: bool) -> None:
    """Raises `DraftError` with everything that Twilio would refuse."""
    wrong = problems(fields, new=new)
    if wrong:
        raise DraftError("\n".join(["This cannot be written:", *(f"  {sentence}" for sentence in wrong)]))


def checked_changes(before: Configuration, changes: Changes) -> None:
    """`checked`, for what would not stay as it is: Twilio shows more than it takes."""
    checked({name: value for name, value in changes.items() if value != before.raw.get(name)}, new=False)


def _agreed(outcome: UpdateOutcome, confirmation: Confirmation, question: str) -> bool:
    """Show what is to be done, and ask, unless a rule forbids it."""
    confirmation.show(difference(outcome.changes))
    if outcome.findings and not confirmation.as_json:
        confirmation.say("")
        print_findings(outcome.findings, as_json=False)
        confirmation.say("")
    if refuses(outcome.findings):
        complain("Nothing was written: the rules above refuse it, and say what to do.")
        return False
    return confirmation.given(question)


def _reported(outcome: UpdateOutcome, confirmation: Confirmation) -> int:
    if confirmation.as_json:
        print_json(outcome)
    if outcome.unexpected:
        complain(
            f"{outcome.configuration_id} is not as it should be now. Set these once more; what was wanted, "
            "and what it is:"
        )
        console(stderr=True).print(difference(outcome.unexpected), soft_wrap=True)
    return 1 if refuses(outcome.findings) or outcome.raced or outcome.unexpected else 0


def _written(update: Update, outcome: UpdateOutcome, confirmation: Confirmation) -> int:
    before, after = update.before, update.after
    outcome.written, outcome.method = update.method != "none", update.method
    outcome.version, outcome.changes = after.version, update.changed
    outcome.unexpected, outcome.raced = list(update.unexpected), update.raced
    confirmation.say(
        f"Written by {update.method}, and read again: version {before.version} → {after.version}."
    )
    if update.raced:
        complain(
            f"Somebody else wrote to {after.id} at the same time. Look at what became of both with "
            f"`voice-app config show {after.id}`."
        )
    elif before.version is not None:
        confirmation.say(
            f"Conversations that are open keep the older version: `voice-app conversations close --config "
            f"{after.id} --older-than-version {after.version}` counts them, and closes them if you want."
        )
    return _reported(outcome, confirmation)


def _not_as_wanted(fields: Changes, created: Configuration) -> list[Difference]:
    """Defaults that Twilio adds are fine; something that we asked for and did not get is not."""
    return [item for item in differences(fields, created.raw) if item.old not in (None, [], {})]


def _immutable(before: Configuration, changes: Changes) -> str:
    return (
        f"{GROUPING} of {before.id} is {before.grouping}, and Twilio never changes it after creation. "
        "This makes a new configuration that is like it otherwise, without its bridge:\n\n"
        f"  voice-app config create --from {before.id} --name NEW-NAME --grouping {changes[GROUPING]}\n\n"
        "Then name the new one, close what is open here (`voice-app conversations close --config "
        f"{before.id}`), and delete this one (`voice-app config delete {before.id}`)."
    )


async def _exists(configurations: Configurations, configuration_id: str) -> bool:
    try:
        await configurations.fetch(configuration_id)
    except ApiError as error:
        if error.trouble is Trouble.NOT_FOUND:
            return False
        raise
    return True


# --- what the guard says of a change before it is made ------------------------------------------


def new_findings(account: TwilioAccount, before: Configuration, after: Configuration) -> list[Finding]:
    """The findings that the change brings; what was there before is `voice-app check`'s to report."""
    known = {_key(finding, fact) for finding in _findings(account, before) for fact in _facts(finding)}
    return [
        _raised(finding)
        for finding in _findings(account, after)
        if any(_key(finding, fact) not in known for fact in _facts(finding))
    ]


def _findings(account: TwilioAccount, configuration: Configuration) -> list[Finding]:
    named = account.is_named(configuration)
    snapshot = Snapshot(
        scope=account.scope,
        named=(Named(configuration.id, SETTING, configuration),) if named else (),
        configurations=(configuration,),
    )
    return [finding for finding in judge(snapshot) if _RULES.fullmatch(finding.rule)]


def _facts(finding: Finding) -> tuple[str, ...]:
    return finding.evidence or (finding.message,)


def _key(finding: Finding, fact: str) -> tuple[str, str]:
    """A fact without the place of the rule in its list, which moves when another one goes."""
    return finding.rule, re.sub(r"capture rule \d+", "capture rule", fact)


def _raised(finding: Finding) -> Finding:
    """What is wrong with a configuration that our TwiML does not name is a note to a check. Who is just
    writing it wants to know, and what can only be a mistake is not written at all.
    """
    if finding.rule in _MISTAKES:
        return msgspec.structs.replace(finding, severity=Severity.ERROR)
    if finding.severity is Severity.NOTE and finding.rule.startswith("CFG"):
        return msgspec.structs.replace(finding, severity=Severity.WARNING)
    return finding

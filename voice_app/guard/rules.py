"""Every rule of the guard, once: id, severity, title, reason, and the function that looks for it.

Source: reference ``orchestrator.md`` §8. The rules of TwiML are the linter's; STT104 is one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voice_app.findings import Severity
from voice_app.guard import billing, callbacks, capturing, lifecycle, links, numbers
from voice_app.guard.rule import Rule

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

_TWICE: Final = (
    "ConversationRelay and <Transcription> run a speech-to-text engine of their own. A VOICE capture rule "
    "runs Real-Time Transcription beside it on every call that it matches, and both are billed."
)

_BILLING = (
    Rule(
        "STT101",
        _ERROR,
        "the named configuration captures voice by itself",
        f"{_TWICE} Twilio does not prevent it, and this rule cannot be overridden.",
        billing.named_captures_voice,
        overridable=False,
    ),
    Rule(
        "STT102",
        _ERROR,
        "another configuration captures voice on our calls",
        f"{_TWICE} Capture rules watch the whole account: nothing ties them to the configuration that TwiML "
        "names.",
        billing.other_captures_ours,
    ),
    Rule(
        "STT103",
        _ERROR,
        "another configuration captures voice on all calls of the account",
        f"{_TWICE} From * to * is every call of the account.",
        billing.other_captures_all,
    ),
    Rule(
        "STT105",
        _ERROR,
        "another configuration captures voice on the legs to our people",
        "After a handoff <Transcription> goes on writing. A rule that matches the leg to the person runs a "
        "second engine, is billed too, and writes everything down twice.",
        billing.handoff_captured,
    ),
    Rule(
        "STT106",
        _ERROR,
        "it could not be verified that speech-to-text is billed once",
        "What could not be read may have capture rules in it. VOICE_APP_GUARD=lenient turns this finding, "
        "and no other, into a warning.",
        billing.unverified,
    ),
    Rule(
        "STT201",
        _ERROR,
        "a call is written to two conversations",
        f"{_TWICE} Two configurations at work show as two conversations with the same CallSid.",
    ),
    Rule(
        "STT202",
        _ERROR,
        "two engines write down the same call",
        f"{_TWICE} Both at work in one configuration show as the customer's words coming twice.",
    ),
)

_CONFIGURATIONS = (
    Rule(
        "CFG101",
        _ERROR,
        "not the id of a configuration",
        "Twilio takes any text for conversationConfiguration, and writes no conversation when it is the "
        "wrong one.",
        lifecycle.bad_id,
    ),
    Rule(
        "CFG102",
        _WARNING,
        "no settings for voice",
        "Without VOICE among its channelSettings nothing says when conversations of calls become inactive "
        "and close.",
        lifecycle.no_voice,
    ),
    Rule(
        "CFG103",
        _WARNING,
        "an allowance that allows nothing",
        "What VOICE_APP_GUARD_ALLOW names is gone, is misspelt, or cannot be allowed. An allowance that is "
        "left behind hides the next finding of its kind.",
    ),
    Rule(
        "CFG110",
        _ERROR,
        "a rule for a client or SIP without its call type",
        "A rule without a callType catches telephone calls only; those of browsers and of SIP need theirs.",
        capturing.needs_call_type,
    ),
    Rule(
        "CFG111",
        _WARNING,
        "a call type that Twilio does not document",
        "The types are PSTN, CLIENT and PUBLIC_SIP. What another one catches is anybody's guess.",
        capturing.odd_call_type,
    ),
    Rule(
        "CFG112",
        _ERROR,
        "a wildcard for the identities of clients",
        "Twilio advises against it: the rule catches every browser call of the account.",
        capturing.wildcard_identity,
    ),
    Rule(
        "CFG113",
        _ERROR,
        "a capture rule for the whole account",
        "From * to * matches every call of its type in the account, not only those of some numbers.",
        capturing.whole_account,
    ),
    Rule(
        "CFG114",
        _WARNING,
        "two rules for the same traffic",
        "A call or message that several rules match is grouped in ways that nobody expects.",
        capturing.overlapping,
    ),
    Rule(
        "CFG115",
        _WARNING,
        "text messages captured in one direction only",
        "Orchestrator needs a rule for each direction; half of the messages are missing otherwise.",
        capturing.one_direction,
    ),
    Rule(
        "CFG116",
        _WARNING,
        "close to the limit of capture rules",
        "A channel of a configuration can have 100 rules, one number needs one or two.",
        capturing.many_rules,
    ),
    Rule(
        "CFG117",
        _ERROR,
        "not a capture rule",
        "From, to and the values of metadata are texts; what Twilio makes of anything else is not known.",
        capturing.not_a_rule,
    ),
    Rule(
        "CFG118",
        _WARNING,
        "an address that Twilio does not document",
        "Addresses are E.164, or what their channel has instead. Only * alone is a wildcard: a part of one "
        "may match nothing, or anything.",
        capturing.bad_address,
    ),
    Rule(
        "CFG119",
        _WARNING,
        "close to the limit of configurations",
        "An account can have about 10; the next one may be refused.",
        lifecycle.many_configurations,
    ),
    Rule(
        "CFG120",
        _ERROR,
        "no memory store",
        "Orchestrator needs one to know who is who, and refuses every change of a configuration without.",
        lifecycle.no_store,
    ),
    Rule(
        "CFG121",
        _NOTE,
        "open conversations with older settings",
        "A conversation keeps the settings with which it began, until it is closed.",
        lifecycle.older_version,
    ),
    Rule(
        "CFG122",
        _NOTE,
        "conversations that nobody closes",
        "Memories, summaries and the operators that run at the end come when a conversation closes.",
        lifecycle.stays_open,
    ),
    Rule(
        "CFG123",
        _WARNING,
        "another channel keeps conversations of calls open",
        "With this grouping a conversation has several channels, and the one with the longest timeout "
        "decides. What is made at the end comes that much later.",
        lifecycle.outlived,
    ),
    Rule(
        "CFG124",
        _WARNING,
        "chat without the classic bridge",
        "Chat comes in through the Conversations API (classic) only.",
        lifecycle.chat_without_bridge,
    ),
    Rule(
        "CFG125",
        _NOTE,
        "open conversations could not be read",
        "Whether some are forgotten or have older settings is not known.",
        lifecycle.conversations_unread,
    ),
    Rule(
        "CFG130",
        _ERROR,
        "a status callback that Twilio cannot reach",
        "Twilio sends to https:// and public hosts only.",
        callbacks.not_public,
    ),
    Rule(
        "CFG131",
        _WARNING,
        "too many status callbacks",
        "Twilio shows more of them than it takes in.",
        callbacks.too_many,
    ),
    Rule(
        "CFG132",
        _WARNING,
        "a status callback by GET",
        "What happened is in the body, and so is what the signature covers: a GET has none.",
        callbacks.by_get,
    ),
    Rule(
        "CFG133",
        _WARNING,
        "a status callback that leads elsewhere",
        "The events of our conversations go somewhere else, or nowhere.",
        callbacks.stale,
    ),
    Rule(
        "CFG201",
        _WARNING,
        "a call without a conversation",
        "The TwiML named a configuration and Twilio made no conversation of it, without a word: the "
        "attribute or the configuration is not what Twilio expects.",
    ),
)

_LINKS = (
    Rule(
        "MEM101",
        _ERROR,
        "the memory store does not work",
        "Twilio says nothing about a store that is gone: calls are written down, nobody is recognised and "
        "nothing is remembered.",
        links.store_dead,
    ),
    Rule(
        "MEM102",
        _WARNING,
        "customers without a profile",
        "Every customer with a telephone number gets a profile, as long as the memory store works.",
        links.profiles_missing,
    ),
    Rule(
        "MEM103",
        _WARNING,
        "no memories are extracted",
        "Extraction is off by default. While a conversation is active none happens in any case.",
        links.extraction_off,
    ),
    Rule(
        "MEM104",
        _WARNING,
        "the memory store could not be read",
        "Whether people will be recognised is not known.",
        links.store_unread,
    ),
    Rule(
        "INT101",
        _WARNING,
        "an intelligence configuration that does not exist",
        "Twilio takes the link in and runs nothing.",
        links.link_dead,
    ),
    Rule(
        "INT102",
        _WARNING,
        "an intelligence configuration without rules",
        "Only rules run operators.",
        links.link_empty,
    ),
    Rule(
        "INT103",
        _WARNING,
        "operators that run on every fragment of speech",
        "A spoken reply is written in three to five communications, and each run is billed by its length.",
        links.every_fragment,
    ),
    Rule(
        "INT104",
        _NOTE,
        "a prompt that does not say whose words to read",
        "Operators see both sides of a conversation, and no setting changes that.",
        links.both_sides,
    ),
    Rule(
        "INT105",
        _WARNING,
        "an intelligence configuration could not be read",
        "Whether its operators run is not known.",
        links.link_unread,
    ),
    Rule(
        "INT106",
        _ERROR,
        "too many intelligence configurations",
        "Twilio takes five, and refuses every change of a configuration with more.",
        links.too_many_links,
    ),
)

_NUMBERS = (
    Rule(
        "NUM101",
        _WARNING,
        "no number leads here",
        "Nobody can call us, and which calls are ours is not known.",
        numbers.nothing_leads_here,
    ),
    Rule(
        "NUM102",
        _WARNING,
        "a number of ours that leads elsewhere",
        "Calls to it do not come here.",
        numbers.leads_elsewhere,
    ),
    Rule(
        "NUM103",
        _NOTE,
        "a number that is set up in part",
        "The voice URL, the fallback and the status callback have addresses of their own.",
        numbers.set_up_in_part,
    ),
)

RULES: Final[Mapping[str, Rule]] = {
    rule.id: rule for rule in (*_BILLING, *_CONFIGURATIONS, *_LINKS, *_NUMBERS)
}

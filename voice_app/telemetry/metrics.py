"""Every metric that the server has. Labels hold kinds and outcomes: never a number, a name, or a word.

The page ``metrics``, the dashboard and the alert rules are held to this list by tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from voice_app.telemetry.families import MetricSet

METRICS: Final = MetricSet()
"""All of them, with what this process has counted."""

_OF_A_TURN: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20)
_OF_A_REQUEST: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OF_THE_LOOP: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

# --- calls --------------------------------------------------------------------------------------

CALLS: Final = METRICS.counter("voice_app_calls_total", "Calls that were answered")
CALLS_ENDED: Final = METRICS.counter(
    "voice_app_calls_ended_total", "Calls that are over, by Twilio's status of them", ["status"]
)
TURNED_AWAY: Final = METRICS.counter(
    "voice_app_calls_turned_away_total", "New calls not taken, and what they got", ["why", "to"]
)
PURGED: Final = METRICS.counter(
    "voice_app_calls_purged_total", "Calls erased from the journal because of their age"
)
SESSIONS: Final = METRICS.gauge(
    "voice_app_sessions_open", "ConversationRelay sessions open now", workers="livesum"
)
RECONNECTED: Final = METRICS.counter(
    "voice_app_sessions_reconnected_total", "Sessions that Twilio came back to"
)
RESUMED: Final = METRICS.counter("voice_app_sessions_resumed_total", "Broken sessions taken up again")
REFUSED: Final = METRICS.counter(
    "voice_app_requests_refused_total", "Requests that were refused before anything was done", ["what"]
)
MALFORMED: Final = METRICS.counter("voice_app_frames_malformed_total", "Frames that were not understood")
HANDOFFS: Final = METRICS.counter(
    "voice_app_handoff_steps_total", "Steps on the way to a person and back", ["step"]
)

# --- turns --------------------------------------------------------------------------------------

Stage: TypeAlias = Literal[
    "webhook",
    "prompt_to_model",
    "model_to_first_token",
    "prompt_to_first_token",
    "first_token_to_sound",
    "prompt_to_sound",
    "barge_in_to_last_word",
]
STAGES: Final[Mapping[Stage, str]] = {
    "webhook": "from Twilio's question about a call to our document",
    "prompt_to_model": "from what the caller said to the request to the model",
    "model_to_first_token": "from the request to the model to its first word",
    "prompt_to_first_token": "from what the caller said to the first word of the answer on the wire",
    "first_token_to_sound": "from there to the voice, as Twilio tells it (`speaker-events`)",
    "prompt_to_sound": "both of these together: what the caller waits",
    "barge_in_to_last_word": "from the caller's cutting in to the agent's silence, as Twilio tells them",
}

STAGE_SECONDS: Final = METRICS.histogram(
    "voice_app_stage_seconds", "How long each stage of an answer took", ["stage"], buckets=_OF_A_TURN
)
TURNS: Final = METRICS.counter("voice_app_turns_total", "Turns that the agent was asked for", ["kind"])
INTERRUPTIONS: Final = METRICS.counter(
    "voice_app_interruptions_total", "How often callers cut in while the agent spoke"
)
SILENCES: Final = METRICS.counter(
    "voice_app_silences_total", "How often callers said nothing for as long as they may"
)
GUESSES: Final = METRICS.counter(
    "voice_app_speculations_total", "Answers begun before the caller was done", ["outcome"]
)
SAVED_SECONDS: Final = METRICS.counter(
    "voice_app_speculation_saved_seconds_total", "By how much right guesses were earlier"
)

# --- the agent ----------------------------------------------------------------------------------

AGENT_FAILURES: Final = METRICS.counter("voice_app_agent_failures_total", "Turns in which the agent failed")
MODEL_ERRORS: Final = METRICS.counter(
    "voice_app_model_errors_total", "Requests to models that failed", ["model", "kind"]
)
MODEL_TOKENS: Final = METRICS.counter(
    "voice_app_model_tokens_total", "Tokens as the models' endpoints counted them", ["model", "direction"]
)
MODEL_COST: Final = METRICS.counter(
    "voice_app_model_cost_total", "What they cost by `VOICE_APP_MODEL_PRICE`, in its currency", ["model"]
)
CALL_COST: Final = METRICS.counter(
    "voice_app_call_cost_total", "What calls had cost at their end, by the list of prices", ["currency"]
)
COST_TODAY: Final = METRICS.gauge(
    "voice_app_cost_today", "What the calls that ended today cost, where there is a budget", workers="livemax"
)
BUDGET_EXCEEDED: Final = METRICS.gauge(
    "voice_app_budget_exceeded", "Whether that is more than `VOICE_APP_BUDGET_DAY`", workers="livemax"
)
TOOL_SECONDS: Final = METRICS.histogram(
    "voice_app_tool_seconds", "How long tools ran", ["tool", "outcome"], buckets=_OF_A_REQUEST
)

# --- the process --------------------------------------------------------------------------------

TAKING_CALLS: Final = METRICS.gauge(
    "voice_app_taking_calls",
    "How many processes take new calls: not those that are full or draining",
    workers="livesum",
)
CAPACITY: Final = METRICS.gauge(
    "voice_app_calls_open", "Calls that this server has, by where they are", ["where"], workers="livesum"
)
MAX_CALLS: Final = METRICS.gauge(
    "voice_app_calls_max", "How many it may have with the agent; 0: any number", workers="livesum"
)
PEERS: Final = METRICS.gauge(
    "voice_app_peers", "The other servers on the same journal, by their state", ["state"], workers="livemax"
)
TASKS: Final = METRICS.gauge("voice_app_tasks", "Tasks of the event loop", workers="livesum")
LAG: Final = METRICS.gauge(
    "voice_app_loop_lag_seconds",
    "How late the event loop is with its work: the median of the last samples",
    workers="livemax",
)
LONGEST_LAG: Final = METRICS.gauge(
    "voice_app_loop_lag_longest_seconds",
    "The longest stall of the event loop in the last minute",
    workers="livemax",
)
LOOP_DELAY: Final = METRICS.histogram(
    "voice_app_loop_delay_seconds", "Single delays of the event loop, five a second", buckets=_OF_THE_LOOP
)
LOOP_BLOCKS: Final = METRICS.counter(
    "voice_app_loop_blocks_total",
    "How often something, such as an agent, blocked the event loop: the log names it",
)
LOOP_BLOCKED_SECONDS: Final = METRICS.counter(
    "voice_app_loop_blocked_seconds_total", "How long the event loop was blocked in all"
)
DESCRIPTORS_LEFT: Final = METRICS.gauge(
    "voice_app_descriptors_left",
    "How many more files and sockets the process can open; at 0 connections wait in silence",
    workers="livemin",
)
COLLECTOR_PAUSE: Final = METRICS.histogram(
    "voice_app_collector_pause_seconds",
    "How long the garbage collector stopped everything",
    ["generation"],
    buckets=_OF_THE_LOOP,
)

# --- the guard ----------------------------------------------------------------------------------

GUARD_CHECKS: Final = METRICS.counter("voice_app_guard_checks_total", "Checks while running", ["verdict"])
GUARD_REFUSALS: Final = METRICS.gauge(
    "voice_app_guard_refusals", "Rules that refuse new calls now", ["rule"], workers="livemax"
)
FINDINGS: Final = METRICS.gauge(
    "voice_app_findings", "Findings of the latest check", ["rule", "severity"], workers="livemax"
)
CALL_ALARMS: Final = METRICS.counter(
    "voice_app_call_alarms_total", "Calls on which the guard saw a mistake", ["rule"]
)

# --- the journal, Twilio's APIs, and what follows a call ----------------------------------------

ALERTS: Final = METRICS.counter(
    "voice_app_twilio_alerts_total", "What Twilio's Debugger reported to us", ["code", "level"]
)
JOURNAL_UP: Final = METRICS.gauge(
    "voice_app_journal_up", "Whether the journal's database takes entries", workers="livemin"
)
JOURNAL_WAITING: Final = METRICS.gauge(
    "voice_app_journal_waiting", "Entries that are not in the database yet", workers="livesum"
)
JOURNAL_SPOOLED: Final = METRICS.gauge(
    "voice_app_journal_spooled", "Those of them that are on the disk", workers="livesum"
)
JOURNAL_LOST: Final = METRICS.counter("voice_app_journal_lost_total", "Entries that were lost")
TWILIO_SECONDS: Final = METRICS.histogram(
    "voice_app_twilio_request_seconds",
    "How long requests to Twilio's APIs took",
    ["product", "outcome"],
    buckets=_OF_A_REQUEST,
)
FOLLOW_UPS: Final = METRICS.counter(
    "voice_app_follow_ups_total", "What the work after calls came to", ["step", "outcome"]
)
FOLLOW_UP_RETRIES: Final = METRICS.counter(
    "voice_app_follow_up_retries_total", "Attempts that have to be made again", ["step"]
)

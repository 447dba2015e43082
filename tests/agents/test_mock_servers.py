"""The agent `chat` talks with the mock servers that other people wrote, each a process of its own.

Slow: they are installed into folders of the test's own, from the package registries.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from support.commands import TESTS, voice_app
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.endpoints import probe
from voice_app.agents.failures import ModelError
from voice_app.agents.protocol import Break, Call, Message, Piece, Turn
from voice_app.agents.tools import tool
from voice_app.settings import ModelShape

pytestmark = pytest.mark.slow

PYTHON_PACKAGES: Final = ("llmock==0.2.2", "llm-katan==0.22.0", "fakellm==0.3.5", "mockllm==0.0.8")
NODE_PACKAGES: Final = (
    "@copilotkit/aimock@1.43.0",
    "aimock@0.2.9",
    "tslib@2.8.1",
    "@dwmkerr/mock-llm@0.1.29",
)
QUESTION: Final = "What about order 81?"
GOODBYE: Final = "Thank you, goodbye."
ANSWER: Final = "It leaves today, and it will be with you on Thursday or on Friday, in the morning."


def openai(message: dict[str, Any], reason: str) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", **message}, "finish_reason": reason}]})


CALLS: Final = {
    "content": "",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "order_status", "arguments": '{"number": 81}'},
        }
    ],
}


@dataclass(frozen=True)
class MockServer:
    """A mock server: how it is started, and what it can do."""

    name: str
    command: tuple[str, ...]
    """``{port}`` stands for a free port, ``{here}`` for its folder; the first word is what was installed."""
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    has_tools: bool = True
    loops: bool = False
    """It calls the tool in every answer, whatever the result is."""
    shape: frozenset[ModelShape] = frozenset()


FAKELLM = f"""
version: 1
rules:
  - name: result
    when: {{previous_message_role: assistant, tool_result_contains: "leaves"}}
    respond: {{content: "{ANSWER}"}}
  - name: ask
    when: {{messages_contain: "order 81", turn: 1}}
    respond: {{tool_calls: [{{name: order_status, arguments: {{number: 81}}}}]}}
  - name: rest
    respond: {{content: "{ANSWER}"}}
"""
AIMOCK = json.dumps(
    {
        "fixtures": [
            {"match": {"userMessage": "order 81", "hasToolResult": True}, "response": {"content": ANSWER}},
            {
                "match": {"userMessage": "order 81"},
                "response": {"toolCalls": [{"name": "order_status", "arguments": {"number": 81}}]},
            },
            {"match": {"userMessage": "goodbye"}, "response": {"content": ANSWER}},
        ]
    }
)
MOCK_LLM = json.dumps(
    {
        "streaming": {"chunkSize": 8, "chunkIntervalMs": 5},
        "rules": [
            {
                "path": "/v1/chat/completions",
                "match": "@",
                "response": {"status": 200, "content": openai({"content": ANSWER}, "stop")},
            },
            {
                "path": "/v1/chat/completions",
                "match": "contains(body.messages[-1].content, 'What about')",
                "response": {"status": 200, "content": openai(CALLS, "tool_calls")},
            },
        ],
    }
)
SERVERS: Final = (
    MockServer("llmock", ("llmock", "serve", "--port", "{port}", "--response-style", "echo")),
    MockServer("fakellm", ("fakellm", "serve", "--port", "{port}"), {"fakellm.yaml": FAKELLM}),
    MockServer(
        "mockllm",
        ("mockllm", "start", "--responses", "{here}/responses.yml", "--port", "{port}"),
        {
            "responses.yml": f'responses:\n  "x": "y"\ndefaults:\n  unknown_response: "{ANSWER}"\n'
            "settings:\n  lag_enabled: false\n"
        },
        has_tools=False,
    ),
    MockServer(
        "llm-katan",
        ("llm-katan", "--model", "tiny", "--backend", "echo", "--host", "127.0.0.1", "--port", "{port}",
         "--stats-file", "{here}/stats.json"),
        loops=True,
    ),
    MockServer(
        "@copilotkit/aimock",
        ("@copilotkit/aimock/dist/cli.js", "--port", "{port}", "--fixtures", "{here}/fixtures.json"),
        {"fixtures.json": AIMOCK},
    ),
    MockServer(
        "aimock", ("aimock/bin/aimock",), {"data.txt": ANSWER},
        {"MOCK_PORT": "{port}", "MOCK_FILE": "{here}/data.txt"}, has_tools=False,
    ),
    MockServer(
        "@dwmkerr/mock-llm", ("@dwmkerr/mock-llm/dist/main.js", "--config", "{here}/mock-llm.yaml"),
        {"mock-llm.yaml": MOCK_LLM}, {"PORT": "{port}", "HOST": "127.0.0.1"},
        shape=frozenset({"no-stream"}),  # it leaves tool calls out of its streams
    ),
)  # fmt: skip


PROMISE: Final = (
    "agent: Thank you. Your refund for order 4711 is on its way, you have it by Friday. Anything else?"
)
PROMISED: Final = {"criterion": "success", "verdict": "met", "evidence": [PROMISE], "why": "it was promised"}
HEARD: Final = {
    "Transcript:": json.dumps({"verdicts": [PROMISED]}),
    "Anything else": '```json\n{"act": "say", "bursts": ["No!"]}\n```',
    "how can I help": '{"act": "say", "bursts": ["My money,", "for order 4711"]}',
}
"""What whoever plays a caller, and judges the call, answers to these words; the first that fits counts."""
PERSONAS: Final = (
    MockServer(
        "fakellm",
        ("fakellm", "serve", "--port", "{port}"),
        {
            "fakellm.yaml": json.dumps(
                {
                    "version": 1,
                    "rules": [
                        {"name": said, "when": {"messages_contain": said}, "respond": {"content": text}}
                        for said, text in HEARD.items()
                    ],
                }
            )
        },
    ),
    MockServer(
        "@copilotkit/aimock",
        ("@copilotkit/aimock/dist/cli.js", "--port", "{port}", "--fixtures", "{here}/fixtures.json"),
        {
            "fixtures.json": json.dumps(
                {
                    "fixtures": [
                        {"match": {"userMessage": said}, "response": {"content": text}}
                        for said, text in HEARD.items()
                    ]
                }
            )
        },
    ),
)
REHEARSED: Final = """
name: A refund
agent: a_desk:agent
settings: {greeting: "Hello, how can I help?"}
persona: in a hurry, speaks in bursts
goal: the money back
success: The refund is promised.
criteria: {ended: {outcome: ended}}
runs: 3
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them: ``python`` and ``node_modules``."""
    folder = tmp_path_factory.mktemp("mock_servers")
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: install Node.js"
    python = folder / "python"
    subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
    for command in (
        [str(python / "bin" / "pip"), "install", "--quiet", *PYTHON_PACKAGES],
        [npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), *NODE_PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


class Wire:
    """Passes bytes on between an agent and a server, and cuts an answer off where it is told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.size = 0
        """Bytes of the last answer."""
        self.limit: int | None = None
        self.base_url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        back, out = await asyncio.open_connection("127.0.0.1", self.port)
        sending = asyncio.create_task(self._send(reader, out))
        with suppress(ConnectionError):
            while data := await back.read(64):
                self.size += len(data)
                if self.limit is not None and self.size > self.limit:
                    break
                writer.write(data)
                await writer.drain()
        sending.cancel()
        for stream in (writer, out):
            stream.close()

    async def _send(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.size = 0
            out.write(data)
            await out.drain()


@asynccontextmanager
async def running(server: MockServer, installed: Path, here: Path, port: int) -> AsyncIterator[Wire]:
    """The server, once it takes connections, behind a wire."""

    def filled(text: str) -> str:
        return text.replace("{port}", str(port)).replace("{here}", str(here))

    for name, content in server.files.items():
        (here / name).write_text(content)
    program, *arguments = server.command
    start = [str(installed / "python" / "bin" / program)]
    if (script := installed / "node_modules" / program).is_file():
        start = ["node", str(script)]
    process = await asyncio.create_subprocess_exec(
        *start,
        *map(filled, arguments),
        cwd=here,
        env={
            **os.environ,
            "HOME": str(here),
            **{name: filled(text) for name, text in server.environment.items()},
        },
        stdout=(log := (here / "log").open("wb")),
        stderr=asyncio.subprocess.STDOUT,
    )
    wire = Wire(port)
    try:
        async with asyncio.timeout(60):
            while True:
                assert process.returncode is None, (here / "log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    writer.close()
                    break
        async with await asyncio.start_server(wire.handle, "127.0.0.1", 0) as passing:
            wire.base_url = f"http://127.0.0.1:{passing.sockets[0].getsockname()[1]}/v1"
            yield wire
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


class Conversation:
    """A call with the agent, and what its tool was asked."""

    def __init__(self, base_url: str, shape: frozenset[ModelShape]) -> None:
        self.numbers: list[int] = []

        @tool(acts=False)
        async def order_status(number: int) -> str:
            """Tell where an order is."""
            self.numbers.append(number)
            return f"order {number} leaves today"

        # Some pace their words as slowly as people speak.
        settings = ChatSettings(
            model="gpt-4o-mini", base_url=base_url, api_key="k", shape=shape, first_token_deadline=20
        )
        self.chat = Chat(settings, tools=[order_status])
        self.call = Call("CA1")

    async def ask(self, text: str) -> str:
        """What is said to a prompt."""
        pieces: list[Piece] = [piece async for piece in self.chat(self.call, Turn(text))]
        said = "".join(piece for piece in pieces if isinstance(piece, str))
        assert all(isinstance(piece, str | Break) for piece in pieces)
        self.call.history += [Message("user", text), Message("assistant", said)]
        return said


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_a_conversation_with_a_tool_and_a_cut_stream(
    server: MockServer, installed: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with running(server, installed, tmp_path, unused_tcp_port) as wire:
        conversation = Conversation(wire.base_url, server.shape)
        try:
            if server.loops:
                with pytest.raises(ModelError, match="called tools"):
                    await conversation.ask(QUESTION)
                await conversation.chat.close()
                conversation.chat = Chat(conversation.chat.settings, tools=())
            else:
                assert await conversation.ask(QUESTION)
            assert bool(conversation.numbers) == server.has_tools
            assert await conversation.ask(GOODBYE)
            # The same answer again, but the line breaks in the middle of it.
            wire.limit = wire.size // 2
            with pytest.raises(ModelError) as raised:
                await conversation.ask(GOODBYE)
            assert raised.value.kind in ("broken", "unavailable")
            wire.limit = None
            assert await conversation.ask(GOODBYE)
            async with aiohttp.ClientSession() as http:
                assert isinstance(await probe(conversation.chat.settings.endpoints[0], http), str)
        finally:
            await conversation.chat.close()


@pytest.mark.parametrize("server", PERSONAS, ids=lambda server: server.name)
async def test_a_persona_is_played_and_its_calls_are_judged(
    server: MockServer, installed: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    shutil.copy(TESTS / "testing" / "project" / "a_desk.py", tmp_path)
    (tmp_path / "refund.yaml").write_text(REHEARSED)
    async with running(server, installed, tmp_path, unused_tcp_port):
        result = await voice_app(
            tmp_path, "rehearse", "refund.yaml", "--json", "--parallel", "2",
            VOICE_APP_REHEARSE_MODEL="gpt-4o-mini", VOICE_APP_REHEARSE_BASE_URL=f"http://127.0.0.1:{unused_tcp_port}/v1",
            VOICE_APP_REHEARSE_API_KEY="k",
        )  # fmt: skip
    assert result.code == 0, result.out + result.err
    told = json.loads(result.out)
    assert told["scenarios"][0]["criteria"]["success"]["passed"] == 3
    assert [run["simulated"]["ended"] for run in told["runs"]] == ["the call was ended"] * 3
    assert told["cost"]["amount"] > 0


async def test_a_model_that_cannot_play_is_told(
    installed: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """One that repeats what it hears answers in no form at all."""
    shutil.copy(TESTS / "testing" / "project" / "a_desk.py", tmp_path)
    (tmp_path / "refund.yaml").write_text(REHEARSED.replace("runs: 3", "runs: 1"))
    async with running(SERVERS[0], installed, tmp_path, unused_tcp_port):
        result = await voice_app(
            tmp_path, "rehearse", "refund.yaml",
            VOICE_APP_REHEARSE_MODEL="gpt-4o-mini", VOICE_APP_REHEARSE_BASE_URL=f"http://127.0.0.1:{unused_tcp_port}/v1",
        )  # fmt: skip
    assert result.code == 1, result.out + result.err
    assert "did not answer in the form that it was asked for, twice" in result.out

"""A model on the loopback: four kinds of API, as far as command line agents use them.

Anthropic's Messages, OpenAI's Responses and Chat Completions, and Google's generateContent.

It has no mind. What it does with a request is its `behaviour`, which a test may change at any time:

    talk          a sentence, and the turn is over
    finish        a shell call that writes the result as the prompt's footer says, then a sentence
    shell:LINE    that shell call, then a sentence
    status:CODE   every request is refused with that HTTP status
    hang          the request is taken and never answered
    die           half a sentence, then the connection is closed
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ModelServer"]

Call = tuple[str, dict[str, str]]
"""The name of a tool and what it is called with."""

SENTENCE = "The model on the loopback has nothing more to say."
_RESULT = re.compile(r"^ {4}(/.*result\.json)$\s+^ {4}(\{\"token\".*\})$", re.MULTILINE)
_SHELLS = {"Bash": "command", "bash": "command", "exec_command": "cmd", "run_shell_command": "command"}
"""The tools that take a shell line, by the name of the parameter for it."""


class ModelServer:
    """Serves in a thread until it is closed; a context manager."""

    def __init__(self, behaviour: str = "talk") -> None:
        self.behaviour = behaviour
        self.requests: list[str] = []
        """The path of every request, in order."""
        self.prompts: list[str] = []
        """The prompt of every request with tools, without what the agent adds to it."""
        self.closing = threading.Event()
        self.numbers = itertools.count(1)
        model = self

        class Handler(_Handler):
            server_of = model

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: ModelServer

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Claude Code asks whether anybody is there."""
        self._document(200, {})

    def do_GET(self) -> None:
        """Nothing is listed but the one model."""
        self._document(200, {"object": "list", "data": [{"id": "stub-model", "object": "model"}]})

    def do_POST(self) -> None:
        """Behave."""
        model = self.server_of
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        model.requests.append(self.path)
        request = _object(body)
        kind, _, about = model.behaviour.partition(":")
        if kind == "status":
            self._document(int(about), {"type": "error", "error": {"type": "api_error", "message": "refused"}})
        elif kind == "hang":
            model.closing.wait()
            self.close_connection = True
        elif "count_tokens" in self.path:
            self._document(200, {"input_tokens": 1})
        else:
            call = _call(request, kind, about)
            model.prompts += _prompt_in(request)
            cut = kind == "die"
            apis = {"/responses": self._responses, "/chat/completions": self._chat, "enerateContent": self._generate}
            answer = next((api for part, api in apis.items() if part in self.path), self._messages)
            answer(request, call, cut)

    def _messages(self, request: Mapping[str, Any], call: Call | None, cut: bool) -> None:
        """The Anthropic Messages API."""
        content: list[dict[str, Any]] = [{"type": "text", "text": SENTENCE}]
        if call is not None:
            content.append({"type": "tool_use", "id": self._id("toolu"), "name": call[0], "input": call[1]})
        stop = "end_turn" if call is None else "tool_use"
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": self._id("msg"), "type": "message", "role": "assistant", "model": request.get("model", "stub")}
        if not request.get("stream") and not cut:
            whole = {**message, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}
            return self._document(200, whole)
        empty = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": empty}]
        for index, block in enumerate(content):
            text = block["type"] == "text"
            start: dict[str, Any] = {**block, "text": ""} if text else {**block, "input": {}}
            delta = (
                {"type": "text_delta", "text": block["text"]}
                if text
                else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            )
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage})
        events.append({"type": "message_stop"})
        self._stream(events, cut_after=3 if cut else None)

    def _responses(self, request: Mapping[str, Any], call: Call | None, cut: bool) -> None:
        """The OpenAI Responses API."""
        text = {"type": "output_text", "text": SENTENCE, "annotations": []}
        items: list[dict[str, Any]] = [
            {"type": "message", "id": self._id("msg"), "role": "assistant", "status": "completed", "content": [text]}
        ]
        if call is not None:
            about = {"call_id": self._id("call"), "name": call[0], "arguments": json.dumps(call[1])}
            items.append({"type": "function_call", "id": self._id("fc"), "status": "completed", **about})
        response = {"id": self._id("resp"), "object": "response", "created_at": 0, "model": request.get("model")}
        none = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        whole = {**response, "status": "completed", "output": items, "usage": none}
        if not request.get("stream") and not cut:
            return self._document(200, whole)
        begun: dict[str, Any] = {**response, "status": "in_progress", "output": []}
        events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
        for index, item in enumerate(items):
            open_item = {**item, "status": "in_progress"}
            events.append({"type": "response.output_item.added", "output_index": index, "item": open_item})
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        events.append({"type": "response.completed", "response": whole})
        self._stream(events, cut_after=2 if cut else None)

    def _chat(self, request: Mapping[str, Any], call: Call | None, cut: bool) -> None:
        """The OpenAI Chat Completions API."""
        message: dict[str, Any] = {"role": "assistant", "content": SENTENCE}
        if call is not None:
            about = {"name": call[0], "arguments": json.dumps(call[1])}
            message["tool_calls"] = [{"index": 0, "id": self._id("call"), "type": "function", "function": about}]
        stop = "stop" if call is None else "tool_calls"
        head = {"id": self._id("chat"), "created": 0, "model": request.get("model")}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not request.get("stream") and not cut:
            choice = {"index": 0, "message": message, "finish_reason": stop}
            return self._document(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = {**head, "object": "chat.completion.chunk"}
        said: dict[str, Any] = {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]}
        ended = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}], "usage": usage}
        self._stream([said, ended], cut_after=1 if cut else None, last=b"data: [DONE]\n\n")

    def _generate(self, request: Mapping[str, Any], call: Call | None, cut: bool) -> None:
        """Google's generateContent, streamed or not."""
        parts: list[dict[str, Any]] = [{"text": SENTENCE}]
        if call is not None:
            parts.append({"functionCall": {"name": call[0], "args": call[1]}})
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        content = {"role": "model", "parts": parts}
        whole = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        if "streamGenerateContent" not in self.path and not cut:
            return self._document(200, whole)
        begun = {"candidates": [{"content": {"role": "model", "parts": [{"text": SENTENCE[:9]}]}, "index": 0}]}
        self._stream([begun] if cut else [whole], cut_after=1 if cut else None)

    def _stream(self, events: Sequence[Mapping[str, Any]], cut_after: int | None, last: bytes = b"") -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events[:cut_after]:
            name = f"event: {event['type']}\n" if "type" in event else ""
            self._chunk(f"{name}data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()
        if cut_after is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._chunk(last)
        self._chunk(b"", end=True)

    def _chunk(self, data: bytes, end: bool = False) -> None:
        if data or end:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _document(self, status: int, document: Mapping[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self.server_of.numbers)}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _call(request: Mapping[str, Any], kind: str, about: str) -> Call | None:
    """The tool call that the behaviour asks for, if the request has the tool and has not just had its answer."""
    names = [name for name in _tools(request) if name in _SHELLS]
    turns = request.get("messages") or request.get("input") or request.get("contents")
    if not names or not isinstance(turns, list) or _answered(turns[-1]):
        return None
    line, takes = about, _SHELLS[names[0]]
    if kind == "finish":
        asked = _RESULT.search("\n".join(_texts(turns)))
        if asked is None:
            return None
        path = shlex.quote(asked[1])
        line = f"printf %s {shlex.quote(asked[2])} > {path}.new && mv {path}.new {path}"
    elif kind != "shell":
        return None
    return names[0], {takes: line, **({"description": "a shell call"} if takes == "command" else {})}


def _tools(request: Mapping[str, Any]) -> Iterator[str]:
    """The names of the tools that the model may call; each kind of API puts them elsewhere."""
    for tool in request.get("tools") or []:
        yield from [one.get("name", "") for one in tool.get("functionDeclarations", ())]
        yield tool.get("name") or tool.get("function", {}).get("name", "")


def _prompt_in(request: Mapping[str, Any]) -> list[str]:
    """The text that has the footer of our prompts in it, if the request has tools."""
    turns = request.get("messages") or request.get("input") or request.get("contents") or []
    return [text for text in _texts(turns) if _RESULT.search(text)][:1] if request.get("tools") else []


def _answered(turn: Mapping[str, Any]) -> bool:
    content = turn.get("content") or turn.get("parts")
    blocks = content if isinstance(content, list) else []
    results = [block.get("type") == "tool_result" or "functionResponse" in block for block in blocks]
    output = turn.get("type") in ("function_call_output", "custom_tool_call_output")
    return output or turn.get("role") == "tool" or any(results)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)

"""A web application that submits calls and forgets them; their results are looked up by id, from any process.

In three terminals, or with & behind the first two:

    actorq up
    python examples/web_producer.py serve
    curl --data-binary @README.md http://127.0.0.1:8000/texts

The answer has the id of a call. Ask the application for it, or the mesh, from another process:

    curl http://127.0.0.1:8000/texts/ID
    python examples/web_producer.py lookup ID

The web application is one of `http.server`, to keep to the point; in Flask or Django the calls are the same.
ACTORQ_URL names the mesh. It cannot be an embedded one, which only the process that started it could use.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from actorq import ActorQ

app = ActorQ("web_producer")


@app.task
def most_common_words(text: str) -> list[tuple[str, int]]:
    """The five most common words and how often each occurs."""
    return collections.Counter(re.findall(r"\w+", text.lower())).most_common(5)


def submit(text: str) -> dict[str, Any]:
    """Hand a text over, without waiting."""
    return {"id": most_common_words.delay(text).id}


def look_up(task_id: str) -> dict[str, Any]:
    """What is known of a call, whoever submitted it."""
    result = app.AsyncResult(task_id)
    if result.successful():
        return {"id": task_id, "state": result.state, "result": result.result}
    if result.failed():
        return {"id": task_id, "state": result.state, "error": str(result.result)}
    return {"id": task_id, "state": result.state}


class Handler(BaseHTTPRequestHandler):
    """POST /texts takes a text, GET /texts/ID tells of it."""

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        self.answer(HTTPStatus.ACCEPTED, submit(text))

    def do_GET(self) -> None:
        self.answer(HTTPStatus.OK, look_up(self.path.rpartition("/")[2]))

    def answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the web application")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: a free one")
    lookup = commands.add_parser("lookup", help="print what is known of calls")
    lookup.add_argument("ids", nargs="+", metavar="ID")
    options = parser.parse_args()

    if options.command == "lookup":
        for task_id in options.ids:
            print(json.dumps(look_up(task_id)))
        return
    with ThreadingHTTPServer(("127.0.0.1", options.port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/texts", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()

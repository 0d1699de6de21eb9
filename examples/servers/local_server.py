"""What every server of this folder is built on: HTTP, a log of requests, faults on order, and a clock.

A server behaves as its provider's public documentation says, keeps its records in memory, and speaks to this machine
alone. It needs Python 3.9 or later, and nothing else. A provider's file says which routes there are:

    server = Server(__doc__, api_prefix="/services")

    @server.route("GET", "/things/{id}")
    def get_thing(request, id):
        return Reply(200, {"id": id})

    @server.control("POST", "/things")          # reached as /_control/things: what a person does at a desk
    def edit_thing(request):
        ...

    server.main()

It prints `listening on http://127.0.0.1:PORT` when it is ready. What is under `/_control` is for whoever tries it out;
it is neither counted nor disturbed:

    GET  /_control/requests   how many requests there were: {"all": 3, "writes": 1, "faults": 1, "by_route": {"GET /things/{id}": 2}}
    GET  /_control/log        the last requests: method, path, status, fault
    POST /_control/reset      forgets both
    POST /_control/faults     {"every": 10, "kinds": ["error", "lost"], "method": "POST", "path": "regular expression", "times": 5}
    POST /_control/clock      {"advance_s": 60}: the clock of the server goes on; lags and windows go by it

Faults, in turns where several are named: `error` answers 503 and does nothing, `lost` does what was asked for and hangs
up without a word, `cut` hangs up and does nothing, `late` does what was asked for and says so only after `late_s`
seconds, `limit` answers as the provider does where there are too many requests.
"""

import argparse
import json
import re
import socket
import sys
import threading
import time
import traceback
from collections import Counter, deque
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

FAULTS = ("error", "lost", "cut", "late", "limit")
LOG_MAX = 1000


class Reply(Exception):
    """An answer. It can be returned, and raised where a check deep down ends the matter."""

    def __init__(self, status, body=None, headers=None, content_type=None):
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})
        if body is None:
            self.body = b""
        elif isinstance(body, bytes):
            self.body = body
        elif isinstance(body, str):
            self.body = body.encode()
        else:
            self.body = json.dumps(body, separators=(",", ":")).encode()
            content_type = content_type or "application/json;charset=UTF-8"
        if content_type:
            self.headers.setdefault("Content-Type", content_type)


class Request:
    """A request: `path` without its query, `query` with the last value of each name, `pairs` with all of them."""

    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method = method
        self.target = target
        self.path = parts.path
        self.pairs = parse_qsl(parts.query, keep_blank_values=True)
        self.query = dict(self.pairs)
        self.headers = headers
        self.body = body

    def json(self, default=None):
        """The body as JSON; `default` where there is none."""
        return json.loads(self.body) if self.body else default

    def form(self):
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def bearer(self):
        """The token that it brings."""
        kind, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else None


class Clock:
    """The time of the server: that of the machine, and as much more as it was told to go on."""

    def __init__(self):
        self.ahead = timedelta(0)

    def now(self):
        return datetime.now(timezone.utc) + self.ahead

    def advance(self, seconds):
        self.ahead += timedelta(seconds=seconds)


class Faults:
    """Which requests go wrong, and how."""

    def __init__(self, every=0, kinds=("error",), method=None, path="", times=None, late_s=1.0):
        unknown = [kind for kind in kinds if kind not in FAULTS]
        if unknown:
            raise Reply(400, {"problem": f"no such faults: {unknown}", "known": FAULTS})
        self.every, self.kinds, self.times, self.late_s = every, list(kinds), times, late_s
        self.methods = [method] if isinstance(method, str) else method
        self.path = re.compile(path)
        self.seen = self.made = 0

    def next(self, request):
        """The fault of this request, or `None`."""
        if not self.every or (self.times is not None and self.made >= self.times):
            return None
        if (self.methods and request.method not in self.methods) or not self.path.search(request.target):
            return None
        self.seen += 1
        if self.seen % self.every:
            return None
        self.made += 1
        return self.kinds[(self.made - 1) % len(self.kinds)]


class Server:
    """The routes of one provider, with what they share."""

    def __init__(self, about, limited=None):
        """`limited(request)` is the provider's answer where there are too many requests."""
        self.about = about
        self.limited = limited or (lambda request: Reply(429, {"message": "too many requests"}, {"Retry-After": "1"}))
        self.clock = Clock()
        # One request at a time touches the records: what a provider promises is simple to keep then.
        self.lock = threading.RLock()
        self.arguments = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.arguments.add_argument("--port", type=int, default=0, help="the port; any that is free by default")
        self.options = None
        self.before = []
        self.after = []
        self.routes = []
        self.controls = []
        self.faults = Faults()
        self.forget()
        self.control("GET", "/requests")(lambda request: Reply(200, self.counts()))
        self.control("GET", "/log")(lambda request: Reply(200, list(self.log)))
        self.control("POST", "/reset")(lambda request: self.forget() or Reply(204))
        self.control("POST", "/faults")(self._faults)
        self.control("POST", "/clock")(self._clock)

    def route(self, method, path, writes=None, lock=True):
        """Declares the answer to `method` of `path`, whose `{name}` are handed on as text; `{name*}` takes slashes, too.

        `writes` says whether such a request counts as a write: by default whatever is no GET. `lock=False` is for
        answers that take long and touch nothing."""
        return self._declare(self.routes, method, path, method not in ("GET", "HEAD") if writes is None else writes, lock)

    def control(self, method, path):
        """Declares the answer to `method` of `/_control` and `path`."""
        return self._declare(self.controls, method, "/_control" + path, False, True)

    def _declare(self, routes, method, path, writes, lock):
        pattern = "".join(
            f"(?P<{part[1:-2]}>.+)" if part.endswith("*}") else f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\*?\})", path)
        )
        found = re.compile(pattern + r"\Z")

        def declared(answer):
            routes.append((method, found, f"{method} {path}", writes, lock, answer))
            return answer

        return declared

    def before_each(self, check):
        """`check(request)` is called before each answer, and may raise a `Reply`: tokens, limits."""
        self.before.append(check)
        return check

    def after_each(self, change):
        """`change(request, reply)` is called after each answer: headers that all of them have."""
        self.after.append(change)
        return change

    def forget(self):
        self.all = self.writes = self.disturbed = 0
        self.by_route = Counter()
        self.log = deque(maxlen=LOG_MAX)

    def counts(self):
        return {"all": self.all, "writes": self.writes, "faults": self.disturbed, "by_route": dict(self.by_route)}

    def _faults(self, request):
        self.faults = Faults(**(request.json({}) or {}))
        return Reply(204)

    def _clock(self, request):
        self.clock.advance((request.json({}) or {}).get("advance_s", 0))
        return Reply(200, {"now": self.clock.now().isoformat()})

    def answer(self, request):
        """The reply to a request, or `None` where it hangs up; and for how many seconds it keeps it back."""
        if request.path.startswith("/_control/"):
            return self._called(request, self.controls)[0], 0
        with self.lock:
            fault = self.faults.next(request)
            self.disturbed += fault is not None
        if fault in (None, "lost", "late"):
            reply, name, writes = self._called(request, self.routes)
        else:
            _, name, writes, _, _ = self._found(request, self.routes)
            reply = None
            if fault == "limit":
                reply = self.limited(request)
            elif fault == "error":
                reply = Reply(503, {"message": "the service is not available for a moment"})
        with self.lock:
            self.all += 1
            self.writes += writes
            self.by_route[name] += 1
            status = reply.status if reply else None
            self.log.append({"method": request.method, "path": request.target, "status": status, "fault": fault})
        if fault == "lost":
            return None, 0
        return reply, self.faults.late_s if fault == "late" else 0

    def _found(self, request, routes):
        for method, pattern, name, writes, lock, answer in routes:
            if method == request.method and (found := pattern.match(request.path)):
                parts = {name: unquote(part) for name, part in found.groupdict().items()}
                return (lambda: answer(request, **parts)), name, writes, lock, True
        return (lambda: Reply(404, {"message": f"there is no {request.method} {request.path}"})), "none", False, True, False

    def _called(self, request, routes):
        call, name, writes, lock, _ = self._found(request, routes)
        is_control = routes is self.controls
        try:
            if lock:
                with self.lock:
                    reply = self._checked(request, call, is_control)
            else:
                reply = self._checked(request, call, is_control)
        except Reply as raised:
            reply = raised
        except Exception:
            traceback.print_exc()
            reply = Reply(500, {"message": traceback.format_exc(limit=2)})
        if not is_control:
            for change in self.after:
                change(request, reply)
        return reply, name, writes

    def _checked(self, request, call, is_control):
        if not is_control:
            for check in self.before:
                check(request)
        return call()

    def main(self):
        """Serves until it is ended."""
        self.options = self.arguments.parse_args()
        server = _Listener(("127.0.0.1", self.options.port), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        if hasattr(self, "ready"):
            self.ready()
        print(f"listening on {self.url}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A client that goes away is no reason to say anything.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def _any(self):
            length = int(self.headers.get("Content-Length") or 0)
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                body = b"".join(self._chunks())
            else:
                body = self.rfile.read(length)
            request = Request(self.command, self.path, self.headers, body)
            reply, late_s = server.answer(request)
            if late_s:
                time.sleep(late_s)
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _chunks(self):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any

        def log_message(self, *_):
            pass

    return Handler

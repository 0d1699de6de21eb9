"""Runs a two-way example: a server of this folder and a SQLite database, and Syncline between them, from nothing to two
quiet runs. The example's own file says what is edited, and shows both sides:

    with Stage("two-way-notion", "notion") as stage:
        stage.script("shop.sql")
        stage.syncline("run")

It needs the program (its first argument), Python 3.9 or later, and nothing else.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

SERVERS = Path(__file__).resolve().parent


class Stage:
    """A server, a database and a store, all thrown away at the end."""

    def __init__(self, example, server, secrets=None, arguments=()):
        self.example = SERVERS.parent / example
        self.program = sys.argv[1] if len(sys.argv) > 1 else "syncline"
        self.secrets = secrets or {}
        self.variables = {}
        command = [sys.executable, SERVERS / f"{server}.py", *arguments]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.url = self.server.stdout.readline().split()[-1]
        self.folder = tempfile.TemporaryDirectory()
        self.database = Path(self.folder.name) / "shop.db"
        self.variables = {"server": self.url, "shop": str(self.database)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.folder.cleanup()

    def say(self, text):
        print(f"\n=== {text}", flush=True)

    def control(self, method, path, body=None):
        """Does what a person does in the provider's pages."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_control{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def read(self, name):
        """A file of the example, as JSON."""
        return json.loads((self.example / name).read_text())

    def script(self, name):
        """Runs a script of the example in the database."""
        print(f"$ sqlite3 shop.db < {name}", flush=True)
        with sqlite3.connect(self.database) as database:
            database.executescript((self.example / name).read_text())
        database.close()

    def rows(self, query):
        with sqlite3.connect(self.database) as database:
            rows = database.execute(query).fetchall()
        database.close()
        return rows

    def table(self, title, rows):
        print(f"\n{title}:")
        for row in rows:
            print("  " + " | ".join("" if cell is None else str(cell) for cell in row))
        sys.stdout.flush()

    def syncline(self, *arguments):
        print(f"$ syncline {' '.join(arguments)} --config examples/{self.example.name}", flush=True)
        command = [self.program, *arguments, "--config", self.example, "--store", Path(self.folder.name) / "store.db"]
        for name, value in self.variables.items():
            command += ["--var", f"{name}={value}"]
        subprocess.run(command, check=True, env={**os.environ, **self.secrets})

    def person(self, name):
        """Does what a person does in the provider's pages, step by step as a file of the example tells."""
        for step in self.read(name):
            self.control(step["method"], step["path"], step.get("body"))

    def meet(self, what, show):
        """Shows both sides, what would happen when they meet, and that it does."""
        self.say(f"{what} that have never met")
        show(self)
        self.say("What would happen when they meet")
        self.syncline("preview")
        self.say("They meet")
        self.syncline("run")
        show(self)

    def end(self, conflict, query):
        """Shows the conflict, and ends well if two more runs write nothing, at the server or in the rows of `query`."""
        self.say(conflict)
        self.syncline("conflicts", "list", "--all")
        sys.exit(not self.is_quiet(query))

    def is_quiet(self, query):
        """Runs twice more, and says whether anything was written, at the server or in the rows of `query`."""
        self.say("Nobody edits anything: two more runs write nothing")
        before = self.rows(query)
        self.control("POST", "/reset")
        self.syncline("run")
        self.syncline("run")
        writes = self.control("GET", "/requests")["writes"]
        is_quiet = writes == 0 and self.rows(query) == before
        self.say("Nothing was written, on either side" if is_quiet else f"SOMETHING WAS WRITTEN: {writes} requests")
        return is_quiet


def contacts_beside_a_table(server, title, records, fields, secrets):
    """Plays an example of a provider's contacts and a table of customers: `records` is where the server shows them."""
    rows = "SELECT * FROM customers ORDER BY id"

    def show(stage):
        held = stage.control("GET", records)
        stage.table(title, [[record.get(name) for name in fields] for record in held])
        stage.table("SQLite, customers", stage.rows(rows))

    with Stage(f"two-way-{server}", server, secrets) as stage:
        stage.person("people.json")
        stage.script("shop.sql")
        stage.meet("Contacts and a table", show)
        stage.say("Both sides are edited")
        stage.person("edits.people.json")
        stage.script("edits.shop.sql")
        stage.syncline("run")
        show(stage)
        stage.end("Grace got two telephones: the later one stands, the other is kept", rows)

"""Runs this example on a local server of Salesforce: `cargo xtask example two-way-salesforce`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
from stage import Stage  # noqa: E402

FIELDS = ["Email", "FirstName", "LastName", "Phone", "MailingCity"]
ROWS = "SELECT * FROM customers ORDER BY id"


def show(stage):
    records = stage.control("GET", "/sobjects/Contact")
    stage.table("Salesforce", [[record.get(name) for name in FIELDS] for record in records])
    stage.table("SQLite, customers", stage.rows(ROWS))


def person(stage, name):
    """Does what a person does in Salesforce."""
    for step in stage.read(name):
        stage.control(step["method"], step["path"], step.get("body"))


with Stage("two-way-salesforce", "salesforce", {"SALESFORCE_ID": "client", "SALESFORCE_SECRET": "secret"}) as stage:
    person(stage, "people.json")
    stage.script("shop.sql")
    stage.say("Contacts and a table that have never met")
    show(stage)
    stage.say("What would happen when they meet")
    stage.syncline("preview")
    stage.say("They meet")
    stage.syncline("run")
    show(stage)
    stage.say("Both sides are edited")
    person(stage, "edits.people.json")
    stage.script("edits.shop.sql")
    stage.syncline("run")
    show(stage)
    stage.say("Grace got two telephones: the later one stands, the other is kept")
    stage.syncline("conflicts", "list", "--all")
    sys.exit(not stage.is_quiet(ROWS))

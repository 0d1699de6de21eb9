"""Runs this example on a local server of Google: `cargo xtask example two-way-google`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
from stage import Stage  # noqa: E402

ROWS = "SELECT id, first_name, last_name, mail, telephone, town, score, changed_at FROM customers ORDER BY id"
SECRETS = {"GOOGLE_SECRET": "secret", "GOOGLE_REFRESH_TOKEN": "1//refresh"}
PARTS = [("names", "givenName"), ("names", "familyName"), ("emailAddresses", "value"), ("phoneNumbers", "value"), ("addresses", "city")]


def line(person):
    return [person["resourceName"]] + [(person.get(list) or [{}])[0].get(part) for list, part in PARTS]


def show(stage):
    stage.table("Google, contacts", [line(person) for person in stage.control("GET", "/contacts")])
    stage.table("Google, sheet", stage.control("GET", "/sheet"))
    stage.table("SQLite, customers", stage.rows(ROWS))


with Stage("two-way-google", "google", SECRETS) as stage:
    stage.script("shop.sql")
    for contact in stage.read("contacts.json"):
        stage.control("POST", "/contacts", contact)
    stage.control("POST", "/sheet", {"rows": stage.read("rows.json")})
    stage.meet("Contacts, a sheet and a table", show)
    stage.say("All sides are edited, and the sheet is sorted")
    ids = {line(person)[3]: person["resourceName"].removeprefix("people/") for person in stage.control("GET", "/contacts")}
    stage.control("PATCH", f"/contacts/{ids['ada@engines.example']}", {"city": "Ockham"})
    stage.control("POST", f"/contacts/{ids['ada@engines.example']}/lists", {"emailAddresses": {"value": "ada@home.example", "type": "home"}})
    stage.control("PATCH", f"/contacts/{ids['grace@compilers.example']}", {"phone": "+1 212 555 0777"})
    stage.control("DELETE", f"/contacts/{ids['edsger@paths.example']}")
    stage.control("PATCH", "/sheet/r2", {"City": "Newport News"})
    stage.control("POST", "/sheet/sort", {"column": "City"})
    stage.script("edits.shop.sql")
    stage.syncline("run")
    show(stage)
    stage.end("Grace got two telephones: the later one stands, the other is kept", ROWS)

"""Runs this example on a local server of Notion: `cargo xtask example two-way-notion`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
from stage import Stage  # noqa: E402

ROWS = "SELECT id, full_name, mail, telephone, town, is_vip, score, stage, since, changed_at FROM customers ORDER BY id"


def text(property):
    value = property[property["type"]]
    if isinstance(value, list):
        return "".join(part["plain_text"] for part in value)
    return value.get("name") or value.get("start") if isinstance(value, dict) else value


def show(stage):
    names = ["Name", "Email", "Phone", "City", "VIP", "Score", "Stage", "Since"]
    pages = [page for page in stage.control("GET", "/pages") if not page["in_trash"]]
    stage.table("Notion", [[page["last_edited_time"], *(text(page["properties"][name]) for name in names)] for page in pages])
    stage.table("SQLite, customers", stage.rows(ROWS))


with Stage("two-way-notion", "notion", {"NOTION_TOKEN": "ntn_secret"}) as stage:
    stage.script("shop.sql")
    for page in stage.read("pages.json"):
        stage.control("POST", "/pages", page)
    stage.meet("A data source and a table", show)
    stage.say("Both sides are edited, twice in one minute in Notion")
    ids = {text(page["properties"]["Email"]): page["id"] for page in stage.control("GET", "/pages")}
    stage.control("PATCH", f"/pages/{ids['ada@engines.example']}", {"City": "Horsley"})
    stage.control("PATCH", f"/pages/{ids['ada@engines.example']}", {"City": "Ockham", "Stage": "On hold"})
    stage.control("PATCH", f"/pages/{ids['grace@compilers.example']}", {"Phone": "+1 212 555 0777"})
    stage.control("DELETE", f"/pages/{ids['edsger@paths.example']}")
    stage.control("POST", "/pages", {"Name": "Barbara Liskov", "Email": "barbara@types.example", "City": "Boston"})
    stage.script("edits.shop.sql")
    stage.syncline("run")
    show(stage)
    stage.end("Grace got two telephones: one stands, the other is kept", ROWS)

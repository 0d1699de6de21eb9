"""Runs this example on a local server of HubSpot: `cargo xtask example two-way-hubspot`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
from stage import contacts_beside_a_table  # noqa: E402

contacts_beside_a_table(
    "hubspot",
    "HubSpot",
    records="/objects/contacts",
    fields=["email", "firstname", "lastname", "phone", "city"],
    secrets={"HUBSPOT_TOKEN": "pat-local"},
)

"""Runs this example on a local server of Salesforce: `cargo xtask example two-way-salesforce`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
from stage import contacts_beside_a_table  # noqa: E402

contacts_beside_a_table(
    "salesforce",
    "Salesforce",
    records="/sobjects/Contact",
    fields=["Email", "FirstName", "LastName", "Phone", "MailingCity"],
    secrets={"SALESFORCE_ID": "client", "SALESFORCE_SECRET": "secret"},
)

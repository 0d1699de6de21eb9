"""SOQL as far as a connector asks it: fields of one object, conditions joined with AND, an order, a limit.

Documented in "SOQL and SOSL Reference" (developer.salesforce.com).
"""

import re
from collections import namedtuple
from datetime import datetime, timezone

QUERY = re.compile(
    r"\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<name>\w+)(?:\s+WHERE\s+(?P<where>.+?))?(?:\s+ORDER\s+BY\s+(?P<order>[\w\s,]+?))?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
TERM = re.compile(r"\s*(\w+)\s*(>=|<=|!=|=|<|>|\bIN\b)\s*(\((?:[^()']|'(?:[^'\\]|\\.)*')*\)|'(?:[^'\\]|\\.)*'|[^\s()]+)\s*", re.IGNORECASE)
OPERATORS = {
    ">=": lambda a, b: a is not None and a >= b,
    "<=": lambda a, b: a is not None and a <= b,
    ">": lambda a, b: a is not None and a > b,
    "<": lambda a, b: a is not None and a < b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "IN": lambda a, b: a in b,
}

# `tests` are fields with what compares them and the value that they are compared with.
Query = namedtuple("Query", "name fields tests order limit")


class Malformed(Exception):
    """Why a query cannot be read."""


def stamp(moment):
    """Times are kept in whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def moment_of(text):
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text.strip().replace("Z", "+00:00"))
    return datetime.fromisoformat(text)


def parse(text):
    """Reads a query."""
    parsed = QUERY.match(text)
    if not parsed:
        raise Malformed("unexpected token: " + text[:40])
    tests, rest = [], parsed["where"] or ""
    while rest.strip():
        term = TERM.match(rest)
        if not term:
            raise Malformed("unexpected token: " + rest[:40])
        tests.append((term[1], OPERATORS[term[2].upper()], literal(term[3])))
        rest = re.sub(r"^\s*AND\b", "", rest[term.end() :], flags=re.IGNORECASE)
    order = [part.split()[0] for part in (parsed["order"] or "").split(",") if part.strip()]
    fields = [field.strip() for field in parsed["fields"].split(",")]
    return Query(parsed["name"], fields, tests, order, int(parsed["limit"] or 0))


def literal(text):
    if text.startswith("("):
        return {literal(part) for part in re.findall(r"'(?:[^'\\]|\\.)*'|[^\s,()]+", text)}
    if text.startswith("'"):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text.lower() in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text.lower()]
    if re.match(r"\d{4}-\d\d-\d\dT", text):
        return stamp(moment_of(text))
    return int(text)

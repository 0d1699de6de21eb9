"""Notion as its public documentation says: the pages of one data source, API version 2025-09-03.

    POST  /v1/data_sources/{id}/query   filter by last_edited_time or a property, sorts, start_cursor, page_size, in_trash
    GET   /v1/data_sources/{id}         which property is of which type
    POST  /v1/pages, GET and PATCH /v1/pages/{id}

What is kept to: times are cut to the minute; one page at a time; 100 records a page at most; a page in the trash is in
no query but one for the trash, and is not edited; texts of 2,000 characters; --rate requests a second on average, and
429 with Retry-After beyond that; 401, 404, 400 and 409 with Notion's error bodies.

What a person does in Notion, with plain values:

    GET    /_control/pages        every page, trash included
    POST   /_control/pages        {"Name": "Ada", "Email": …}: a new page
    PATCH  /_control/pages/{id}   edits one
    DELETE /_control/pages/{id}   puts one into the trash
"""

import time
import uuid

from local_server import Reply, Server

DATA_SOURCE = "248104cd-477e-80af-bc30-000bd28de8f9"
TOKEN = "ntn_secret"
VERSION = "2025-09-03"

SCHEMA = {
    "Name": "title",
    "Email": "email",
    "Phone": "phone_number",
    "City": "rich_text",
    "VIP": "checkbox",
    "Score": "number",
    "Stage": "status",
    "Plan": "select",
    "Tags": "multi_select",
    "Since": "date",
    "Site": "url",
    "Owner": "people",
    "Knows": "relation",
    "Greeting": "formula",
    "Number": "unique_id",
    "Edited": "last_edited_time",
    "Syncline ID": "rich_text",
}
READ_ONLY = ("formula", "rollup", "unique_id", "created_time", "last_edited_time")

server = Server(__doc__, limited=lambda request: error(429, "rate_limited", "You have been rate limited. Please try again in a few minutes.", {"Retry-After": "1"}))
server.arguments.add_argument("--rate", type=float, default=0, help="requests a second on average; as many as wanted by default")
pages = {}
budget = {"left": 0.0, "at": None}


def error(status, code, message, headers=None):
    body = {"object": "error", "status": status, "code": code, "message": message, "request_id": str(uuid.uuid4())}
    return Reply(status, body, headers)


def invalid(message):
    return error(400, "validation_error", f"body failed validation: {message}")


@server.before_each
def check(request):
    if request.bearer() != TOKEN:
        raise error(401, "unauthorized", "API token is invalid.")
    if not request.headers.get("Notion-Version"):
        raise error(400, "missing_version", "Notion-Version header failed validation: Notion-Version header should be defined, instead was `undefined`.")
    if request.headers["Notion-Version"] != VERSION:
        raise invalid(f"this server speaks version {VERSION}")
    rate = server.options.rate
    if rate:
        now = time.monotonic()
        budget["left"] = min(rate, budget["left"] + (now - budget["at"]) * rate) if budget["at"] else rate
        budget["at"] = now
        if budget["left"] < 1:
            raise server.limited(request)
        budget["left"] -= 1


def minute():
    """Times are cut to the minute."""
    return server.clock.now().strftime("%Y-%m-%dT%H:%M:00.000Z")


def texts(content):
    parts = [content[at : at + 2000] for at in range(0, len(content), 2000)]
    return [{"type": "text", "text": {"content": part, "link": None}, "plain_text": part, "href": None} for part in parts]


def form(kind, value):
    """A plain value as Notion writes it."""
    if kind in ("title", "rich_text"):
        return texts(value or "")
    if kind in ("select", "status"):
        return {"id": str(uuid.uuid4()), "name": value, "color": "default"} if value else None
    if kind == "multi_select":
        return [{"id": str(uuid.uuid4()), "name": name, "color": "default"} for name in value or []]
    if kind == "date":
        start, _, end = (value or "").partition("/")
        return {"start": start, "end": end or None, "time_zone": None} if start else None
    if kind == "people":
        return [{"object": "user", "id": id} for id in value or []]
    if kind == "relation":
        return [{"id": id} for id in value or []]
    if kind == "checkbox":
        return bool(value)
    return value


def plain(page, name):
    """The text of a property."""
    value = page["properties"][name][SCHEMA[name]]
    return "".join(part["plain_text"] for part in value) if isinstance(value, list) else value


def given(name, property):
    """The plain value of what a request says of a property."""
    kind = SCHEMA.get(name)
    if kind is None:
        raise error(400, "validation_error", f"{name} is not a property that exists.")
    if kind in READ_ONLY:
        raise error(400, "validation_error", f"{name} is a {kind} property, and cannot be updated.")
    if not isinstance(property, dict) or kind not in property:
        raise invalid(f"body.properties.{name}.{kind} should be defined, instead was `undefined`.")
    value = property[kind]
    expected = {"number": (int, float), "checkbox": bool, "title": list, "rich_text": list, "multi_select": list, "people": list, "relation": list, "select": dict, "status": dict, "date": dict}.get(kind, str)
    nullable = kind not in ("title", "rich_text", "multi_select", "people", "relation", "checkbox")
    if not (nullable and value is None) and (not isinstance(value, expected) or (kind == "number" and isinstance(value, bool))):
        raise invalid(f"body.properties.{name}.{kind} should be another type, instead was `{value!r}`.")
    if kind in ("title", "rich_text"):
        if any(len(part["text"]["content"]) > 2000 for part in value):
            raise invalid(f"body.properties.{name}.{kind}[0].text.content.length should be ≤ `2000`.")
        if len(value) > 100:
            raise invalid(f"body.properties.{name}.{kind}.length should be ≤ `100`.")
        return "".join(part["text"]["content"] for part in value)
    if kind in ("select", "status"):
        return value and value["name"]
    if kind == "multi_select":
        return [option["name"] for option in value]
    if kind in ("people", "relation"):
        return [one["id"] for one in value]
    if kind == "date":
        return value and value["start"] + ("/" + value["end"] if value.get("end") else "")
    if kind in ("email", "url", "phone_number") and value == "":
        raise invalid(f"body.properties.{name}.{kind} should not be empty.")
    return value


def shown(page):
    """A page as the API shows it: with what it computes."""
    values = dict(page["properties"])
    name = plain(page, "Name")
    values["Greeting"] = {"id": "greet", "type": "formula", "formula": {"type": "string", "string": f"Dear {name}"}}
    values["Number"] = {"id": "num", "type": "unique_id", "unique_id": {"prefix": "P", "number": page["number"]}}
    values["Edited"] = {"id": "edit", "type": "last_edited_time", "last_edited_time": page["last_edited_time"]}
    rest = {key: value for key, value in page.items() if key != "number"}
    return {**rest, "properties": {key: values[key] for key in SCHEMA if key in values}}


def make(values, source=None):
    id = str(uuid.uuid4())
    now = minute()
    page = {
        "object": "page",
        "id": id,
        "created_time": now,
        "last_edited_time": now,
        "archived": False,
        "in_trash": False,
        "parent": {"type": "data_source_id", "data_source_id": source or DATA_SOURCE},
        "url": f"https://www.notion.so/{id.replace('-', '')}",
        "properties": {},
        "number": len(pages) + 1,
    }
    put(page, {name: values.get(name) for name, kind in SCHEMA.items() if kind not in READ_ONLY})
    pages[id] = page
    return page


def put(page, values):
    for name, value in values.items():
        kind = SCHEMA[name]
        page["properties"][name] = {"id": name[:4].lower(), "type": kind, kind: form(kind, value)}
    page["last_edited_time"] = minute()


def found(id):
    page = pages.get(id)
    if page is None:
        raise error(404, "object_not_found", f"Could not find page with ID: {id}. Make sure the relevant pages and databases are shared with your integration.")
    return page


def source(id):
    if id != DATA_SOURCE:
        raise error(404, "object_not_found", f"Could not find data source with ID: {id}.")


@server.route("GET", "/v1/data_sources/{id}")
def retrieve_data_source(request, id):
    source(id)
    properties = {name: {"id": name[:4].lower(), "name": name, "type": kind, kind: {}} for name, kind in SCHEMA.items()}
    return Reply(200, {"object": "data_source", "id": id, "properties": properties, "title": texts("People")})


def holds(page, filter):
    if not filter:
        return True
    if stamp := filter.get("timestamp"):
        (condition, moment), = filter[stamp].items()
        moment = moment.replace("+00:00", "Z")[:16]
        is_at = page[stamp][:16]
        if condition not in ("on_or_after", "after"):
            raise invalid(f"body.filter.{stamp}.{condition} is not known here")
        return is_at >= moment if condition == "on_or_after" else is_at > moment
    name = filter["property"]
    if name not in SCHEMA:
        raise error(400, "validation_error", f"Could not find property with name or id: {name}")
    return plain(page, name) == filter[SCHEMA[name]]["equals"]


@server.route("POST", "/v1/data_sources/{id}/query", writes=False)
def query_data_source(request, id):
    source(id)
    ask = request.json({})
    size = ask.get("page_size", 100)
    if not 1 <= size <= 100:
        raise invalid(f"body.page_size should be ≤ `100`, instead was `{size}`.")
    in_trash = ask.get("in_trash", False)
    if not isinstance(in_trash, bool):
        raise invalid(f"body.in_trash should be a boolean, instead was `{in_trash!r}`.")
    own = [page for page in pages.values() if page["parent"]["data_source_id"] == id]
    there = [page for page in own if page["in_trash"] == in_trash and holds(page, ask.get("filter"))]
    for sort in ask.get("sorts", []):
        there.sort(key=lambda page: page[sort["timestamp"]], reverse=sort["direction"] == "descending")
    start = 0
    if cursor := ask.get("start_cursor"):
        ids = [page["id"] for page in there]
        if cursor not in ids:
            raise error(400, "validation_error", f"The start_cursor provided is invalid: {cursor}")
        start = ids.index(cursor)
    part, rest = there[start : start + size], there[start + size :]
    return Reply(200, {
        "object": "list",
        "results": [shown(page) for page in part],
        "next_cursor": rest[0]["id"] if rest else None,
        "has_more": bool(rest),
        "type": "page_or_data_source",
    })


@server.route("POST", "/v1/pages")
def create_page(request):
    ask = request.json({})
    if ask.get("parent", {}).get("data_source_id") != DATA_SOURCE:
        raise invalid("body.parent.data_source_id should be that of a data source.")
    return Reply(200, shown(make({name: given(name, value) for name, value in ask.get("properties", {}).items()})))


@server.route("GET", "/v1/pages/{id}")
def retrieve_page(request, id):
    return Reply(200, shown(found(id)))


@server.route("PATCH", "/v1/pages/{id}")
def update_page(request, id):
    page, ask = found(id), request.json({})
    if page["in_trash"] and ask.get("in_trash") is not False:
        raise error(400, "validation_error", "Can't edit block that is archived. You must unarchive the block before editing.")
    values = {name: given(name, value) for name, value in ask.get("properties", {}).items()}
    put(page, values)
    if "in_trash" in ask:
        page["in_trash"] = page["archived"] = ask["in_trash"]
    return Reply(200, shown(page))


@server.control("GET", "/pages")
def all_pages(request):
    return Reply(200, [shown(page) for page in pages.values()])


@server.control("POST", "/pages")
def person_makes(request):
    return Reply(200, shown(make(request.json())))


@server.control("POST", "/data_sources/{id}/pages")
def person_makes_elsewhere(request, id):
    return Reply(200, shown(make(request.json(), id)))


@server.control("PATCH", "/pages/{id}")
def person_edits(request, id):
    put(found(id), request.json())
    return Reply(200, shown(found(id)))


@server.control("DELETE", "/pages/{id}")
def person_deletes(request, id):
    page = found(id)
    page["in_trash"] = page["archived"] = True
    return Reply(204)


if __name__ == "__main__":
    server.main()

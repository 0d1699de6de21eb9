"""Google's People API and Sheets API as their public documentation says: the contacts of one account, and one sheet.

    POST   /token                                     an access token for the refresh token; it holds for an hour
    GET    /v1/people/me/connections                  pageSize, pageToken, requestSyncToken, syncToken, personFields
    GET    /v1/people:batchGet                        200 people at most
    POST   /v1/people:createContact
    PATCH  /v1/people/{id}:updateContact              updatePersonFields, metadata.sources with its etag
    DELETE /v1/people/{id}:deleteContact
    GET    /v4/spreadsheets/{id}/values/{range}
    POST   /v4/spreadsheets/{id}/values:batchUpdate, values/{range}:clear, {id}:batchUpdate with appendCells

What is kept to: a token for pages or for changes holds for the parameters that it was given with; sync tokens expire 7
days after the full sync (EXPIRED_SYNC_TOKEN); deleted contacts come with metadata.deleted; changes are in sync requests
--lag seconds later; a stale etag is FAILED_PRECONDITION; what is in the mask is replaced whole; names and notes are one
alone; cells that hold nothing at the end of a row are not there; a null leaves a cell as it is.

What a person does, with plain values:

    GET, POST /_control/contacts         all of them; {"given_name": "Ada", "email": …}: a new one
    PATCH, DELETE /_control/contacts/{id}
    GET  /_control/sheet                 the cells, row by row
    POST /_control/sheet                 {"rows": [[…], …]}: new rows at the end
    PATCH, DELETE /_control/sheet/{key}  edits the row with the key; takes it away
    POST /_control/sheet/sort            {"column": "City"}: sorts the rows
    POST /_control/sheet/columns         {"columns": ["id", …]}: brings the columns into another order
    POST /_control/expire                every access token and sync token has expired
"""

import re
import uuid

from local_server import Reply, Server

CLIENT = {"client_id": "client.apps.example", "client_secret": "secret", "refresh_token": "1//refresh"}
SPREADSHEET = "1AbC-dEf_GhI"
SHEET, SHEET_ID = "People", 7
WEEK_S = 7 * 86400
HOUR_S = 3600
MASKS = ("names", "emailAddresses", "phoneNumbers", "organizations", "addresses", "biographies", "clientData")
SINGLE = ("names", "biographies")
PLAIN = {
    "given_name": ("names", "givenName"),
    "family_name": ("names", "familyName"),
    "email": ("emailAddresses", "value"),
    "phone": ("phoneNumbers", "value"),
    "company": ("organizations", "name"),
    "title": ("organizations", "title"),
    "city": ("addresses", "city"),
    "note": ("biographies", "value"),
}

server = Server(__doc__, limited=lambda request: error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Critical read requests' and limit 'Critical read requests per minute per user'.", headers={"Retry-After": "1"}))
server.arguments.add_argument("--lag", type=float, default=0, help="after how many seconds changes are in sync requests")
people, order = {}, []
tokens, sync_tokens, page_tokens = {}, {}, {}
grid = [["id", "First name", "Last name", "Email", "City", "Score"]]


def error(status, name, message, reason=None, headers=None):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}] if reason else []
    return Reply(status, {"error": {"code": status, "message": message, "status": name, "details": details}}, headers)


def invalid(message):
    return error(400, "INVALID_ARGUMENT", message)


def seconds():
    return server.clock.now().timestamp()


@server.before_each
def check(request):
    if request.path != "/token" and tokens.get(request.bearer(), 0) <= seconds():
        raise error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")


@server.route("POST", "/token", writes=False)
def token(request):
    form = request.form()
    if form.get("grant_type") != "refresh_token" or any(form.get(name) != value for name, value in CLIENT.items()):
        return Reply(400, {"error": "invalid_grant", "error_description": "Bad Request"})
    access = f"ya29.{uuid.uuid4().hex}"
    tokens[access] = seconds() + HOUR_S
    return Reply(200, {"access_token": access, "expires_in": HOUR_S - 1, "scope": "https://www.googleapis.com/auth/contacts", "token_type": "Bearer"})


# People


def touch(person):
    """Something has changed: the contact has another etag, and comes last among the changes."""
    now = server.clock.now()
    person["etag"] = f"%{uuid.uuid4().hex[:20]}"
    person["at"] = now.timestamp()
    person["updated"] = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    order.append(person["id"])
    person["seq"] = len(order)


def items(mask, list):
    """The items of a list as Google keeps them, with what it works out."""
    kept = []
    for index, item in enumerate(list):
        item = {key: value for key, value in item.items() if value is not None and key != "metadata"}
        if mask == "names":
            name = " ".join(item[part] for part in ("givenName", "familyName") if part in item)
            item |= {"displayName": name, "unstructuredName": name}
        if mask == "phoneNumbers" and "value" in item:
            item["canonicalForm"] = re.sub(r"[^+\d]", "", item["value"])
        kept.append({"metadata": {"primary": index == 0, "source": {"type": "CONTACT"}}, **item})
    return kept


def shown(person, fields):
    masks = fields.split(",")
    if not fields or any(mask not in MASKS + ("metadata",) for mask in masks):
        raise invalid("personFields mask is required. Please specify one or more valid paths.")
    source = {"type": "CONTACT", "id": person["id"], "etag": f"#{person['etag']}", "updateTime": person["updated"]}
    metadata = {"sources": [source], "objectType": "PERSON"}
    held = {mask: person["lists"][mask] for mask in masks if person["lists"].get(mask)}
    if person["deleted"]:
        metadata["deleted"], held = True, {}
    return {"resourceName": f"people/{person['id']}", "etag": person["etag"], **({"metadata": metadata} if "metadata" in masks else {}), **held}


def make(lists):
    person = {"id": f"c{len(people) + 1:017d}", "lists": lists, "deleted": False}
    people[person["id"]] = person
    touch(person)
    return person


def replaced(body, masks):
    """What a request says of the lists in the mask."""
    for mask in masks:
        if mask not in MASKS:
            raise invalid(f'Invalid updatePersonFields mask path: "{mask}"')
        if mask in SINGLE and len(body.get(mask) or []) > 1:
            raise invalid(f"Only one field is allowed for {mask}.")
    return {mask: items(mask, body.get(mask) or []) for mask in masks}


def found(id):
    person = people.get(id)
    if person is None or person["deleted"]:
        raise error(404, "NOT_FOUND", "Requested entity was not found.")
    return person


@server.route("GET", "/v1/people/me/connections")
def connections(request):
    ask = dict(request.query)
    page, sync = ask.pop("pageToken", None), ask.pop("syncToken", None)
    fields = ask.get("personFields", "")
    size = int(ask.get("pageSize") or 100)
    if not 1 <= size <= 1000:
        raise invalid("Request page size must be between 1 and 1000.")
    if page:
        known = page_tokens.get(page)
        if known is None or (known["ask"], known["sync"]) != (ask, sync):
            raise invalid("Page token is invalid, or the parameters are not those of the first call.")
        ids, given = known["ids"], known["given"]
    else:
        there = [person for person in people.values() if person["at"] <= seconds() - (server.options.lag if sync else 0)]
        since, full = 0, seconds()
        if sync:
            known = sync_tokens.get(sync)
            if known is None or known["full"] + WEEK_S < seconds():
                raise error(400, "FAILED_PRECONDITION", "Sync token is expired. Clear local cache and retry call without the sync token.", "EXPIRED_SYNC_TOKEN")
            if known["ask"] != ask:
                raise invalid("Sync token is for other parameters.")
            since, full = known["seq"], known["full"]
        ids = [person["id"] for person in sorted(there, key=lambda person: person["seq"]) if person["seq"] > since and (sync or not person["deleted"])]
        given = None
        if ask.get("requestSyncToken") == "true":
            given = f"sync-{uuid.uuid4().hex}"
            seen = max((person["seq"] for person in there), default=0)
            sync_tokens[given] = {"seq": max(seen, since), "full": full, "ask": ask}
    part, rest = ids[:size], ids[size:]
    reply = {"connections": [shown(people[id], fields) for id in part], "totalItems": len(people)}
    if sync:
        del reply["totalItems"]
    else:
        reply["totalItems"] = sum(not person["deleted"] for person in people.values())
    if rest:
        next = uuid.uuid4().hex
        page_tokens[next] = {"ids": rest, "ask": ask, "sync": sync, "given": given}
        reply["nextPageToken"] = next
    elif given:
        reply["nextSyncToken"] = given
    return Reply(200, reply)


@server.route("GET", "/v1/people:batchGet")
def batch_get(request):
    names = [value for name, value in request.pairs if name == "resourceNames"]
    if not 1 <= len(names) <= 200:
        raise invalid("Between 1 and 200 resource names are allowed.")
    responses = []
    for name in names:
        person = people.get(name.removeprefix("people/"))
        if person is None or person["deleted"]:
            responses.append({"requestedResourceName": name, "status": {"code": 5, "message": "Requested entity was not found."}, "httpStatusCode": 404})
        else:
            responses.append({"requestedResourceName": name, "person": shown(person, request.query.get("personFields", "")), "httpStatusCode": 200})
    return Reply(200, {"responses": responses})


@server.route("POST", "/v1/people:createContact")
def create_contact(request):
    body = request.json({})
    return Reply(200, shown(make(replaced(body, [mask for mask in MASKS if body.get(mask)])), request.query.get("personFields", "")))


@server.route("PATCH", "/v1/people/{id}:updateContact")
def update_contact(request, id):
    person, body = found(id), request.json({})
    masks = [mask for mask in request.query.get("updatePersonFields", "").split(",") if mask]
    if not masks:
        raise invalid("updatePersonFields mask is required. Please specify one or more valid paths.")
    sources = [source for source in body.get("metadata", {}).get("sources", []) if source.get("type") == "CONTACT"]
    if not sources:
        raise invalid("Request must set person.etag or person.metadata.sources.etag for the source that is being updated.")
    if sources[0].get("etag") != f"#{person['etag']}":
        raise error(400, "FAILED_PRECONDITION", "Request person.etag is different than the current person.etag. Clear local cache and get the latest person.", "failedPrecondition")
    person["lists"] |= replaced(body, masks)
    touch(person)
    return Reply(200, shown(person, request.query.get("personFields", "")))


@server.route("DELETE", "/v1/people/{id}:deleteContact")
def delete_contact(request, id):
    person = found(id)
    person["deleted"] = True
    touch(person)
    return Reply(200, {})


def edited(lists, values):
    """The lists with plain values put into their first items."""
    for name, value in values.items():
        mask, part = PLAIN[name]
        first, *rest = lists.get(mask) or [{}]
        lists[mask] = items(mask, [{**first, part: value}, *rest])
    return lists


@server.control("GET", "/contacts")
def all_contacts(request):
    return Reply(200, [shown(person, ",".join(MASKS) + ",metadata") for person in people.values() if not person["deleted"]])


@server.control("POST", "/contacts")
def person_makes(request):
    return Reply(200, {"id": make(edited({}, request.json()))["id"]})


@server.control("PATCH", "/contacts/{id}")
def person_edits(request, id):
    person = found(id)
    edited(person["lists"], request.json())
    touch(person)
    return Reply(204)


@server.control("POST", "/contacts/{id}/lists")
def person_adds(request, id):
    """{"emailAddresses": {"value": "second@…"}}: one more item of a list."""
    person = found(id)
    for mask, item in request.json().items():
        person["lists"][mask] = items(mask, [*person["lists"].get(mask, []), item])
    touch(person)
    return Reply(204)


@server.control("DELETE", "/contacts/{id}")
def person_deletes(request, id):
    return delete_contact(request, id)


@server.control("POST", "/expire")
def expire(request):
    tokens.clear()
    for known in sync_tokens.values():
        known["full"] -= 2 * WEEK_S
    return Reply(204)


# Sheets


def trimmed(list):
    """Without what is empty at its end."""
    list = ["" if cell is None else cell for cell in list]
    while list and list[-1] in ("", []):
        list.pop()
    return list


def rows_of(id, range):
    """The first and the last row of a range, and its first column; both from 0."""
    if id != SPREADSHEET:
        raise error(404, "NOT_FOUND", "Requested entity was not found.")
    named = re.fullmatch(r"'?([^'!]+)'?(?:!([A-Z]*)(\d+)(?::[A-Z]*(\d+))?)?", range)
    if not named or named[1] != SHEET:
        raise invalid(f"Unable to parse range: {range}")
    if named[3] is None:
        return 0, len(grid) - 1, 0
    column = 0
    for letter in named[2] or "A":
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(named[3]) - 1, int(named[4] or named[3]) - 1, column - 1


@server.route("GET", "/v4/spreadsheets/{id}/values/{range}")
def get_values(request, id, range):
    first, last, column = rows_of(id, range)
    values = trimmed([trimmed(row[column:]) for row in grid[first : last + 1]])
    return Reply(200, {"range": range, "majorDimension": "ROWS", **({"values": values} if values else {})})


@server.route("POST", "/v4/spreadsheets/{id}/values:batchUpdate")
def batch_update_values(request, id):
    ask = request.json({})
    if ask.get("valueInputOption") not in ("RAW", "USER_ENTERED"):
        raise invalid("'valueInputOption' is required but not specified")
    places = [(rows_of(id, data["range"]), data) for data in ask["data"]]
    responses = []
    for (first, _, column), data in places:
        cells = 0
        for offset, values in enumerate(data["values"]):
            while len(grid) <= first + offset:
                grid.append([])
            row = grid[first + offset]
            row.extend([""] * (column + len(values) - len(row)))
            for place, value in enumerate(values, column):
                if isinstance(value, (dict, list)):
                    raise invalid("Invalid values: a cell holds text, a number or a boolean")
                if value is not None:
                    row[place] = value
                    cells += 1
        responses.append({"spreadsheetId": id, "updatedRange": data["range"], "updatedCells": cells})
    return Reply(200, {"spreadsheetId": id, "responses": responses})


@server.route("POST", "/v4/spreadsheets/{id}/values/{range}:clear")
def clear_values(request, id, range):
    first, last, _ = rows_of(id, range)
    for row in grid[first : last + 1]:
        row[:] = []
    return Reply(200, {"spreadsheetId": id, "clearedRange": range})


@server.route("POST", "/v4/spreadsheets/{id}:batchUpdate")
def batch_update(request, id):
    rows_of(id, f"'{SHEET}'")
    new = []
    for ask in request.json({})["requests"]:
        (kind, said), = ask.items()
        if kind != "appendCells" or said.get("sheetId") != SHEET_ID or not said.get("fields"):
            raise invalid(f"Invalid requests[{len(new)}].{kind}: No grid with id: {said.get('sheetId')}")
        for row in said["rows"]:
            new.append([next(iter(cell.get("userEnteredValue", {}).values()), "") for cell in row["values"]])
    while len(grid) > 1 and not trimmed(grid[-1]):
        grid.pop()
    grid.extend(new)
    return Reply(200, {"spreadsheetId": id, "replies": [{} for _ in request.json()["requests"]]})


def row_of(key):
    place = grid[0].index("id")
    for row in grid[1:]:
        if place < len(row) and str(row[place]) == key:
            return row
    raise Reply(404, {"message": f"there is no row {key}"})


@server.control("GET", "/sheet")
def sheet(request):
    return Reply(200, grid)


@server.control("POST", "/sheet")
def person_adds_rows(request):
    grid.extend(request.json()["rows"])
    return Reply(204)


@server.control("PATCH", "/sheet/{key}")
def person_edits_row(request, key):
    row = row_of(key)
    for name, value in request.json().items():
        place = grid[0].index(name)
        row.extend([""] * (place + 1 - len(row)))
        row[place] = value
    return Reply(204)


@server.control("DELETE", "/sheet/{key}")
def person_deletes_row(request, key):
    grid.remove(row_of(key))
    return Reply(204)


@server.control("POST", "/sheet/sort")
def person_sorts(request):
    place = grid[0].index(request.json()["column"])
    grid[1:] = sorted((row for row in grid[1:] if row), key=lambda row: str(row[place]) if place < len(row) else "")
    return Reply(204)


@server.control("POST", "/sheet/columns")
def person_moves_columns(request):
    names = request.json()["columns"]
    places = [grid[0].index(name) for name in names]
    grid[:] = [[row[place] if place < len(row) else "" for place in places] for row in grid]
    return Reply(204)


if __name__ == "__main__":
    server.main()

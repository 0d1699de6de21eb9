"""A HubSpot account on this machine: its CRM API, as far as the connector and its tests need it.

Documented at developers.hubspot.com: objects (list with `after`, `archived=true`), search (10,000 results at most, whose
index lags behind), batch read, create, update, upsert and archive (100 a request, 207 with `objectWriteTraceId` where some
fail), associations v4, properties, limits of ten seconds and of a day with their headers. Values are text; an empty one
clears a property; addresses are kept in lower case.

What a person does there, under `/_control`:

    POST   /objects/contacts          {"email": "ada@engines.example"}: a new record; -> {"id": ...}
    PATCH  /objects/contacts/{id}     edits it; `email=ada@engines.example` does for an id, here and below
    DELETE /objects/contacts/{id}     archives it
    GET    /objects/contacts          the properties of all that are there
    POST   /associations              {"contact": id, "company": id}
    POST   /many/contacts             {"count": 25000, "at": "2025-01-01T00:00:00Z"}: so many that were changed at one time
"""

from datetime import datetime, timedelta, timezone

from local_server import Reply, Server

TOKEN = "pat-local"
BATCH_MAX = 100
NUMBERS = {"contacts": "contact", "companies": "company"}

# Type, and whether only HubSpot sets it.
SYSTEM = {"hs_object_id": ("number", True), "createdate": ("datetime", True)}
MODIFIED = {"contacts": "lastmodifieddate", "companies": "hs_lastmodifieddate"}
PROPERTIES = {
    "contacts": {
        **{name: ("string", False) for name in ("firstname", "lastname", "email", "phone", "city", "jobtitle", "company", "syncline_id")},
        "numemployees": ("number", False), "lifecyclestage": ("enumeration", False), "lastmodifieddate": ("datetime", True), **SYSTEM,
    },
    "companies": {**{name: ("string", False) for name in ("name", "domain", "phone", "city", "syncline_id")}, "hs_lastmodifieddate": ("datetime", True), **SYSTEM},
}
UNIQUE = {"contacts": ("email", "syncline_id"), "companies": ("syncline_id",)}
LIFECYCLE = ("subscriber", "lead", "opportunity", "customer", "other")

server = Server(__doc__, limited=lambda request: too_many("TEN_SECONDLY_ROLLING", "ten_secondly_rolling"))
server.arguments.add_argument("--lag-s", type=float, default=0, help="how far the search index is behind, in seconds")
server.arguments.add_argument("--search-max", type=int, default=10_000, help="the most results of one search")
server.arguments.add_argument("--interval-max", type=int, default=190, help="calls in ten seconds")
server.arguments.add_argument("--daily-max", type=int, default=650_000, help="calls a day")


class Account:
    def __init__(self):
        self.records = {name: {} for name in PROPERTIES}
        self.unique = {(name, field): {} for name, fields in UNIQUE.items() for field in fields}
        # What the search index knows: for each record its versions, the newest last, with when each was made.
        self.index = {name: {} for name in PROPERTIES}
        self.associations = set()
        self.made = 100
        self.day = 0
        self.window = (datetime.min.replace(tzinfo=timezone.utc), 0)


account = Account()


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(text):
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, timezone.utc)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def problem(status, category, message, **more):
    return Reply(status, {"status": "error", "message": message, "correlationId": "0-0", "category": category, **more})


def too_many(policy, name):
    headers = {"Retry-After": "1"} if policy == "TEN_SECONDLY_ROLLING" else {}
    reply = {"status": "error", "message": f"You have reached your {name} limit.", "errorType": "RATE_LIMIT", "correlationId": "0-0", "policyName": policy}
    return Reply(429, reply, headers)


@server.before_each
def allowed(request):
    if request.bearer() != TOKEN:
        raise problem(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
    since, calls = account.window
    now = server.clock.now()
    if now - since >= timedelta(seconds=10):
        since, calls = now, 0
    account.window = (since, calls + 1)
    if calls >= server.options.interval_max:
        raise too_many("TEN_SECONDLY_ROLLING", "ten_secondly_rolling")
    account.day += 1
    if account.day > server.options.daily_max:
        raise too_many("DAILY", "daily")


@server.after_each
def limits_said(request, reply):
    options = server.options
    reply.headers.update({
        "X-HubSpot-RateLimit-Daily": str(options.daily_max),
        "X-HubSpot-RateLimit-Daily-Remaining": str(max(options.daily_max - account.day, 0)),
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        "X-HubSpot-RateLimit-Max": str(options.interval_max),
        "X-HubSpot-RateLimit-Remaining": str(max(options.interval_max - account.window[1], 0)),
    })


# Records.


class Wrong(Exception):
    """Why one record is refused."""

    def __init__(self, category, message, **context):
        super().__init__(message)
        self.category, self.context = category, context


def object_of(name):
    if name not in PROPERTIES:
        raise problem(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")
    return PROPERTIES[name]


def cleaned(name, properties):
    kept = {}
    for field, value in (properties or {}).items():
        kind, is_read_only = object_of(name).get(field, (None, False))
        if kind is None:
            raise Wrong("VALIDATION_ERROR", f'Property values were not valid: [{{"isValid":false,"message":"Property \\"{field}\\" does not exist","error":"PROPERTY_DOESNT_EXIST","name":"{field}"}}]')
        if is_read_only:
            raise Wrong("VALIDATION_ERROR", f'Property values were not valid: [{{"isValid":false,"message":"\\"{field}\\" is a read only property","error":"READ_ONLY_VALUE","name":"{field}"}}]')
        if value is None:
            continue
        value = str(value).strip()
        if field == "email":
            value = value.lower()
            if value and ("@" not in value or " " in value):
                raise Wrong("VALIDATION_ERROR", f'Property values were not valid: [{{"isValid":false,"message":"Email address {value} is invalid","error":"INVALID_EMAIL","name":"email"}}]')
        if field == "lifecyclestage" and value and value not in LIFECYCLE:
            raise Wrong("VALIDATION_ERROR", f'Property values were not valid: [{{"isValid":false,"message":"{value} was not one of the allowed options","error":"INVALID_OPTION","name":"lifecyclestage"}}]')
        kept[field] = value or None
    return kept


def put(name, record, kept, moment=None):
    now = stamp(moment or server.clock.now())
    for field in UNIQUE[name]:
        owner = account.unique[name, field].get(kept.get(field))
        if kept.get(field) and owner not in (None, record["id"]):
            raise Wrong("CONFLICT", f"A contact with that {field} already exists. Existing ID: {owner}", ids=[owner])
    for field in UNIQUE[name]:
        if field in kept:
            account.unique[name, field].pop(record["properties"].get(field), None)
            if kept[field]:
                account.unique[name, field][kept[field]] = record["id"]
    record["properties"].update(kept)
    record["properties"][MODIFIED[name]] = record["updatedAt"] = now
    index(name, record)
    return record


def index(name, record):
    versions = account.index[name].setdefault(record["id"], [])
    copy = {**record, "properties": dict(record["properties"])}
    versions.append((server.clock.now(), copy))
    del versions[:-8]


def create(name, properties, moment=None):
    kept = cleaned(name, properties)
    account.made += 1
    now = stamp(moment or server.clock.now())
    record = {"id": str(account.made), "properties": dict.fromkeys(PROPERTIES[name]), "createdAt": now, "updatedAt": now, "archived": False}
    record["properties"].update(createdate=now, hs_object_id=record["id"])
    put(name, record, kept, moment)
    account.records[name][record["id"]] = record
    return record


def living(name, id, by=None):
    id = account.unique[name, by].get(id.lower() if by == "email" else id) if by else id
    record = account.records[name].get(id)
    if record is None or record["archived"]:
        raise Wrong("OBJECT_NOT_FOUND", "Could not get some objects, they may be deleted or not exist. Check that ids are valid.")
    return record


def archive(name, record):
    now = stamp(server.clock.now())
    for field in UNIQUE[name]:
        account.unique[name, field].pop(record["properties"].get(field), None)
    record.update(archived=True, archivedAt=now)
    index(name, record)


def shown(record, properties):
    always = [name for name in ("createdate", "hs_object_id", *MODIFIED.values()) if name in record["properties"]]
    wanted = [*properties, *(name for name in always if name not in properties)]
    return {**record, "properties": {name: record["properties"].get(name) for name in wanted}}


BASE = "/crm/v3/objects/{name}"


@server.route("GET", BASE)
def list_objects(request, name):
    object_of(name)
    limit = min(int(request.query.get("limit", 10)), 100)
    after = int(request.query.get("after") or 0)
    archived = request.query.get("archived") == "true"
    properties = [one for one in request.query.get("properties", "").split(",") if one]
    records = [one for one in account.records[name].values() if one["archived"] == archived and int(one["id"]) > after]
    reply = {"results": [shown(one, properties) for one in records[:limit]]}
    if len(records) > limit:
        last = records[limit - 1]["id"]
        reply["paging"] = {"next": {"after": last, "link": f"{server.url}/crm/v3/objects/{name}?after={last}"}}
    return Reply(200, reply)


def matches(record, condition):
    name, operator = condition["propertyName"], condition["operator"]
    value, wanted = record["properties"].get(name), condition.get("value")
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return (value is not None) == (operator == "HAS_PROPERTY")
    if value is None:
        return False
    if name in ("createdate", *MODIFIED.values()):
        value, wanted = moment_of(value), moment_of(str(wanted))
    elif name == "hs_object_id":
        value, wanted = int(value), int(wanted)
    return {"EQ": value == wanted, "NEQ": value != wanted, "GT": value > wanted, "GTE": value >= wanted, "LT": value < wanted, "LTE": value <= wanted}[operator]


@server.route("POST", BASE + "/search", writes=False)
def search(request, name):
    object_of(name)
    asked = request.json()
    limit, after = asked.get("limit", 10), int(asked.get("after") or 0)
    if limit > 200 or after + limit > server.options.search_max:
        raise problem(400, "VALIDATION_ERROR", f"paging through more than {server.options.search_max} results is not supported")
    until = server.clock.now() - timedelta(seconds=server.options.lag_s)
    found = []
    for versions in account.index[name].values():
        # The index answers with what it knows, which may be of a while ago.
        known = [record for at, record in versions if at <= until]
        if known and not known[-1]["archived"]:
            groups = asked.get("filterGroups") or [{"filters": []}]
            if any(all(matches(known[-1], one) for one in group["filters"]) for group in groups):
                found.append(known[-1])
    for sort in asked.get("sorts", []):
        key = sort["propertyName"]
        number = key == "hs_object_id"
        found.sort(key=lambda one: int(one["properties"][key]) if number else one["properties"][key] or "", reverse=sort.get("direction") == "DESCENDING")
    page = found[after : after + limit]
    reply = {"total": len(found), "results": [shown(one, asked.get("properties", [])) for one in page]}
    if after + limit < len(found):
        reply["paging"] = {"next": {"after": str(after + limit)}}
    return Reply(200, reply)


def each(request, act):
    """Does `act` to each input of a batch: all of them, or, where each has a trace id, those that can be done."""
    inputs = request.json()["inputs"]
    if len(inputs) > BATCH_MAX:
        raise problem(400, "VALIDATION_ERROR", f"The maximum batch size is {BATCH_MAX}")
    results, errors = [], []
    traced = all(one.get("objectWriteTraceId") for one in inputs)
    for one in inputs:
        trace = one.get("objectWriteTraceId")
        try:
            result = act(one)
            results.append({**result, "objectWriteTraceId": trace} if trace else result)
        except Wrong as wrong:
            status = {"CONFLICT": 409, "OBJECT_NOT_FOUND": 404}.get(wrong.category, 400)
            if not traced:
                raise problem(status, wrong.category, str(wrong), context=wrong.context)
            errors.append({"status": "error", "category": wrong.category, "message": str(wrong), "context": {**wrong.context, "objectWriteTraceId": [trace]}})
    now = stamp(server.clock.now())
    reply = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if errors:
        reply.update(numErrors=len(errors), errors=errors)
    return Reply(207 if errors else 200, reply)


@server.route("POST", BASE + "/batch/read", writes=False)
def batch_read(request, name):
    object_of(name)
    asked = request.json()
    results, missing = [], []
    if len(asked["inputs"]) > BATCH_MAX:
        raise problem(400, "VALIDATION_ERROR", f"The maximum batch size is {BATCH_MAX}")
    for one in asked["inputs"]:
        try:
            results.append(shown(living(name, one["id"], asked.get("idProperty")), asked.get("properties", [])))
        except Wrong:
            missing.append(one["id"])
    reply = {"status": "COMPLETE", "results": results}
    if missing:
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects, they may be deleted or not exist. Check that ids are valid.", "context": {"ids": missing}}
        reply.update(numErrors=1, errors=[error])
    return Reply(207 if missing else 200, reply)


@server.route("POST", BASE + "/batch/create")
def batch_create(request, name):
    return each(request, lambda one: create(name, one["properties"]))


@server.route("POST", BASE + "/batch/update")
def batch_update(request, name):
    def act(one):
        record = living(name, one["id"], one.get("idProperty"))
        return shown(put(name, record, cleaned(name, one["properties"])), list(one["properties"]))

    return each(request, act)


@server.route("POST", BASE + "/batch/upsert")
def batch_upsert(request, name):
    def act(one):
        by = one.get("idProperty")
        if by not in UNIQUE[object_of(name) and name]:
            raise Wrong("VALIDATION_ERROR", f"Property {by} is not unique")
        known = account.unique[name, by].get(one["id"])
        properties = {**one["properties"], by: one["id"]}
        if known:
            record = put(name, account.records[name][known], cleaned(name, properties))
        else:
            record = create(name, properties)
        return {**shown(record, list(properties)), "new": known is None}

    return each(request, act)


@server.route("POST", BASE + "/batch/archive")
def batch_archive(request, name):
    # What is archived already is no error.
    for one in request.json()["inputs"]:
        record = account.records[name].get(one["id"])
        if record and not record["archived"]:
            archive(name, record)
    return Reply(204)


@server.route("GET", "/crm/v3/properties/{name}")
def properties(request, name):
    listed = [
        {"name": field, "label": field, "type": kind, "fieldType": "text", "hasUniqueValue": field in UNIQUE[name], "modificationMetadata": {"readOnlyValue": read_only}}
        for field, (kind, read_only) in object_of(name).items()
    ]
    return Reply(200, {"results": listed})


# Associations.

LABEL = {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}


@server.route("POST", "/crm/v4/associations/contacts/companies/batch/read", writes=False)
def associations_read(request):
    results = []
    for one in request.json()["inputs"]:
        to = [company for contact, company in sorted(account.associations) if contact == one["id"]]
        if to:
            results.append({"from": {"id": one["id"]}, "to": [{"toObjectId": int(company), "associationTypes": [LABEL]} for company in to]})
    return Reply(200, {"status": "COMPLETE", "results": results})


@server.route("GET", "/crm/v4/objects/contacts/{contact}/associations/companies")
def associations_of(request, contact):
    to = [company for one, company in sorted(account.associations) if one == contact]
    return Reply(200, {"results": [{"toObjectId": int(company), "associationTypes": [LABEL]} for company in to]})


@server.route("PUT", "/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}")
def associate(request, contact, company):
    for name, id in (("contacts", contact), ("companies", company)):
        if id not in account.records[name] or account.records[name][id]["archived"]:
            raise problem(404, "OBJECT_NOT_FOUND", f"{NUMBERS[name]} {id} does not exist")
    account.associations.add((contact, company))
    return Reply(200, {"status": "COMPLETE", "results": [{"from": {"id": contact}, "to": {"id": company}}]})


@server.route("DELETE", "/crm/v4/objects/contacts/{contact}/associations/companies/{company}")
def dissociate(request, contact, company):
    account.associations.discard((contact, company))
    return Reply(204)


# What a person does.


def id_of(name, text):
    field, is_field, value = text.partition("=")
    return account.unique[name, field].get(value, text) if is_field else text


@server.control("POST", "/objects/{name}")
def person_makes(request, name):
    made = request.json()
    ids = [create(name, one)["id"] for one in (made if isinstance(made, list) else [made])]
    return Reply(201, {"id": ids[0], "ids": ids})


@server.control("PATCH", "/objects/{name}/{id}")
def person_edits(request, name, id):
    return Reply(200, put(name, living(name, id_of(name, id)), cleaned(name, request.json())))


@server.control("DELETE", "/objects/{name}/{id}")
def person_archives(request, name, id):
    archive(name, living(name, id_of(name, id)))
    return Reply(204)


@server.control("GET", "/objects/{name}")
def person_sees(request, name):
    return Reply(200, [one["properties"] for one in account.records[name].values() if not one["archived"]])


@server.control("POST", "/associations")
def person_associates(request):
    asked = request.json()
    account.associations.add((asked["contact"], asked["company"]))
    return Reply(204)


@server.control("POST", "/many/{name}")
def person_imports(request, name):
    asked = request.json()
    moment = moment_of(asked["at"]) if "at" in asked else server.clock.now()
    for number in range(asked["count"]):
        create(name, {"firstname": f"First {number}", "lastname": f"Last {number}", "email": f"person{account.made}@many.example"}, moment)
    return Reply(201, {"count": asked["count"]})


if __name__ == "__main__":
    server.main()

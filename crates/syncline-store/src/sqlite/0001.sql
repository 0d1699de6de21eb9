-- Read with: sqlite3 FILE. Row numbers inside; outside, a shard is known by its UUID.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE shard_type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE edge_kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- connection is empty for a field pseudo-entity, whose entity is the field's name.
CREATE TABLE entity (
  id INTEGER PRIMARY KEY,
  connection TEXT NOT NULL,
  entity TEXT NOT NULL,
  shard_type TEXT NOT NULL,
  UNIQUE (connection, entity, shard_type)
) STRICT;

-- created and changed are executions; times are microseconds since 1970.
CREATE TABLE shard (
  id INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  uuid BLOB NOT NULL,
  version INTEGER NOT NULL,
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  deleted_at INTEGER,
  merged_into INTEGER,
  data TEXT NOT NULL
) STRICT;

-- image is NULL where it equals the shard's data.
CREATE TABLE link (
  id INTEGER PRIMARY KEY,
  entity INTEGER NOT NULL,
  external_id TEXT NOT NULL,
  shard INTEGER NOT NULL,
  hash BLOB NOT NULL,
  modified INTEGER,
  observed INTEGER NOT NULL,
  execution INTEGER NOT NULL,
  contributor TEXT,
  deleted INTEGER NOT NULL,
  image TEXT
) STRICT;
CREATE UNIQUE INDEX link_record ON link (entity, external_id);
CREATE INDEX link_deleted ON link (entity) WHERE deleted;

-- key is a 64-bit hash, as a signed number.
CREATE TABLE match_key (
  key INTEGER NOT NULL,
  link INTEGER NOT NULL,
  PRIMARY KEY (key, link)
) STRICT, WITHOUT ROWID;

-- Keys of the last commits, on their way into match_key: pairs of key and link, 8 bytes each, highest first;
-- a negative link lost the key.
CREATE TABLE key_log (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL) STRICT;

-- Each pair stands here twice, once from either side.
CREATE TABLE match_edge (
  a INTEGER NOT NULL,
  b INTEGER NOT NULL,
  score REAL NOT NULL,
  rule INTEGER NOT NULL,
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;

-- entity and target name a record (or a field's value), not a link: it may not have arrived.
CREATE TABLE edge (
  link INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  entity INTEGER NOT NULL,
  target TEXT NOT NULL,
  PRIMARY KEY (link, kind, entity, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE merge_log (
  id INTEGER PRIMARY KEY,
  survivor INTEGER NOT NULL,
  loser INTEGER NOT NULL,
  a INTEGER,
  b INTEGER,
  score REAL,
  rule INTEGER,
  execution INTEGER NOT NULL
) STRICT;

CREATE TABLE review (
  a INTEGER NOT NULL,
  b INTEGER NOT NULL,
  score REAL NOT NULL,
  rule INTEGER NOT NULL,
  execution INTEGER NOT NULL,
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;

-- What was there before: subject is a shard (kind 0; version is its own) or a link (kind 1; version is
-- the row number of its shard).
CREATE TABLE change (
  id INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  version INTEGER NOT NULL,
  before TEXT NOT NULL
) STRICT;

CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  task TEXT NOT NULL,
  source TEXT NOT NULL,
  line INTEGER NOT NULL,
  external_id TEXT,
  phase TEXT NOT NULL,
  problem TEXT NOT NULL,
  payload TEXT NOT NULL,
  replayed INTEGER
) STRICT;

CREATE TABLE unsettled (id INTEGER PRIMARY KEY, link INTEGER NOT NULL UNIQUE) STRICT;

-- checkpoint is NULL until the first batch is committed.
CREATE TABLE execution (
  id INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,
  task TEXT NOT NULL,
  trigger TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  status TEXT NOT NULL,
  started INTEGER NOT NULL,
  finished INTEGER,
  error TEXT,
  checkpoint TEXT
) STRICT;

-- The links that a running full read has met, a bit for each; gone when it ends.
CREATE TABLE seen (execution INTEGER PRIMARY KEY, bits BLOB NOT NULL) STRICT;

CREATE TABLE sync_task (
  task TEXT PRIMARY KEY,
  cursor TEXT,
  high_water INTEGER,
  runs INTEGER NOT NULL DEFAULT 0,
  successes INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  counters TEXT NOT NULL DEFAULT '{}',
  last_finished INTEGER,
  last_status TEXT
) STRICT, WITHOUT ROWID;

-- A row while an execution of the task runs.
CREATE TABLE lease (
  task TEXT PRIMARY KEY,
  execution INTEGER NOT NULL,
  token INTEGER NOT NULL,
  worker TEXT NOT NULL,
  since INTEGER NOT NULL,
  heartbeat INTEGER NOT NULL,
  cancel INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

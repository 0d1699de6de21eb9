-- Match rules keep their number when others come, go or change places.
CREATE TABLE match_rule (
  id INTEGER PRIMARY KEY,
  shard_type TEXT NOT NULL,
  rule TEXT NOT NULL,
  UNIQUE (shard_type, rule)
) STRICT;

-- zone is 1 for a match, 0 for a pair that a person is asked about. Pairs that wait for a person are found
-- among these: a list of its own would outlive what speaks for it.
ALTER TABLE match_edge ADD COLUMN zone INTEGER NOT NULL DEFAULT 1;
CREATE INDEX match_edge_review ON match_edge (a, b) WHERE zone = 0 AND a < b;
DROP TABLE review;

-- What a person decided of two records: verdict 1 for the same, 0 for not the same. Each pair stands here
-- twice, once from either side.
CREATE TABLE decision (
  a INTEGER NOT NULL,
  b INTEGER NOT NULL,
  verdict INTEGER NOT NULL,
  decided_by TEXT NOT NULL,
  at INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;

-- waterfall is the JSON of the comparisons as they were then; decided_by is a person, where one decided;
-- records is the JSON of [link, shard] pairs: who was where before.
ALTER TABLE merge_log ADD COLUMN waterfall TEXT;
ALTER TABLE merge_log ADD COLUMN decided_by TEXT;
ALTER TABLE merge_log ADD COLUMN records TEXT;

-- The same records by link, for giving a shard that comes apart its old id back; merge orders a link's rows.
CREATE TABLE merge_record (
  link INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  merge INTEGER NOT NULL,
  PRIMARY KEY (link, shard)
) STRICT, WITHOUT ROWID;

-- Under which match rules the records of a shard type are matched, and how far that is while they change: JSON.
CREATE TABLE matched (type INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;

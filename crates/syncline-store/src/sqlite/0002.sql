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

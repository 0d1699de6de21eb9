-- What link and shard last agreed on, by field, as far as it does not follow from the link's image: JSON, in which
-- s is the shard's side, r the record's (an empty list: absent). version is what the record's system calls it.
CREATE TABLE base (
  link INTEGER PRIMARY KEY,
  version TEXT,
  fields TEXT
) STRICT;

-- When values of a shard came to be that some record has not got yet: JSON, by field.
CREATE TABLE shard_stamp (shard INTEGER PRIMARY KEY, fields TEXT NOT NULL) STRICT;

-- Writes that outside systems are owed, or were. kind is 0 create, 1 update, 2 delete; state 0 planned, 1 sent (nobody
-- knows whether it arrived), 2 given up but may still arrive, 3 waits for a person, 4 rejected, 5 done. link is the
-- record's; for a creation, that of a record of the same shard.
CREATE TABLE intent (
  id INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  entity INTEGER NOT NULL,
  link INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  body TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  sent INTEGER,
  problem TEXT
) STRICT;
CREATE INDEX intent_link ON intent (link) WHERE state < 4;
CREATE INDEX intent_entity ON intent (entity, state) WHERE state < 4;

-- Fields that shard and record both changed; story is the whole of it as JSON.
CREATE TABLE conflict (
  id INTEGER PRIMARY KEY,
  link INTEGER NOT NULL,
  field TEXT NOT NULL,
  status TEXT NOT NULL,
  story TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX conflict_open ON conflict (link, field) WHERE status = 'open';

-- How far an entity is in being given the shards that were there before: JSON.
CREATE TABLE swept (entity INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;

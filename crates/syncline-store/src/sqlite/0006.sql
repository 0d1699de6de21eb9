-- Marks of records that were erased: a keyed hash of the record's name, which tells nothing of it. The key is in meta.
CREATE TABLE erased (mark BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

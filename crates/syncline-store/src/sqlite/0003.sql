-- What the row of a shared derived record says of when and by whom, where that changed since it was written: it
-- changes with nearly every record that shares it, and here these changes lie on few pages.
CREATE TABLE stamp (
  link INTEGER PRIMARY KEY,
  modified INTEGER,
  observed INTEGER NOT NULL,
  execution INTEGER NOT NULL,
  contributor TEXT NOT NULL
) STRICT;

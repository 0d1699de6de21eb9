-- Records that systems said had changed, and that were not looked at since; an empty id stands for whatever is new.
-- One that is named again gets a number that was never used, so that a look which began before is not taken for the last.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    external_id TEXT NOT NULL,
    UNIQUE (task, external_id)
) STRICT;

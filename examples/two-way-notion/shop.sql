-- What the shop keeps.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    full_name TEXT NOT NULL,
    mail TEXT UNIQUE,
    telephone TEXT,
    town TEXT,
    is_vip BOOLEAN NOT NULL DEFAULT 0,
    score REAL,
    stage TEXT,
    since TEXT,
    changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);

CREATE TRIGGER touch AFTER UPDATE ON customers WHEN NEW.changed_at = OLD.changed_at BEGIN
    UPDATE customers SET changed_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = NEW.id;
END;

INSERT INTO customers (full_name, mail, telephone, town, is_vip, score, changed_at) VALUES
    ('Ada Lovelace', 'ada@engines.example', '+44 20 7946 0001', 'London', 1, 9.5, '2025-03-10T09:00:00Z'),
    ('Grace Hopper', 'grace@compilers.example', '+1 212 555 0100', 'Arlington', 0, NULL, '2025-03-12T09:00:00Z'),
    ('Katherine Johnson', 'katherine@orbits.example', '+1 757 555 0101', 'Hampton', 0, NULL, '2025-03-08T09:00:00Z'),
    ('Margaret Hamilton', 'margaret@apollo.example', NULL, 'Boston', 0, NULL, '2025-03-09T09:00:00Z');

-- What the shop keeps.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first_name TEXT,
    last_name TEXT,
    mail TEXT UNIQUE,
    telephone TEXT,
    town TEXT,
    score REAL,
    changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);

CREATE TRIGGER touch AFTER UPDATE ON customers WHEN NEW.changed_at = OLD.changed_at BEGIN
    UPDATE customers SET changed_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = NEW.id;
END;

INSERT INTO customers (first_name, last_name, mail, telephone, town, score, changed_at) VALUES
    ('Ada', 'Lovelace', 'ada@engines.example', '+44 20 7946 0001', 'London', 9.5, '2025-03-10T09:00:00Z'),
    ('Grace', 'Hopper', 'grace@compilers.example', '+1 212 555 0100', 'Arlington', NULL, '2025-03-12T09:00:00Z'),
    ('Margaret', 'Hamilton', 'margaret@apollo.example', NULL, 'Boston', NULL, '2025-03-09T09:00:00Z');

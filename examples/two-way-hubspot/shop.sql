-- What the shop keeps.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first_name TEXT,
    last_name TEXT NOT NULL,
    mail TEXT,
    telephone TEXT,
    town TEXT,
    changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE TRIGGER touch AFTER UPDATE ON customers FOR EACH ROW WHEN NEW.changed_at = OLD.changed_at BEGIN
    UPDATE customers SET changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

INSERT INTO customers (first_name, last_name, mail, telephone, town, changed_at) VALUES
    ('Ada', 'Lovelace', 'ada@engines.example', '+44 20 7946 0001', 'London', '2025-03-10T09:00:00Z'),
    ('Grace', 'Hopper', 'grace@compilers.example', '+1 212 555 0100', 'Arlington', '2025-03-12T09:00:00Z'),
    ('Katherine', 'Johnson', 'katherine@orbits.example', '+1 757 555 0101', 'Hampton', '2025-03-08T09:00:00Z'),
    ('Margaret', 'Hamilton', 'margaret@apollo.example', NULL, 'Boston', '2025-03-09T09:00:00Z');

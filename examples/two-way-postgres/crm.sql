-- What the sales people keep: a table that was there before Syncline, with rules of its own.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_name text NOT NULL,
    last_name text NOT NULL,
    email text UNIQUE,
    phone text,
    city text,
    credit_limit numeric(12, 2) NOT NULL DEFAULT 0,
    newsletter boolean,
    -- Computed here: read, and never written.
    rating text GENERATED ALWAYS AS (CASE WHEN credit_limit >= 1000 THEN 'A' ELSE 'B' END) STORED,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION touch_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch_customer();

INSERT INTO customers (first_name, last_name, email, phone, city, credit_limit, updated_at) VALUES
    ('Ada', 'Lovelace', 'ada@engines.example', '+44 20 7946 0001', 'London', 1500.00, '2025-03-01 09:00:00Z'),
    ('Charles', 'Babbage', 'Charles.Babbage@Engines.example', '+44 20 7946 0002', 'London', 900.50, '2025-03-02 09:00:00Z'),
    ('Grace', 'Hopper', 'grace@compilers.example', NULL, 'New York', 2500.00, '2025-03-03 09:00:00Z'),
    ('Alan', 'Turing', 'alan@bletchley.example', '+44 1908 640404', 'Bletchley', 0.00, '2025-03-04 09:00:00Z'),
    ('Edsger', 'Dijkstra', 'edsger@paths.example', '+31 40 247 9111', 'Nuenen', 700.00, '2025-03-05 09:00:00Z');

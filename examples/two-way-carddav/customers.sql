-- What the sales people keep.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text UNIQUE,
    phone text,
    city text,
    company text,
    birthday date,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION touch_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch_customer();

INSERT INTO customers (name, email, phone, city, company, birthday, updated_at) VALUES
    ('Ada Lovelace', 'ada@engines.example', NULL, 'London', 'Analytical Engines', '1815-12-10', '2025-03-01 09:00:00Z'),
    ('Charles Babbage', 'Charles@Engines.example', '+44 20 7946 0002', NULL, 'Analytical Engines', NULL, '2025-03-02 09:00:00Z'),
    ('Grace Hopper', 'grace@compilers.example', '+1 212 555 0100', 'Arlington', 'Navy; "Reserve", retired', '1906-12-09', '2025-03-03 09:00:00Z');

-- What the shop keeps.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    full_name text NOT NULL,
    mail text UNIQUE,
    telephone text,
    town text,
    is_vip boolean,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();

INSERT INTO customers (full_name, mail, telephone, town, is_vip, changed_at) VALUES
    ('Ada Lovelace', 'ada@engines.example', '+44 20 7946 0001', 'London', true, '2025-03-10 09:00:00Z'),
    ('Grace Hopper', 'grace@compilers.example', '+1 212 555 0100', 'Arlington', false, '2025-03-12 09:00:00Z'),
    ('Katherine Johnson', 'katherine@orbits.example', '+1 757 555 0101', 'Hampton', NULL, '2025-03-08 09:00:00Z'),
    ('Margaret Hamilton', 'margaret@apollo.example', NULL, 'Boston', NULL, '2025-03-09 09:00:00Z');

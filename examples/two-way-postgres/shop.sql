-- What the shop keeps: other names, other shapes, other habits.
CREATE SEQUENCE account_number START 101;
CREATE TABLE accounts (
    account_no text PRIMARY KEY DEFAULT 'A-' || nextval('account_number'),
    name text NOT NULL,
    mail text NOT NULL UNIQUE CHECK (mail LIKE '%_@_%'),
    telephone varchar(24),
    town text,
    credit_cents bigint NOT NULL DEFAULT 0,
    newsletter char(1) CHECK (newsletter IN ('Y', 'N')),
    -- The shop alone counts them.
    orders integer NOT NULL DEFAULT 0,
    row_version bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- The shop tidies up whatever it is given: what is written is not what is read back.
CREATE FUNCTION tidy_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.mail := lower(btrim(NEW.mail));
    NEW.telephone := regexp_replace(NEW.telephone, '[^0-9+]', '', 'g');
    IF TG_OP = 'UPDATE' THEN
        NEW.row_version := OLD.row_version + 1;
        NEW.changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION tidy_account();

INSERT INTO accounts (name, mail, telephone, town, credit_cents, orders, changed_at) VALUES
    ('Ada Lovelace', 'ada@engines.example', '+442079460001', 'London', 150000, 12, '2025-03-10 09:00:00Z'),
    ('Charles Babbage', 'charles.babbage@engines.example', '+442079460002', 'Cambridge', 90050, 3, '2025-03-01 09:00:00Z'),
    ('Grace Hopper', 'grace@compilers.example', '+12125550100', 'Arlington', 250000, 7, '2025-03-12 09:00:00Z'),
    ('Katherine Johnson', 'katherine@orbits.example', '+17575550101', 'Hampton', 310000, 21, '2025-03-08 09:00:00Z'),
    ('Margaret Hamilton', 'margaret@apollo.example', NULL, 'Boston', 0, 1, '2025-03-09 09:00:00Z');

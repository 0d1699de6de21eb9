-- A day later, in the table: a move, a number, and a customer who is new.
UPDATE customers SET city = 'Ockham' WHERE email = 'ada@engines.example';
UPDATE customers SET phone = '+44 20 7946 0777' WHERE name = 'Charles Babbage';
INSERT INTO customers (name, email, city) VALUES ('Barbara Liskov', 'barbara@types.example', 'Boston');

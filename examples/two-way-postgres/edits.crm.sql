-- A day later, in the CRM: a move, a new limit, a customer who is gone, and a new one.
UPDATE customers SET city = 'Ockham' WHERE email = 'ada@engines.example';
UPDATE customers SET credit_limit = 3200.00 WHERE email = 'katherine@orbits.example';
UPDATE customers SET phone = '+44 20 7946 0777' WHERE last_name = 'Babbage';
DELETE FROM customers WHERE email = 'edsger@paths.example';
INSERT INTO customers (first_name, last_name, email, city) VALUES ('Barbara', 'Liskov', ' Barbara@Types.example', 'Boston');

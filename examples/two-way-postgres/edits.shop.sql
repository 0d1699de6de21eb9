-- At the same time, in the shop: a telephone, an order that is nobody else's business, a customer who asked to be
-- deleted, and, a moment after the CRM, another telephone for the same customer: a conflict.
UPDATE accounts SET telephone = '+1 212 555 0199' WHERE mail = 'grace@compilers.example';
UPDATE accounts SET orders = orders + 1 WHERE mail = 'ada@engines.example';
UPDATE accounts SET telephone = '+44 1223 000888' WHERE mail = 'charles.babbage@engines.example';
DELETE FROM accounts WHERE mail = 'margaret@apollo.example';

-- At the same time, in the shop: Ada's score, a customer who asked to be deleted, and, a moment later than in the
-- contacts, another telephone for Grace: a conflict.
UPDATE customers SET score = 10 WHERE mail = 'ada@engines.example';
UPDATE customers SET telephone = '+1 212 555 0199' WHERE mail = 'grace@compilers.example';
DELETE FROM customers WHERE mail = 'margaret@apollo.example';

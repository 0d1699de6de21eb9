-- At the same time, in the shop: another field of Ada, a customer who asked to be deleted, and, a moment later than at the
-- other side, another telephone for Grace: a conflict.
UPDATE customers SET first_name = 'Augusta Ada' WHERE mail = 'ada@engines.example';
UPDATE customers SET telephone = '+1 212 555 0199' WHERE mail = 'grace@compilers.example';
DELETE FROM customers WHERE mail = 'margaret@apollo.example';

-- What chance would not bring, or not surely. Each statement outside begin/commit is a transaction of its own.

-- Stock of a product crosses 10 downwards, comes back, crosses again; then exactly 10, and exactly 9.
insert into products values (1001, 'Crossing', 'Goes below ten twice', 9.99, 12, 'home', '2024-03-01 00:00:00+00', '2024-03-01 00:00:00+00');
insert into order_items values (500001, 400001, 1001, 3, 9.99);
update products set stock_quantity = 40 where id = 1001;
insert into order_items values (500002, 400001, 1001, 30, 9.99);
update products set stock_quantity = 43 where id = 1001;
update products set stock_quantity = 42 where id = 1001;
insert into orders values (400001, 7, 'paid', 329.67, '2024-03-01 10:00:00+00');

-- A line before its product, moved away, moved back; the product comes, goes with lines left, comes again as another.
insert into order_items values (500003, 400001, 1002, 5, 1.10);
update order_items set product_id = 1001 where id = 500003;
update order_items set product_id = 1002, quantity = 6 where id = 500003;
insert into products values (1002, 'Latecomer', null, 1.10, 8, null, '2024-03-02 00:00:00+00', '2024-03-02 00:00:00+00');
delete from products where id = 1002;
insert into products values (1002, 'Another under the same id', 'Not the latecomer', 2.20, 50, 'books', '2024-03-03 00:00:00+00', '2024-03-03 00:00:00+00');

-- A long description: sent once, then left alone by three updates, replaced, emptied, null.
insert into products values (1003, 'Long', repeat('all about this product, ', 120), 5.00, 20, 'books', '2024-03-04 00:00:00+00', '2024-03-04 00:00:00+00');
update products set price = 5.05 where id = 1003;
update products set name = 'Long and renamed', stock_quantity = 21 where id = 1003;
insert into products values (1004, 'Longer', repeat('a text that stays out of line; ', 150), 6.00, 20, 'books', '2024-03-04 00:00:00+00', '2024-03-04 00:00:00+00');
update products set price = 6.06, category = null where id = 1004;
insert into products values (1005, 'Long, then short', repeat('will be gone soon, ', 150), 7.00, 20, 'books', '2024-03-04 00:00:00+00', '2024-03-04 00:00:00+00');
update products set price = 7.07 where id = 1005;
update products set description = '' where id = 1005;
update products set description = null where id = 1005;

-- Keys: a product's, there and back; two products exchange theirs; an order's and a line's.
insert into products values (1006, 'Moves', 'Gets another key', 3.33, 30, 'home', '2024-03-05 00:00:00+00', '2024-03-05 00:00:00+00');
insert into order_items values (500004, 400001, 1006, 4, 3.33), (500005, 400001, 1007, 2, 3.33);
update products set id = 1007 where id = 1006;
update products set id = 1006, price = 3.34 where id = 1007;
insert into products values (1008, 'Left', 'was 1008', 1.00, 11, 'home', '2024-03-05 00:00:00+00', '2024-03-05 00:00:00+00'),
  (1009, 'Right', 'was 1009', 2.00, 22, 'home', '2024-03-05 00:00:00+00', '2024-03-05 00:00:00+00');
begin;
update products set id = 1010 where id = 1008;
update products set id = 1008 where id = 1009;
update products set id = 1009 where id = 1010;
commit;
insert into orders values (400002, 8, 'new', 10.01, '2024-03-05 12:00:00+00');
update orders set id = 400003 where id = 400002;
update order_items set id = 500006, quantity = 3 where id = 500005;

-- Returns: lines that cancel each other out (sold 0, but there), a product that got more back than it sold, lines of 0.
insert into products values (1011, 'Returned', 'Came back', 19.95, 10, 'home', '2024-03-06 00:00:00+00', '2024-03-06 00:00:00+00'),
  (1012, 'Came back more', 'Negative sales', 0.01, 0, 'home', '2024-03-06 00:00:00+00', '2024-03-06 00:00:00+00'),
  (1013, 'Nothing', 'A line of none', 0.00, 10, 'home', '2024-03-06 00:00:00+00', '2024-03-06 00:00:00+00');
insert into order_items values (500007, 400001, 1011, 2, 19.95), (500008, 400001, 1011, -2, 19.95), (500009, 400001, 1012, -7, 0.01),
  (500010, 400001, 1013, 0, 99999999.99);

-- The only line of a product goes, and the only order of a customer, of a day and of a status: their rows must go too.
insert into order_items values (500011, 400001, 1014, 1, 1.00);
delete from order_items where id = 500011;
insert into orders values (400004, 9001, 'on hold', 12.00, '2031-07-07 07:07:07.000007+00');
update orders set customer_id = 9002, status = 'new', created_at = '2031-08-08 08:08:08+00' where id = 400004;
delete from orders where id = 400004;

-- The newest order of a customer goes: the one before is the newest again.
insert into orders values (400005, 9003, 'paid', 1.00, '2024-03-07 00:00:00+00'), (400006, 9003, 'paid', 1.01, '2024-03-08 00:00:00+00');
delete from orders where id = 400006;

-- Midnight in UTC, and in places where it is another day.
insert into orders values
  (400010, 9010, 'new', 1.00, '2024-03-09 23:59:59.999999+00'), (400011, 9010, 'new', 2.00, '2024-03-10 00:00:00+00'),
  (400012, 9010, 'new', 4.00, '2024-03-10 02:30:00+05:30'), (400013, 9010, 'new', 8.00, '2024-03-09 20:00:00-08'),
  (400014, 9010, 'new', 16.00, '2024-02-29 23:30:00-00:30'), (400015, 9010, 'new', 32.00, '1969-12-31 23:59:59.5+00'),
  (400016, 9010, 'new', 64.00, '1970-01-01 00:00:00+00'), (400017, 9010, 'new', 128.00, '2024-03-31 03:00:00+02');
update orders set created_at = created_at + interval '1 microsecond' where id = 400010;

-- Money: the largest that fits, sums beyond 2^53 cents, cents that floats lose, averages that end in half a cent.
insert into orders values
  (400020, 9020, 'paid', 9999999999.99, '2024-03-11 00:00:00+00'), (400021, 9020, 'paid', 9999999999.99, '2024-03-11 01:00:00+00'),
  (400022, 9020, 'paid', -0.01, '2024-03-11 02:00:00+00'), (400023, 9021, 'paid', 0.10, '2024-03-11 03:00:00+00'),
  (400024, 9021, 'paid', 0.20, '2024-03-11 03:00:00+00'), (400025, 9022, 'paid', 0.01, '2024-03-11 04:00:00+00'),
  (400026, 9022, 'paid', 0.02, '2024-03-11 04:00:00+00'), (400027, 9023, 'refunded', -0.01, '2024-03-11 05:00:00+00'),
  (400028, 9023, 'refunded', -0.02, '2024-03-11 05:00:00+00'), (400029, 9024, 'paid', 0.00, '2024-03-11 06:00:00+00');
insert into products values (1020, 'Dear', 'The dearest that fits', 99999999.99, 2147483000, 'books', '2024-03-11 00:00:00+00', '2024-03-11 00:00:00+00');
insert into order_items values (500020, 400020, 1020, 2000000000, 99999999.99), (500021, 400021, 1020, 147482993, 99999999.99);

-- Names that are easily broken.
insert into products values
  (1030, 'Łódź 🚀 "quoted" \backslash', e'line one\nline two\ttab\r\nend', 1.00, 10, 'Küche "&" <Bad>', '2024-03-12 00:00:00+00', '2024-03-12 00:00:00+00'),
  (1031, 'null', '', 1.00, 10, '', '2024-03-12 00:00:00+00', '2024-03-12 00:00:00+00'),
  (1032, '👩‍🚀🏳️‍🌈', '🎉 🎉', 1.00, 10, '🐢', '2024-03-12 00:00:00+00', '2024-03-12 00:00:00+00'),
  (1033, '{"schema": null, "payload": {}}', '[1, 2]', 1.00, 10, 'null', '2024-03-12 00:00:00+00', '2024-03-12 00:00:00+00'),
  (1034, 'ŻÓŁĆ ŻÓŁĆ żółć', 'SAME words Words WORDS', 1.00, 10, 'home', '2024-03-12 00:00:00+00', '2024-03-12 00:00:00+00');
update products set name = 'Łódź renamed' where id = 1030;

-- Many rows in one transaction, and one that never happened.
begin;
insert into orders select 400100 + i, 9030, 'new', i / 100.0, '2024-03-13 00:00:00+00'::timestamptz + i * interval '10 minutes' from generate_series(1, 40) i;
insert into order_items select 500100 + i, 400100 + i, 1001, 1, 0.25 from generate_series(1, 40) i;
update products set stock_quantity = 100 where id = 1001;
update order_items set quantity = 2 where order_id between 400101 and 400120;
delete from order_items where order_id between 400111 and 400140;
commit;
begin;
delete from products;
delete from orders;
rollback;

-- What is there before the connector: the first snapshot.
select setseed(0.1);
select maker.add_product(nextval('maker.product_id')::int) from generate_series(1, 360);
update products set description = maker.long_description() where id % 60 = 7;
select maker.place_order(maker.up_to(4)) from generate_series(1, 120);
update orders set status = maker.one_of(array['new', 'paid', 'shipped']);

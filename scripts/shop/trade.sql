-- One step of the shop's day, by chance. Some steps find nothing to do, and one in a while is rolled back.
create procedure maker.step(dice int) language plpgsql as $$
declare
  p int := maker.product();
  q int := maker.product();
  o int := maker.an_order();
  l bigint := maker.line();
  fresh int;
  at timestamptz := maker.tick();
begin
  case
    when dice <= 46 then perform maker.place_order(maker.up_to(4));
    when dice <= 54 then -- orders move on
      update orders set status = case status when 'new' then 'paid' when 'paid' then 'shipped' else status end where id = o;
    when dice <= 58 then -- cancelled, the lines stay
      update orders set status = 'cancelled' where id = o;
    when dice <= 62 then -- cancelled, the lines go
      delete from order_items where order_id = o;
      update orders set status = 'cancelled', total = 0 where id = o;
    when dice <= 68 then -- another quantity; sometimes 0, sometimes returned
      update order_items set quantity = maker.up_to(9) - 3 where id = l returning order_id into o;
      update orders set total = maker.total(o) where id = o;
    when dice <= 72 then -- the customer wants another product instead
      update order_items set product_id = q where id = l;
    when dice <= 82 then -- whatever is low among the wanted ones is restocked
      update products set stock_quantity = stock_quantity + 5 + maker.up_to(40), updated_at = at
      where id in (select id from products order by id limit 60) and maker.is_low(id);
    when dice <= 85 then update products set price = maker.price(), updated_at = at where id = p;
    when dice <= 86 then -- a sale: many rows in one transaction
      update products set price = round(price * 0.9, 2), updated_at = at where id % 40 = p % 40;
    when dice <= 88 then update products set name = maker.name(), updated_at = at where id = p;
    when dice <= 90 then update products set description = maker.description(), updated_at = at where id = p;
    when dice <= 91 then -- long texts come, and are left alone by the next update
      update products set description = maker.long_description() where id = p;
      update products set price = maker.price() where maker.is_long(id) and id % 3 = p % 3;
    when dice <= 92 then delete from products where id = q; -- its lines stay
    when dice <= 93 then
      select max(id) into fresh from products
      where id < 1000 and not exists (select from order_items where product_id = products.id);
      delete from products where id = fresh;
    when dice <= 94 then -- an order and its lines go; sometimes the lines stay
      delete from orders where id = o;
      if maker.up_to(3) > 1 then delete from order_items where order_id = o; end if;
    when dice <= 95 then -- keys change. A long description would not be sent with the new key: no consumer could know it.
      if not maker.is_long(p) then update products set id = nextval('maker.product_id') where id = p; end if;
    when dice <= 96 then
      update order_items set id = nextval('maker.line_id') where id = l;
      if maker.up_to(2) = 1 then update orders set id = nextval('maker.order_id') where id = o; end if;
    when dice <= 98 then -- a new product; every other time it was ordered before it was there
      fresh := nextval('maker.product_id');
      if maker.up_to(2) = 1 then
        insert into order_items values (nextval('maker.line_id'), o, fresh, maker.up_to(5), maker.price());
        commit;
      end if;
      perform maker.add_product(fresh);
    when dice <= 99 then -- back under an old id
      select min(i) into fresh from generate_series(1, (select last_value from maker.product_id)) i
      where not exists (select from products where id = i);
      if fresh is not null then perform maker.add_product(fresh); end if;
    else -- there and gone again, changed twice, changed to what it was: all in one transaction
      perform maker.add_product(900000);
      delete from products where id = 900000;
      update products set stock_quantity = stock_quantity + 1 where id = p;
      update products set stock_quantity = stock_quantity - 1 where id = p;
      update products set name = name where id = q;
  end case;
end $$;

create procedure maker.trade(steps int) language plpgsql as $$
begin
  for i in 1 .. steps loop
    call maker.step(maker.up_to(100));
    if maker.up_to(50) = 1 then rollback; else commit; end if;
  end loop;
end $$;

-- What the shop does all day: maker.trade(steps), one transaction a step. random() is seeded by the caller and every
-- choice is made among rows in the order of their keys, so the same seed makes the same shop.

create function maker.up_to(n int) returns int language sql volatile as
$$ select 1 + floor(random() * n)::int $$;

create function maker.one_of(words text[]) returns text language sql volatile as
$$ select words[maker.up_to(cardinality(words))] $$;

-- The shop's own clock: about 40 minutes a step, to the microsecond, so that days and months end now and then.
create function maker.tick() returns timestamptz language sql volatile as
$$ update maker.clock set now = now + random() * interval '80 minutes' returning now $$;

-- Words of names and descriptions hold letters and digits only and stand apart, so that a regular expression splits a
-- text into the same words as the Unicode rules do (views.sql).
create function maker.name() returns text language sql volatile as $$
  select maker.one_of(array['Small', 'Grand', 'Café', 'Żółty', 'Blue', 'Łódź', 'Größe', 'The "Real"', 'Old', 'Crème',
      'Быстрый', 'Ultra', 'Señor', 'Light', '🚀 Turbo', 'Naïve', '緑'])
    || ' ' || maker.one_of(array['Lamp', 'Chair', 'Teapot', 'Kettle', 'Fußball', 'Chaise', 'Książka', 'Клавиатура',
      'Notebook', 'T-Shirt', 'Backpack', '茶', '한국어 Map', 'Bottle', 'Æbleskive pan', 'Mug 🐢'])
    || maker.one_of(array[' XL', ' 12V', ' 2000', ' (red)', ' mini', ' No. 7', ' Ø50', ' & Co', ' 100%', '', ' IV', ' K9'])
$$;
create function maker.description() returns text language plpgsql volatile as $$
declare
  made text := '';
begin
  if maker.up_to(9) = 1 then return null; end if;
  for i in 1 .. maker.up_to(8) loop
    made := made
      || maker.one_of(array['Made in', 'solid oak', 'with "quotes"', 'für draußen', 'very light', 'back\slash',
        e'tab\there', 'à la carte', 'ready to ship', 'новый', 'très élégant', e'second\nline', 'emoji 🎉🛒',
        'washable at 40 °C', '<b>bold</b> & ça va'])
      || maker.one_of(array[' ', ', ', '; ', e'\n', ' / ']);
  end loop;
  return made;
end $$;
-- More than 2 KB: stored out of line.
create function maker.long_description() returns text language sql volatile as
$$ select 'Manual ' || maker.up_to(999) || ': ' || repeat(maker.name() || ', ' || coalesce(maker.description(), 'see inside') || e'\n', 90) $$;

create function maker.price() returns numeric language sql volatile as $$
  select case when maker.up_to(40) = 1 then 1000000 + maker.up_to(98999999) + 0.99 else 0 end::numeric(10,2)
    + (maker.up_to(maker.up_to(40000)) / 100.0)::numeric(10,2)
$$;

-- Low ids are wanted more often, so that their stock runs out again and again.
create function maker.product() returns int language sql volatile as $$
  select id from products order by id
  offset (select floor(power(random(), 2.5) * count(*))::int from products) limit 1
$$;
create function maker.an_order() returns int language sql volatile as
$$ select id from orders order by id offset (select floor(random() * count(*))::int from orders) limit 1 $$;
create function maker.line() returns bigint language sql volatile as
$$ select id from order_items order by id offset (select floor(random() * count(*))::int from order_items) limit 1 $$;
create function maker.is_long(id int) returns boolean language sql stable as
$$ select coalesce(octet_length(description) > 1900, false) from products p where p.id = is_long.id $$;
create function maker.is_low(id int) returns boolean language sql stable as $$
  select stock_quantity - coalesce((select sum(quantity) from order_items l where l.product_id = p.id), 0) < 10
  from products p where p.id = is_low.id
$$;

create function maker.add_product(new_id int) returns void language sql volatile as $$
  insert into products
  select new_id, maker.name(), maker.description(), maker.price(), maker.up_to(60),
    maker.one_of(array['home', 'garden', 'Küche & Bad', 'books', null]), now, now from maker.clock
$$;

create function maker.place_order(lines int) returns int language plpgsql volatile as $$
declare
  new_id int := nextval('maker.order_id');
  at timestamptz := maker.tick();
  wanted int;
begin
  for i in 1 .. lines loop
    wanted := maker.product();
    insert into order_items
    select nextval('maker.line_id'), new_id, id, maker.up_to(4), price from products where id = wanted;
  end loop;
  insert into orders
  values (new_id, maker.up_to(maker.up_to(90)), 'new', maker.total(new_id), at);
  return new_id;
end $$;
create function maker.total(order_id int) returns numeric language sql stable as
$$ select coalesce(sum(quantity * unit_price), 0) from order_items l where l.order_id = total.order_id $$;

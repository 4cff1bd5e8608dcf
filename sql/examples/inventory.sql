-- Stock now: a product as it says itself, and the sum of what all lines sold.
create table products (
  id int primary key, name text, description text, price numeric(12, 2), stock_quantity int, category text);
create table order_items (
  id int primary key, order_id int, product_id int, quantity int, unit_price numeric(12, 2));

create materialized view inventory_realtime
with (sink = 'sqlite:inventory.db', topics = 'shop.public.*') as
select p.id as product_id, p.name, p.price, p.stock_quantity as base_stock,
       coalesce(s.sold, 0) as sold,
       p.stock_quantity - coalesce(s.sold, 0) as stock_quantity,
       case when p.stock_quantity - coalesce(s.sold, 0) < 10 then 1 end as low_stock
from products p
left join (select product_id, sum(quantity) as sold from order_items group by 1) s on s.product_id = p.id
where p.stock_quantity is not null;

-- What each product sold.
create table order_items (
  id int primary key, order_id int, product_id int, quantity int, unit_price numeric(12, 2));

create materialized view product_sales with (sink = 'sqlite:analytics.db', topics = 'shop.public.*') as
select product_id, coalesce(sum(quantity), 0) as quantity, coalesce(sum(quantity * unit_price), 0) as revenue
from order_items
where product_id is not null
group by product_id;

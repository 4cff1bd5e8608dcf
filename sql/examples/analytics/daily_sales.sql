-- Orders of each day, UTC.
create table orders (
  id int primary key, customer_id int, status text, total numeric(12, 2), created_at timestamp);

create materialized view daily_sales with (sink = 'sqlite:analytics.db', topics = 'shop.public.*') as
select created_at::date as day, count(*) as orders, coalesce(sum(total), 0) as revenue
from orders
where created_at is not null
group by created_at::date;

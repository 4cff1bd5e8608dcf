-- What each customer ordered.
create table orders (
  id int primary key, customer_id int, status text, total numeric(12, 2), created_at timestamp);

create materialized view customer_metrics with (sink = 'sqlite:analytics.db', topics = 'shop.public.*') as
select customer_id, count(*) as orders, coalesce(sum(total), 0) as spent,
       round(coalesce(sum(total), 0) / nullif(count(*), 0), 2) as average, max(created_at) as last_order_at
from orders
where customer_id is not null
group by customer_id;

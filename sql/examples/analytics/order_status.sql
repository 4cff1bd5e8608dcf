-- Orders in each state.
create table orders (
  id int primary key, customer_id int, status text, total numeric(12, 2), created_at timestamp);

create materialized view order_status with (sink = 'sqlite:analytics.db', topics = 'shop.public.*') as
select status, count(*) as orders from orders where status is not null group by status;

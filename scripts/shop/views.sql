-- What PostgreSQL says the views are, as one JSON object: view -> its rows in the order of their keys. Amounts are text
-- as PostgreSQL prints them, times are UTC to the microsecond.
\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
set timezone = 'UTC';
begin isolation level repeatable read;

create temp view inventory_realtime as
select p.id as product_id, p.name, p.price::text, p.stock_quantity as base_stock, coalesce(s.sold, 0) as sold,
  p.stock_quantity - coalesce(s.sold, 0) as stock_quantity
from products p left join (select product_id, sum(quantity) as sold from order_items group by 1) s on s.product_id = p.id;

create temp view product_search_index as
select id as product_id, name, description, price::text, category from products;

-- Lower-cased words. The shop's texts are such that this is what the Unicode word rules give (maker.sql).
create temp view product_search_tokens as
select distinct word[1] collate "C" as token, p.id as product_id
from products p, regexp_matches(lower(p.name || ' ' || coalesce(p.description, '')), '[[:alnum:]]+', 'g') word;

create temp view daily_sales as
select (created_at at time zone 'UTC')::date as day, count(*) as orders, sum(total)::text as revenue from orders group by 1;

create temp view product_sales as
select product_id, sum(quantity) as quantity, sum(quantity * unit_price)::text as revenue from order_items group by 1;

create temp view customer_metrics as
select customer_id, count(*) as orders, sum(total)::text as spent, round(sum(total) / count(*), 2)::text as average,
  to_char(max(created_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_order_at
from orders group by 1;

create temp view order_status as
select status collate "C" as status, count(*) as orders from orders group by 1;

select '{"inventory_realtime":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by product_id), '') from inventory_realtime v;
select '],"product_search_index":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by product_id), '') from product_search_index v;
select '],"product_search_tokens":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by token, product_id), '') from product_search_tokens v;
select '],"daily_sales":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by day), '') from daily_sales v;
select '],"product_sales":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by product_id), '') from product_sales v;
select '],"customer_metrics":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by customer_id), '') from customer_metrics v;
select '],"order_status":[' || e'\n' || coalesce(string_agg(row_to_json(v)::text, e',\n' order by status), '') from order_status v;
select ']}';
commit;

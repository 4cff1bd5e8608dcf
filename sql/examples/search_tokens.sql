-- One row for each word of a product's name and description.
create table products (
  id int primary key, name text, description text, price numeric(12, 2), stock_quantity int, category text);

create materialized view product_search_tokens with (sink = 'sqlite:search.db', topics = 'shop.public.*') as
select w.token, p.id as product_id
from products p cross join unnest(words(p.name, p.description)) as w(token);

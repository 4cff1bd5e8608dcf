-- Products with their words, as people look them up.
create table products (
  id int primary key, name text, description text, price numeric(12, 2), stock_quantity int, category text);

create materialized view product_search_index with (sink = 'sqlite:search.db', topics = 'shop.public.*') as
select id as product_id, name, description, price, category, words(name, description) as search_tokens
from products;

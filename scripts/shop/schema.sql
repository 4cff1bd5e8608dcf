-- The shop's tables. No foreign keys: lines may come before their product and outlive their order.
-- REPLICA IDENTITY stays at its default, so events carry no old row.
create table products (
  id             int primary key,
  name           text not null,
  description    text,
  price          numeric(10,2) not null,
  stock_quantity int not null,
  category       text,
  created_at     timestamptz not null,
  updated_at     timestamptz not null
);
-- Long descriptions are stored out of line: an update that leaves one alone does not send it.
alter table products alter column description set storage external;

create table orders (
  id          int primary key,
  customer_id int not null,
  status      text not null,
  total       numeric(12,2) not null,
  created_at  timestamptz not null
);

create table order_items (
  id         bigint primary key,
  order_id   int not null,
  product_id int not null,
  quantity   int not null,
  unit_price numeric(10,2) not null
);
create index order_items_order on order_items (order_id);
create index order_items_product on order_items (product_id) include (quantity);

-- Whoever wants to know whether everything up to now has been applied writes a row here, and looks for its change.
create table cdc_marker (id text primary key, at timestamptz not null default now());

-- Debezium reads requests for snapshots here.
create table debezium_signal (id text primary key, type text not null, data text);

-- Where the workload keeps its own things, so that the shop's schema holds the shop alone.
create schema maker;
create sequence maker.product_id;
create sequence maker.order_id;
create sequence maker.line_id;
-- Unlogged: nothing of it is in the change stream.
create unlogged table maker.clock (now timestamptz not null);
insert into maker.clock values ('2024-02-26 19:00:00+00');

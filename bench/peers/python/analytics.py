#!/usr/bin/env python3
"""analytics.py BROKERS PREFIX [ANSWERS]: reads PREFIXorders and PREFIXorder_items to their end and keeps the views of
analytics in dictionaries. Events without schema, decimals as text. With a consumer group in the variable GROUP, it begins
where that one stands, and commits once a second what it has counted."""
import json
import os
import sys
from decimal import Decimal

from confluent_kafka import Consumer, TopicPartition

ZERO = Decimal(0)
orders, items = {}, {}  # id -> the last row
daily, status, customers, products = {}, {}, {}, {}


def count_order(row, sign):
    total = Decimal(row["total"]) if row["total"] is not None else ZERO
    created, customer = row["created_at"], row["customer_id"]
    if created is not None:
        day = daily.setdefault(created[:10], [0, ZERO])
        day[0] += sign
        day[1] += sign * total
    if row["status"] is not None:
        status[row["status"]] = status.get(row["status"], 0) + sign
    if customer is not None:
        sums = customers.setdefault(customer, [0, ZERO, None])
        sums[0] += sign
        sums[1] += sign * total
        if created is not None and (sums[2] is None or created > sums[2]):
            sums[2] = created


def count_item(row, sign):
    product = row["product_id"]
    if product is None:
        return
    quantity = row["quantity"] or 0
    price = Decimal(row["unit_price"]) if row["unit_price"] is not None else ZERO
    sums = products.setdefault(product, [0, 0, ZERO])
    sums[0] += sign
    sums[1] += sign * quantity
    sums[2] += sign * quantity * price


def take(topic, value):
    event = json.loads(value)
    rows, count = (orders, count_order) if topic.endswith("orders") else (items, count_item)
    after = event["after"]
    if after is not None:
        old = rows.get(after["id"])
        rows[after["id"]] = after
    else:
        old = rows.pop(event["before"]["id"], None)
    if old is not None:
        count(old, -1)
    if after is not None:
        count(after, 1)


def read(brokers, topics):
    group = os.environ.get("GROUP")
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group or "peer-python",
            "enable.auto.commit": group is not None,
            "auto.commit.interval.ms": 1000,
            "fetch.queue.backoff.ms": 10,
        }
    )
    places, left = [], 0
    for topic in topics:
        for partition in consumer.list_topics(topic, 30).topics[topic].partitions:
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)
            if group is not None:
                begin = max(begin, consumer.committed([TopicPartition(topic, partition)], 30)[0].offset)
            places.append(TopicPartition(topic, partition, begin))
            left += end - begin
    consumer.assign(places)
    while left > 0:
        messages = consumer.consume(min(left, 1000), 30)
        if not messages:
            sys.exit(f"no record for 30 s, and {left} to come")
        for message in messages:
            if message.error():
                sys.exit(str(message.error()))
            if message.value() is not None:
                take(message.topic(), message.value())
        left -= len(messages)
    consumer.close()


def answer(path):
    with open(path, "w", encoding="utf-8") as file:

        def row(view, key, **columns):
            print(json.dumps([view, key, columns], default=str), file=file)

        for day, (count, revenue) in daily.items():
            if count:
                row("daily_sales", day, orders=count, revenue=revenue)
        for name, count in status.items():
            if count:
                row("order_status", name, orders=count)
        for customer, (count, spent, last) in customers.items():
            if count:
                row("customer_metrics", customer, orders=count, spent=spent, last_order_at=last)
        for product, (lines, quantity, revenue) in products.items():
            if lines:
                row("product_sales", product, quantity=quantity, revenue=revenue)


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
read(sys.argv[1], [sys.argv[2] + "orders", sys.argv[2] + "order_items"])
if len(sys.argv) == 4:
    answer(sys.argv[3])

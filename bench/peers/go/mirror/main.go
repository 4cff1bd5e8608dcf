// go-mirror BROKERS PREFIX [ANSWERS]: mirrors the rows of orders and order_items as items of DynamoDB, the way most Go
// programs do it: the last change of each key since the last flush is kept in a map, and a flush puts the map as
// BatchWriteItem requests of 25. The requests are built and thrown away. Events without schema, decimals as text.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"os"
	"strings"
	"time"

	"example.invalid/peers/stream"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batch   = 25
	pending = 5000
)

// Event is what is needed of an envelope.
type Event struct {
	Before *Row `json:"before"`
	After  *Row `json:"after"`
}

// Row has the columns of both tables.
type Row struct {
	ID        int64   `json:"id"`
	Customer  *int64  `json:"customer_id"`
	Status    *string `json:"status"`
	Total     *string `json:"total"`
	Created   *string `json:"created_at"`
	Order     *int64  `json:"order_id"`
	Product   *int64  `json:"product_id"`
	Quantity  *int64  `json:"quantity"`
	UnitPrice *string `json:"unit_price"`
}

type key struct {
	table string
	id    int64
}

type mirror struct {
	changed map[key]*Row // nil: deleted
	bytes   int64        // of requests
	items   int64
	all     map[key]*Row // only to answer
}

func (m *mirror) take(table string, value []byte) error {
	var event Event
	if err := json.Unmarshal(value, &event); err != nil {
		return err
	}
	switch {
	case event.After != nil:
		m.changed[key{table, event.After.ID}] = event.After
	case event.Before != nil:
		m.changed[key{table, event.Before.ID}] = nil
	}
	if len(m.changed) >= pending {
		return m.flush()
	}
	return nil
}

// item is the row as DynamoDB's JSON has it.
func item(row *Row) map[string]any {
	out := map[string]any{"id": map[string]string{"N": fmt.Sprint(row.ID)}}
	number := func(name string, value *int64) {
		if value != nil {
			out[name] = map[string]string{"N": fmt.Sprint(*value)}
		}
	}
	text := func(name, kind string, value *string) {
		if value != nil {
			out[name] = map[string]string{kind: *value}
		}
	}
	number("customer_id", row.Customer)
	text("status", "S", row.Status)
	text("total", "N", row.Total)
	text("created_at", "S", row.Created)
	number("order_id", row.Order)
	number("product_id", row.Product)
	number("quantity", row.Quantity)
	text("unit_price", "N", row.UnitPrice)
	return out
}

func (m *mirror) flush() error {
	requests := map[string][]any{}
	count := 0
	send := func() error {
		body, err := json.Marshal(map[string]any{"RequestItems": requests})
		m.bytes += int64(len(body))
		requests, count = map[string][]any{}, 0
		return err
	}
	for k, row := range m.changed {
		if m.all != nil {
			if row == nil {
				delete(m.all, k)
			} else {
				m.all[k] = row
			}
		}
		write := map[string]any{}
		if row == nil {
			write["DeleteRequest"] = map[string]any{"Key": map[string]any{"id": map[string]string{"N": fmt.Sprint(k.id)}}}
		} else {
			write["PutRequest"] = map[string]any{"Item": item(row)}
		}
		requests[k.table] = append(requests[k.table], write)
		m.items++
		if count++; count == batch {
			if err := send(); err != nil {
				return err
			}
		}
	}
	clear(m.changed)
	if count > 0 {
		return send()
	}
	return nil
}

func run(brokers, prefix, answers string) error {
	ctx := context.Background()
	topics := []string{prefix + "orders", prefix + "order_items"}
	client, left, err := stream.Whole(ctx, brokers, topics)
	if err != nil {
		return err
	}
	defer client.Close()
	m := &mirror{changed: map[key]*Row{}}
	if answers != "" {
		m.all = map[key]*Row{}
	}
	for left > 0 {
		patience, cancel := context.WithTimeout(ctx, 30*time.Second)
		fetches := client.PollRecords(patience, 10_000)
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d records to come: %w", left, err)
		}
		var failed error
		fetches.EachRecord(func(record *kgo.Record) {
			left--
			if record.Value == nil || failed != nil {
				return
			}
			failed = m.take(strings.TrimPrefix(record.Topic, prefix), record.Value)
		})
		if failed != nil {
			return failed
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	fmt.Printf("%d items in %d bytes of requests\n", m.items, m.bytes)
	if answers == "" {
		return nil
	}
	return answer(m.all, answers)
}

// answer computes the views from the mirrored rows, as a reader of the mirror would.
func answer(rows map[key]*Row, path string) error {
	type sums struct {
		count, quantity int64
		amount          *big.Rat
		last            *string
	}
	views := map[string]map[any]*sums{"daily_sales": {}, "order_status": {}, "customer_metrics": {}, "product_sales": {}}
	of := func(view string, id any) *sums {
		found := views[view][id]
		if found == nil {
			found = &sums{amount: new(big.Rat)}
			views[view][id] = found
		}
		found.count++
		return found
	}
	amount := func(text *string) *big.Rat {
		value := new(big.Rat)
		if text != nil {
			value.SetString(*text)
		}
		return value
	}
	for k, row := range rows {
		if k.table == "order_items" {
			if row.Product == nil {
				continue
			}
			product := of("product_sales", *row.Product)
			if row.Quantity != nil {
				product.quantity += *row.Quantity
				product.amount.Add(product.amount, new(big.Rat).Mul(amount(row.UnitPrice), big.NewRat(*row.Quantity, 1)))
			}
			continue
		}
		total := amount(row.Total)
		if row.Created != nil {
			day := of("daily_sales", (*row.Created)[:10])
			day.amount.Add(day.amount, total)
		}
		if row.Status != nil {
			of("order_status", *row.Status)
		}
		if row.Customer != nil {
			customer := of("customer_metrics", *row.Customer)
			customer.amount.Add(customer.amount, total)
			if row.Created != nil && (customer.last == nil || *row.Created > *customer.last) {
				customer.last = row.Created
			}
		}
	}
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for view, found := range views {
		for id, s := range found {
			decimal := s.amount.FloatString(2)
			columns := map[string]any{"orders": s.count}
			switch view {
			case "daily_sales":
				columns["revenue"] = decimal
			case "customer_metrics":
				columns["spent"], columns["last_order_at"] = decimal, s.last
			case "product_sales":
				columns = map[string]any{"quantity": s.quantity, "revenue": decimal}
			}
			if err := lines.Encode([]any{view, id, columns}); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		log.Fatal("go-mirror BROKERS PREFIX [ANSWERS]")
	}
	answers := ""
	if len(os.Args) == 4 {
		answers = os.Args[3]
	}
	if err := run(os.Args[1], os.Args[2], answers); err != nil {
		log.Fatal(err)
	}
}

// go-increments BROKERS PREFIX [SINK GROUP]: keeps what is sold of each product in DynamoDB, the way most programs do it:
// one UpdateItem with ADD for each new line of an order, one with SET for each change of a product, one DeleteItem for
// each that goes. Lines that change or go are left alone: events have no old quantity. Events without schema, decimals as
// text.
//
// Without SINK the requests are built and thrown away, from where the topics begin to where they end. With SINK, the
// address of what stands in for DynamoDB, they are sent there, 32 at a time, those of one product in order; the program
// is a member of GROUP then, commits what it has done once a second, and ends when nothing has come for a while.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"example.invalid/peers/stream"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	table    = "inventory-realtime"
	inFlight = 32
	// Longer than a group waits for a member that was killed.
	quiet = 15 * time.Second
)

// Event is what is needed of an envelope.
type Event struct {
	Op     string `json:"op"`
	Before *Row   `json:"before"`
	After  *Row   `json:"after"`
}

// Row has the columns of both tables.
type Row struct {
	ID       int64   `json:"id"`
	Name     *string `json:"name"`
	Price    *string `json:"price"`
	Stock    *int64  `json:"stock_quantity"`
	Product  *int64  `json:"product_id"`
	Quantity *int64  `json:"quantity"`
}

type value map[string]string

// request is a call of DynamoDB.
type request struct {
	product   int64
	operation string
	body      []byte
}

func call(operation string, product int64, fields map[string]any) (*request, error) {
	fields["TableName"] = table
	fields["Key"] = map[string]value{"product_id": {"N": fmt.Sprint(product)}}
	body, err := json.Marshal(fields)
	return &request{product, operation, body}, err
}

// ask says what a record asks of DynamoDB, if anything.
func ask(table string, bytes []byte) (*request, error) {
	var event Event
	if err := json.Unmarshal(bytes, &event); err != nil {
		return nil, err
	}
	row := event.After
	if table == "order_items" {
		isNew := event.Op == "c" || event.Op == "r"
		if !isNew || row == nil || row.Product == nil || row.Quantity == nil {
			return nil, nil
		}
		return call("UpdateItem", *row.Product, map[string]any{
			"UpdateExpression":          "ADD sold :quantity",
			"ExpressionAttributeValues": map[string]value{":quantity": {"N": fmt.Sprint(*row.Quantity)}},
		})
	}
	if row == nil {
		if event.Before == nil {
			return nil, nil
		}
		return call("DeleteItem", event.Before.ID, map[string]any{})
	}
	if row.Name == nil || row.Price == nil || row.Stock == nil {
		return nil, nil
	}
	return call("UpdateItem", row.ID, map[string]any{
		"UpdateExpression":         "SET #name = :name, price = :price, base_stock = :stock",
		"ExpressionAttributeNames": map[string]string{"#name": "name"},
		"ExpressionAttributeValues": map[string]value{
			":name": {"S": *row.Name}, ":price": {"N": *row.Price}, ":stock": {"N": fmt.Sprint(*row.Stock)},
		},
	})
}

// sink sends requests, or only counts their bytes.
type sink struct {
	url    string
	client *http.Client
	bytes  int64
	calls  int64
}

func (s *sink) send(r *request) error {
	request, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+r.operation)
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.operation, said)
	}
	return err
}

// carryOut sends what the records of one poll ask for, and returns when all of it is answered.
func (s *sink) carryOut(requests []*request) error {
	for _, r := range requests {
		s.calls++
		s.bytes += int64(len(r.body))
	}
	if s.url == "" {
		return nil
	}
	lanes := make([][]*request, inFlight)
	for _, r := range requests {
		lane := r.product % inFlight
		lanes[lane] = append(lanes[lane], r)
	}
	failed := make([]error, inFlight)
	var all sync.WaitGroup
	for at, lane := range lanes {
		all.Go(func() {
			for _, r := range lane {
				if failed[at] = s.send(r); failed[at] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// member is a client that reads the topics as one of a group.
func member(brokers string, topics []string, group string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topics...), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(time.Second),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(2*time.Second))
}

func run(brokers, prefix, url, group string) error {
	ctx := context.Background()
	topics := []string{prefix + "products", prefix + "order_items"}
	to := &sink{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}}
	var client *kgo.Client
	var left int64
	var err error
	if url == "" {
		client, left, err = stream.Whole(ctx, brokers, topics)
	} else {
		client, err = member(brokers, topics, group)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	wait := 30 * time.Second
	if url != "" {
		wait = quiet
	}
	for url != "" || left > 0 {
		patience, cancel := context.WithTimeout(ctx, wait)
		fetches := client.PollRecords(patience, 10_000)
		cancel()
		if err := fetches.Err(); err != nil {
			if url != "" && errors.Is(err, context.DeadlineExceeded) {
				break
			}
			return fmt.Errorf("%d records to come: %w", left, err)
		}
		var requests []*request
		var failed error
		fetches.EachRecord(func(record *kgo.Record) {
			left--
			if record.Value == nil || failed != nil {
				return
			}
			var asked *request
			if asked, failed = ask(strings.TrimPrefix(record.Topic, prefix), record.Value); asked != nil {
				requests = append(requests, asked)
			}
		})
		if err := errors.Join(failed, to.carryOut(requests)); err != nil {
			return err
		}
	}
	fmt.Printf("%d requests of %d bytes\n", to.calls, to.bytes)
	if url != "" {
		return client.CommitUncommittedOffsets(ctx)
	}
	return nil
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 5 {
		log.Fatal("go-increments BROKERS PREFIX [SINK GROUP]")
	}
	url, group := "", ""
	if len(os.Args) == 5 {
		url, group = os.Args[3], os.Args[4]
	}
	if err := run(os.Args[1], os.Args[2], url, group); err != nil {
		log.Fatal(err)
	}
}

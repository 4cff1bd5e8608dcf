// fault stands between a client and an endpoint of DynamoDB and S3, and does wrong by rule and by seed. Only between
// addresses of this machine.
//
//	fault -listen 127.0.0.1:4570 -upstream http://127.0.0.1:4566 [-seed 1]
//
//	POST   /_fault  [{"match":"PutItem,UpdateItem","kind":"throttle","p":0.2,"skip":0,"max":0,"ms":0}]  the rules from now on
//	GET    /_fault  the rules, and how often each was looked at and hit
//	DELETE /_fault  no rules
//
// match is a list of DynamoDB operations or of S3:GET, S3:PUT, S3:POST, S3:DELETE, S3:HEAD, or *. Of the requests that
// match, the first `skip` pass, at most `max` (0: any number) are hit, each with probability `p`.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What a rule does.
const (
	throttle    = "throttle"    // answered with the throttling error, not passed on
	broken      = "ise"         // answered with 500, not passed on
	dropBefore  = "drop_before" // connection reset, not passed on
	dropAfter   = "drop_after"  // passed on and done, then the connection reset: the lost answer
	brokenAfter = "ise_after"   // passed on and done, then 500
	delay       = "delay"       // passed on after `ms`
	unprocessed = "unprocessed" // BatchWriteItem: half is passed on, the rest comes back as unprocessed
	txConflict  = "txconflict"  // TransactWriteItems: cancelled by a conflict, not passed on
	bodyMax     = 256 << 20     // bytes
)

type rule struct {
	Match string  `json:"match"`
	Kind  string  `json:"kind"`
	P     float64 `json:"p"`
	Skip  int     `json:"skip"`
	Max   int     `json:"max"`
	Ms    int     `json:"ms"`
	Seen  int     `json:"seen"`
	Hit   int     `json:"hit"`
}

func (r *rule) matches(operation string) bool {
	if r.Match == "*" {
		return true
	}
	for _, name := range strings.Split(r.Match, ",") {
		if strings.TrimSpace(name) == operation {
			return true
		}
	}
	return false
}

type proxy struct {
	upstream string
	seed     int64
	client   *http.Client

	lock   sync.Mutex
	rules  []*rule
	random *rand.Rand
}

func (p *proxy) set(rules []*rule) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.rules, p.random = rules, rand.New(rand.NewSource(p.seed))
}

// hits says which rules this request falls under, and counts.
func (p *proxy) hits(operation string) []rule {
	p.lock.Lock()
	defer p.lock.Unlock()
	var hit []rule
	for _, r := range p.rules {
		if !r.matches(operation) {
			continue
		}
		r.Seen++
		if r.Seen <= r.Skip || (r.Max > 0 && r.Hit >= r.Max) || p.random.Float64() >= r.P {
			continue
		}
		r.Hit++
		hit = append(hit, *r)
	}
	return hit
}

func (p *proxy) control(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var rules []*rule
		if err := json.NewDecoder(r.Body).Decode(&rules); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.set(rules)
	case http.MethodDelete:
		p.set(nil)
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	_ = json.NewEncoder(w).Encode(p.rules)
}

// exchange is one request on its way through.
type exchange struct {
	w         http.ResponseWriter
	operation string
	isDynamo  bool
	body      []byte
	held      map[string][]any // writes that come back as unprocessed
	after     string           // what happens once the answer is here
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_fault" {
		p.control(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax))
	if err != nil {
		return
	}
	x := &exchange{w: w, operation: "S3:" + r.Method, body: body}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		x.isDynamo = true
		x.operation = target[strings.LastIndex(target, ".")+1:]
	}
	for _, hit := range p.hits(x.operation) {
		if x.suffer(hit) {
			return
		}
	}
	p.pass(x, r)
}

// suffer does what can be done before the request is passed on; true: it has been answered.
func (x *exchange) suffer(hit rule) bool {
	switch hit.Kind {
	case delay:
		time.Sleep(time.Duration(hit.Ms) * time.Millisecond)
	case throttle:
		if x.isDynamo {
			x.fail(http.StatusBadRequest, "ProvisionedThroughputExceededException", nil)
		} else {
			x.fail(http.StatusServiceUnavailable, "SlowDown", nil)
		}
		return true
	case broken:
		x.failInternally()
		return true
	case dropBefore:
		x.reset()
		return true
	case dropAfter, brokenAfter:
		x.after = hit.Kind
	case unprocessed:
		x.holdBack()
	case txConflict:
		if x.operation == "TransactWriteItems" {
			x.conflict()
			return true
		}
	}
	return false
}

func (p *proxy) pass(x *exchange, r *http.Request) {
	request, err := http.NewRequest(r.Method, p.upstream+r.RequestURI, bytes.NewReader(x.body))
	if err != nil {
		http.Error(x.w, err.Error(), http.StatusBadGateway)
		return
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Connection")
	request.Header.Del("Expect")
	request.Host = r.Host // the signature covers it
	answer, err := p.client.Do(request)
	if err != nil {
		x.reset()
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil || x.after == dropAfter:
		x.reset()
		return
	case x.after == brokenAfter:
		x.failInternally()
		return
	}
	if len(x.held) > 0 && answer.StatusCode == http.StatusOK {
		body = withUnprocessed(body, x.held)
		answer.Header.Del("X-Amz-Crc32")
		answer.Header.Del("Content-Length")
	}
	for name, values := range answer.Header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(answer.StatusCode)
	_, _ = x.w.Write(body)
}

func (x *exchange) reset() {
	hijacker, ok := x.w.(http.Hijacker)
	if !ok {
		return
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

func (x *exchange) failInternally() {
	if x.isDynamo {
		x.fail(http.StatusInternalServerError, "InternalServerError", nil)
	} else {
		x.fail(http.StatusInternalServerError, "InternalError", nil)
	}
}

func (x *exchange) fail(status int, code string, more map[string]any) {
	id := fmt.Sprintf("FAULT%d", time.Now().UnixNano())
	x.w.Header().Set("x-amzn-RequestId", id)
	if !x.isDynamo {
		x.w.Header().Set("Content-Type", "application/xml")
		x.w.WriteHeader(status)
		fmt.Fprintf(x.w, "<Error><Code>%s</Code><Message>injected</Message><RequestId>%s</RequestId></Error>", code, id)
		return
	}
	answer := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": "injected"}
	for name, value := range more {
		answer[name] = value
	}
	x.w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	x.w.WriteHeader(status)
	_ = json.NewEncoder(x.w).Encode(answer)
}

// conflict blames the first item.
func (x *exchange) conflict() {
	var request struct{ TransactItems []any }
	_ = json.Unmarshal(x.body, &request)
	reasons := make([]map[string]any, len(request.TransactItems))
	for i := range reasons {
		reasons[i] = map[string]any{"Code": "None"}
	}
	if len(reasons) > 0 {
		reasons[0] = map[string]any{"Code": "TransactionConflict", "Message": "injected"}
	}
	x.fail(http.StatusBadRequest, "TransactionCanceledException", map[string]any{"CancellationReasons": reasons})
}

// holdBack keeps the second half of each table's writes.
func (x *exchange) holdBack() {
	var request map[string]json.RawMessage
	var items map[string][]any
	if x.operation != "BatchWriteItem" || json.Unmarshal(x.body, &request) != nil ||
		json.Unmarshal(request["RequestItems"], &items) != nil {
		return
	}
	held := map[string][]any{}
	for table, writes := range items {
		half := (len(writes) + 1) / 2
		items[table] = writes[:half]
		if half < len(writes) {
			held[table] = writes[half:]
		}
	}
	less, err := json.Marshal(items)
	if err != nil {
		return
	}
	request["RequestItems"] = less
	if body, err := json.Marshal(request); err == nil {
		x.body, x.held = body, held
	}
}

func withUnprocessed(body []byte, held map[string][]any) []byte {
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil {
		return body
	}
	answer["UnprocessedItems"] = held
	if changed, err := json.Marshal(answer); err == nil {
		return changed
	}
	return body
}

func main() {
	listen := flag.String("listen", "127.0.0.1:4570", "")
	upstream := flag.String("upstream", "http://127.0.0.1:4566", "")
	seed := flag.Int64("seed", 1, "")
	flag.Parse()
	if !strings.HasPrefix(*listen, "127.0.0.1:") || !strings.HasPrefix(*upstream, "http://127.0.0.1:") {
		log.Fatal("only between addresses of this machine")
	}
	p := &proxy{upstream: *upstream, seed: *seed, client: &http.Client{
		Timeout:       2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}}
	p.set(nil)
	log.Printf("fault %s -> %s", *listen, *upstream)
	server := &http.Server{Addr: *listen, Handler: p, ReadHeaderTimeout: 30 * time.Second}
	log.Fatal(server.ListenAndServe())
}

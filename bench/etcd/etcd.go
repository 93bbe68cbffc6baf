// Package etcd measures the etcd cluster below vigate nodes. It reads the records that a login has
// written, counts the requests to etcd, and measures how long a minimal transaction takes.
package etcd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Client is a set of etcd clients, each connected to all members.
type Client struct {
	members []string // HOST:PORT
	clients []*clientv3.Client
}

// Dial connects the given number of clients to the members, each HOST:PORT.
func Dial(members []string, clients int) (*Client, error) {
	c := &Client{members: members}
	for range clients {
		one, err := clientv3.New(clientv3.Config{Endpoints: members, DialTimeout: time.Minute})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to etcd: %w", err), c.Close())
		}
		c.clients = append(c.clients, one)
	}
	return c, nil
}

// Close closes the connections.
func (c *Client) Close() error {
	var errs []error
	for _, one := range c.clients {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Requests returns the number of messages that the members have received from clients, including
// the messages of streams.
func (c *Client) Requests(ctx context.Context) (float64, error) {
	total := 0.0
	for _, m := range c.members {
		n, err := metric(ctx, m, "grpc_server_msg_received_total")
		if err != nil {
			return 0, fmt.Errorf("count requests: %w", err)
		}
		total += n
	}
	return total, nil
}

// metric returns the sum of a member's metric over all labels.
func metric(ctx context.Context, member, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+member+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	total, found := 0.0, false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), name+"{") {
			continue
		}
		v, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		total, found = total+v, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return total, nil
}

// Bare executes the minimal transaction of a login: it writes the record of a session and the
// record of an event, with the sizes of vigate's records, on the condition that the session's
// record does not exist.
type Bare struct {
	clients []*clientv3.Client
	records [2]string
	n       atomic.Int64
}

// After returns a Bare with the sizes of vigate's last commit under the prefix, which must be a
// login. The two records are the largest values of that commit. The others are vigate's
// bookkeeping.
func (c *Client) After(ctx context.Context, prefix string) (*Bare, error) {
	// Every commit writes the head.
	head, err := c.clients[0].Get(ctx, prefix+"r/head")
	if err != nil {
		return nil, fmt.Errorf("read the records of a login: %w", err)
	}
	if len(head.Kvs) != 1 {
		return nil, errors.New("read the records of a login: no commit in etcd")
	}
	resp, err := c.clients[0].Get(ctx, prefix+"r/", clientv3.WithPrefix(),
		clientv3.WithMinModRev(head.Kvs[0].ModRevision))
	if err != nil {
		return nil, fmt.Errorf("read the records of a login: %w", err)
	}
	var values []string
	for _, kv := range resp.Kvs {
		values = append(values, string(kv.Value))
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	if len(values) < 2 || len(values[1]) == 0 {
		return nil, errors.New("read the records of a login: not found in etcd")
	}
	return &Bare{clients: c.clients, records: [2]string(values)}, nil
}

// Once executes one transaction.
func (b *Bare) Once(ctx context.Context) error { return b.once(ctx, b.clients[0]) }

func (b *Bare) once(ctx context.Context, c *clientv3.Client) error {
	n := b.n.Add(1)
	// The keys have the length of vigate's keys.
	session, event := fmt.Sprintf("/bare/r/01/%036x", n), fmt.Sprintf("/bare/r/09/%027x", n)
	resp, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(session), "=", 0)).
		Then(clientv3.OpPut(session, b.records[0]), clientv3.OpPut(event, b.records[1])).Commit()
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%s exists", session)
	}
	if err != nil {
		return fmt.Errorf("bare transaction: %w", err)
	}
	return nil
}

// Rate returns the number of transactions per second with the given number of concurrent callers,
// which share the clients evenly.
func (b *Bare) Rate(ctx context.Context, callers int, warm, d time.Duration) (float64, error) {
	from := time.Now().Add(warm)
	until := from.Add(d)
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			for errs[i] == nil && time.Now().Before(until) {
				errs[i] = b.once(ctx, b.clients[i%len(b.clients)])
				if now := time.Now(); !now.Before(from) && now.Before(until) {
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / d.Seconds(), errors.Join(errs...)
}

package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"relayd/socket"
)

// A Client asks a relayd. It may be used by several goroutines.
type Client struct {
	at    string // for errors
	base  string
	token string
	most  int64 // bytes of an answer: maxAnswer, but in tests
	http  *http.Client
}

// maxAnswer is more than a relayd with a million conns answers with: whoever is at
// its address may not know an end.
const maxAnswer = 1 << 30

// ErrUnreachable is that nobody answers at the address of the admin API.
var ErrUnreachable = errors.New("no relayd answers")

// dialTime bounds connecting.
const dialTime = 5 * time.Second

// NewClient returns a client for an address that a relayd serves, which is not
// asked before the first call. token is "" for none.
func NewClient(a socket.Address, token string) (*Client, error) {
	c := &Client{at: a.String(), base: "http://relayd", token: token, most: maxAnswer}
	network, address := "unix", a.Path
	switch a.Kind {
	case socket.Unix:
		if a.Abstract {
			address = "@" + a.Path
		}
	case socket.TCP:
		host := a.Host
		if host == "" {
			host = "localhost"
		}
		network, address = "tcp", net.JoinHostPort(host, fmt.Sprint(a.Port))
		c.base = (&url.URL{Scheme: "http", Host: address}).String() // which escapes a zone
	default:
		return nil, fmt.Errorf("%s: %w", a.String(), errKind)
	}
	dialer := net.Dialer{Timeout: dialTime}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	c.http = &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true, Proxy: nil}}
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// At returns the address.
func (c *Client) At() string { return c.at }

// Conns lists the conns that a filter lets through; a nil one lets all.
func (c *Client) Conns(ctx context.Context, f *Filter) (Conns, error) {
	var out Conns
	q := url.Values{}
	if f != nil {
		for word, value := range f.words {
			q.Set(word, value)
		}
	}
	return out, c.do(ctx, "GET", "/v1/conns", q, nil, &out)
}

// Conn describes one.
func (c *Client) Conn(ctx context.Context, id string) (ConnDetail, error) {
	var out ConnDetail
	return out, c.do(ctx, "GET", "/v1/conns/"+url.PathEscape(id), nil, nil, &out)
}

// Resources lists all resources of the process, orphans first, or only those.
func (c *Client) Resources(ctx context.Context, orphans bool) (Resources, error) {
	var out Resources
	q := url.Values{}
	if orphans {
		q.Set("orphans", "true")
	}
	return out, c.do(ctx, "GET", "/v1/resources", q, nil, &out)
}

// Routes lists the routes.
func (c *Client) Routes(ctx context.Context) (Routes, error) {
	var out Routes
	return out, c.do(ctx, "GET", "/v1/routes", nil, nil, &out)
}

// Upstreams lists the upstreams and their targets.
func (c *Client) Upstreams(ctx context.Context) (Upstreams, error) {
	var out Upstreams
	return out, c.do(ctx, "GET", "/v1/upstreams", nil, nil, &out)
}

// SetTarget puts a target into a state by hand.
func (c *Client) SetTarget(ctx context.Context, upstream, target string, q TargetRequest) (TargetState, error) {
	var out TargetState
	path := "/v1/upstreams/" + url.PathEscape(upstream) + "/targets/" + url.PathEscape(target)
	return out, c.do(ctx, "POST", path, nil, q, &out)
}

// Reload has the configuration read again.
func (c *Client) Reload(ctx context.Context, q ReloadRequest) (Reload, error) {
	var out Reload
	return out, c.do(ctx, "POST", "/v1/reload", nil, q, &out)
}

// Stages changes the stages of a route, or of conns.
func (c *Client) Stages(ctx context.Context, q StagesRequest) (StagesChange, error) {
	var out StagesChange
	return out, c.do(ctx, "POST", "/v1/stages", nil, q, &out)
}

// Kill kills conns.
func (c *Client) Kill(ctx context.Context, q KillRequest) (Kills, error) {
	var out Kills
	return out, c.do(ctx, "POST", "/v1/kill", nil, q, &out)
}

// Drain begins a drain.
func (c *Client) Drain(ctx context.Context, q DrainRequest) (Drain, error) {
	var out Drain
	return out, c.do(ctx, "POST", "/v1/drain", nil, q, &out)
}

// DrainProgress calls f at every change of a drain until it is over.
func (c *Client) DrainProgress(ctx context.Context, f func(Drain)) error {
	body, err := c.stream(ctx, "/v1/drain", nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer body.Close()
	return readEvents(body, f)
}

// Tap follows a conn: what it returns is the stream that package tap reads.
func (c *Client) Tap(ctx context.Context, id, at string) (io.ReadCloser, error) {
	q := url.Values{}
	if at != "" {
		q.Set("at", at)
	}
	return c.stream(ctx, "/v1/conns/"+url.PathEscape(id)+"/tap", q, "application/jsonl")
}

// stream begins a long answer.
func (c *Client) stream(ctx context.Context, path string, q url.Values, accept string) (io.ReadCloser, error) {
	r, err := c.request(ctx, "GET", path, q, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return answer.Body, nil
}

// do asks, and reads the answer into out.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, in, out any) error {
	r, err := c.request(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return refusal(answer)
	}
	body := &io.LimitedReader{R: answer.Body, N: c.most}
	err = json.NewDecoder(body).Decode(out)
	if err != nil && body.N == 0 {
		err = fmt.Errorf("it is longer than %d bytes: is this a relayd?", c.most)
	}
	if err != nil {
		return fmt.Errorf("%s: the answer to %s %s: %w", c.at, method, path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// unreachable takes the URL out of an error, which says less than the address.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("%s: %w: %w", c.at, ErrUnreachable, op.Err)
	}
	return fmt.Errorf("%s: %w", c.at, err)
}

// refusal reads the error that a request was answered with.
func refusal(answer *http.Response) error {
	var e envelope
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if json.Unmarshal(text, &e) != nil || e.Error == nil {
		return fmt.Errorf("the answer is %s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	e.Error.Status = answer.StatusCode
	return e.Error
}

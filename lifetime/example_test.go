package lifetime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"relayd/lifetime"
)

// A request is a resource, and its body is another, which needs the request's
// connection and is therefore its child. Both are in one struct.
type request struct {
	lifetime.Node
	body body
}

type body struct {
	lifetime.Node
	r io.Reader
}

var (
	requestKind = lifetime.NewKind(lifetime.Hooks[request]{
		Name:    "request",
		Release: func(*request) { fmt.Println("  the connection is free") },
	})
	bodyKind = lifetime.NewKind(lifetime.Hooks[body]{Name: "body"})
)

// newRequest returns a request with a body, and the body for somebody else.
func newRequest(text string, p lifetime.Policy) (*request, *body) {
	r := &request{body: body{r: strings.NewReader(text)}}
	if err := requestKind.Init(r, nil, p); err != nil {
		panic(err)
	}
	if err := bodyKind.Init(&r.body, &r.Node, p); err != nil {
		panic(err)
	}
	return r, &r.body
}

// Read is an operation: it enters, and leaves.
func (b *body) Read(p []byte) (int, error) {
	if err := b.Enter(); err != nil {
		return 0, err
	}
	defer b.Leave()
	return b.r.Read(p)
}

// Close is for others, who know it as an io.Closer.
func (b *body) Close() error {
	_, err := b.BeginDrop()
	return err
}

// compress is in another component, and knows nothing of requests.
func compress(b io.ReadCloser) {
	text, err := io.ReadAll(b)
	switch {
	case errors.Is(err, lifetime.ErrTrapped):
		fmt.Println("  the compressor meets a trap")
	case errors.Is(err, lifetime.ErrClosedByParent):
		fmt.Println("  the compressor is told that the request was dropped")
	case err == nil:
		fmt.Printf("  the compressor has read %q\n", text)
	}
	b.Close()
}

// A program takes the body from a request, hands it to a compressor, and drops
// the request. What happens is the policy's choice. Under Refcount both have
// what they need, and the connection is free when the compressor is through.
func Example() {
	for _, policy := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren} {
		fmt.Println(policy)
		request, body := newRequest("hello", policy)
		left, err := request.Drop(context.Background())
		switch {
		case errors.Is(err, lifetime.ErrTrapped):
			fmt.Println("  the drop fails")
		case left.Children > 0:
			fmt.Printf("  the drop leaves %d behind\n", left.Children)
		}
		compress(body)
	}

	fmt.Println(lifetime.Block)
	request, body := newRequest("hello", lifetime.Block)
	go compress(body)
	request.Drop(context.Background())
	fmt.Println("  the drop returns last")

	// Output:
	// refcount
	//   the drop leaves 1 behind
	//   the compressor has read "hello"
	//   the connection is free
	// trap
	//   the connection is free
	//   the drop fails
	//   the compressor meets a trap
	// close-children
	//   the connection is free
	//   the compressor is told that the request was dropped
	// block
	//   the compressor has read "hello"
	//   the connection is free
	//   the drop returns last
}

// A stage is a transformer of somebody else's stream, which it owns from then
// on: its release closes the source.
type stage struct {
	lifetime.Node
	name      string
	source    io.ReadCloser
	transform func(string) string
}

var stageKind = lifetime.NewKind(lifetime.Hooks[stage]{
	Name: "stage",
	Release: func(s *stage) {
		fmt.Println("  released:", s.name)
		s.source.Close()
	},
})

func newStage(name string, source io.ReadCloser, transform func(string) string) io.ReadCloser {
	s := &stage{name: name, source: source, transform: transform}
	if err := stageKind.Init(s, nil, lifetime.Refcount); err != nil {
		panic(err)
	}
	return s
}

func (s *stage) Read(p []byte) (int, error) {
	if err := s.Enter(); err != nil {
		return 0, err
	}
	defer s.Leave()
	n, err := s.source.Read(p)
	return copy(p, s.transform(string(p[:n]))), err
}

func (s *stage) Close() error {
	_, err := s.BeginDrop()
	return err
}

// Two transformers that know nothing of each other, nor of requests, are put
// one upon the other. The program that did so drops the request and goes; the
// reader of the last stream closes it when it is through, and that is all it
// has to know. A shutdown of the request still reaches the reader.
func Example_composition() {
	compose := func() (*request, io.ReadCloser) {
		request, body := newRequest("a stream", lifetime.Refcount)
		upper := newStage("upper", body, strings.ToUpper)
		return request, newStage("join", upper, func(s string) string { return strings.ReplaceAll(s, " ", "_") })
	}

	fmt.Println("drop")
	request, reader := compose()
	request.Drop(context.Background())
	text, err := io.ReadAll(reader)
	fmt.Printf("  read %q, %v\n", text, err)
	reader.Close()

	fmt.Println("shutdown")
	request, reader = compose()
	request.Drop(context.Background())
	request.Shutdown(context.Background(), errors.New("the operator's wish"))
	text, err = io.ReadAll(reader)
	fmt.Printf("  read %q, %v\n", text, err)
	reader.Close()

	// Output:
	// drop
	//   read "A_STREAM", <nil>
	//   released: join
	//   released: upper
	//   the connection is free
	// shutdown
	//   the connection is free
	//   read "", resource shut down: the operator's wish
	//   released: join
	//   released: upper
}

// A graceful drain: wait for the children, but not for ever. The drop under
// Block waits, and takes itself back when its context ends; Shutdown then ends
// whatever is left, and says what that was.
func Example_drain() {
	request, body := newRequest("a body that nobody reads", lifetime.Block)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	left, err := request.Drop(ctx)
	fmt.Println(errors.Is(err, lifetime.ErrHoldersAlive), left.Children)

	report, err := request.Shutdown(context.Background(), errors.New("drain time is up"))
	fmt.Println(report.State, report.Cause, err)
	for _, h := range report.Holders {
		fmt.Println("cut:", h.Kind)
	}
	fmt.Println(body.Close(), body.End())
	// Output:
	// true 1
	//   the connection is free
	// released drain time is up <nil>
	// cut: body
	// <nil> shutdown
}

// A mailbox is a type of one's own with an operation that waits. Its Interrupt
// hook wakes whoever waits, when the handle is dropped or shut down.
type mailbox struct {
	lifetime.Node
	mail chan string
	stop chan error
}

var mailboxKind = lifetime.NewKind(lifetime.Hooks[mailbox]{
	Name: "mailbox",
	Interrupt: func(m *mailbox, cause error) {
		select {
		case m.stop <- cause:
		default: // it may come more than once
		}
	},
	Release: func(m *mailbox) { close(m.mail) }, // nobody is inside any more
})

func newMailbox() *mailbox {
	m := &mailbox{mail: make(chan string, 1), stop: make(chan error, 1)}
	if err := mailboxKind.Init(m, nil, lifetime.Refcount); err != nil {
		panic(err)
	}
	return m
}

// Receive waits for mail.
func (m *mailbox) Receive() (string, error) {
	if err := m.Enter(); err != nil {
		return "", err
	}
	defer m.Leave()
	select {
	case text := <-m.mail:
		return text, nil
	case cause := <-m.stop:
		return "", cause
	}
}

// An operation brackets itself with Enter and Leave. As long as one is inside,
// the resource is not released.
func ExampleNode_Enter() {
	m := newMailbox()
	m.mail <- "a letter"
	fmt.Println(m.Receive())

	received := make(chan error)
	go func() {
		_, err := m.Receive()
		received <- err
	}()
	for lifetime.Snapshot(&m.Node)[0].Operations == 0 {
		<-time.After(time.Millisecond)
	}
	m.Drop(context.Background()) // returns after Receive has
	fmt.Println(<-received)
	fmt.Println(m.Receive())
	// Output:
	// a letter <nil>
	// resource dropped
	//  resource dropped
}

// "Why is this still open?" has an answer, at any time.
func ExampleSnapshot() {
	request, body := newRequest("hello", lifetime.Refcount)
	request.Drop(context.Background())
	body.Enter() // an operation that takes its time

	for _, i := range lifetime.Snapshot(&request.Node) {
		switch {
		case !i.Owned && i.Children > 0:
			fmt.Printf("the %s was dropped and is %v: it is held by %d children\n", i.Kind, i.State, i.Children)
		case i.Operations > 0:
			fmt.Printf("the %s is %v, with %d operations inside\n", i.Kind, i.State, i.Operations)
		}
	}

	body.BeginShutdown(nil)
	body.Leave()
	// Output:
	// the request was dropped and is live: it is held by 1 children
	// the body is live, with 1 operations inside
	//   the connection is free
}

// Every resource has a future, which tells how it ended for ever after.
func ExampleNode_Err() {
	request, body := newRequest("hello", lifetime.CloseChildren)
	fmt.Println(body.Err())
	request.Drop(context.Background())
	<-body.Done()
	fmt.Println(body.End(), "-", body.Err())
	fmt.Println(request.End(), "-", request.Err())
	// Output:
	// <nil>
	//   the connection is free
	// closed-by-parent - closed by the drop of its parent
	// dropped - resource dropped
}

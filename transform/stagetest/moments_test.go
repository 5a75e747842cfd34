package stagetest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/transform"
)

func TestMomentsOfGoodChains(t *testing.T) {
	pass := transform.NewStage("pass", openPass)
	TestMoments(t, transform.Chain{pass}, Moments{})
	TestMoments(t, transform.Chain{pass, pass, pass}, Moments{Input: []byte("x")})
}

// haunted leaves a goroutine behind.
type haunted struct {
	pass
	end chan struct{}
}

func (h *haunted) Close() error {
	go h.haunt()
	return nil
}

func (h *haunted) haunt() { <-h.end }

// failing cannot be closed.
type failing struct{ pass }

func (failing) Close() error { return errors.New("it does not close") }

// slow takes its time when its source has failed.
type slow struct{ pass }

func (s *slow) Read(b []byte) (int, error) {
	n, err := s.pass.Read(b)
	if err != nil && err != io.EOF {
		<-time.After(200 * time.Millisecond)
	}
	return n, err
}

// hiding takes panics for failures.
type hiding struct{ pass }

func (h *hiding) Read(b []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("something is wrong")
		}
	}()
	return h.pass.Read(b)
}

// What is bad about a chain is said, at the moment of one of the faults.
func TestMomentsOfBadChains(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	for want, open := range map[string]func(io.Reader) io.ReadCloser{
		"goroutines are left":      func(src io.Reader) io.ReadCloser { return &haunted{pass{src: src}, end} },
		"it does not close":        func(src io.Reader) io.ReadCloser { return &failing{pass{src: src}} },
		"has not returned within":  func(src io.Reader) io.ReadCloser { return &slow{pass{src: src}} },
		"want the panic":           func(src io.Reader) io.ReadCloser { return &hiding{pass{src: src}} },
		"a resource is left below": openPass,
		"want what cannot be":      openPass,
	} {
		o := Moments{patience: 20 * time.Millisecond, Faults: []Fault{
			{Name: "keeps-child", Strike: keepChild},
			{Name: "never-right", Strike: (*Moment).killed, Want: func(error) error { return errors.New("want what cannot be") }},
		}}.withDefaults()
		var all []error
		for _, f := range append(o.faults(), o.Faults...) {
			_, err := o.strike(transform.Chain{transform.NewStage("bad", open)}, f, 1)
			all = append(all, err)
		}
		if err := errors.Join(all...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got\n%v", want, err)
		}
	}
}

// keepChild makes a resource below the conn that nobody drops.
func keepChild(m *Moment) bool {
	return ownerKind.Init(new(ownerNode), &m.owner.Node, lifetime.Refcount) == nil
}

package lifetime_test

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"relayd/lifetime"
)

var (
	_ flag.Value               = (*lifetime.Policy)(nil)
	_ encoding.TextMarshaler   = lifetime.Policy(0)
	_ encoding.TextUnmarshaler = (*lifetime.Policy)(nil)
)

func TestPolicyNames(t *testing.T) {
	for _, test := range []struct {
		policy lifetime.Policy
		name   string
	}{
		{lifetime.Refcount, "refcount"},
		{lifetime.Trap, "trap"},
		{lifetime.CloseChildren, "close-children"},
		{lifetime.Block, "block"},
	} {
		if got := test.policy.String(); got != test.name {
			t.Errorf("String of %d is %q, want %q", test.policy, got, test.name)
		}
		var p lifetime.Policy
		if err := p.Set(test.name); err != nil || p != test.policy {
			t.Errorf("Set(%q) makes it %v, %v", test.name, p, err)
		}
		text, err := test.policy.MarshalText()
		if err != nil || string(text) != test.name {
			t.Errorf("text of %v is %q, %v", test.policy, text, err)
		}
		p = 0
		if err := p.UnmarshalText(text); err != nil || p != test.policy {
			t.Errorf("text %q is %v, %v", text, p, err)
		}
	}
	if p := lifetime.Policy(0); p != lifetime.Refcount {
		t.Errorf("the zero value is %v", p)
	}
}

// A name that is none changes nothing, and the error lists those that are.
func TestPolicyUnknown(t *testing.T) {
	for _, name := range []string{"", "Refcount", "block ", "closechildren", "policy(0)"} {
		p := lifetime.Block
		for _, err := range []error{p.Set(name), p.UnmarshalText([]byte(name))} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q: it is one of refcount, trap, close-children, block", name)) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if p != lifetime.Block {
			t.Errorf("%q made it %v", name, p)
		}
	}
	bad := lifetime.Policy(9)
	if got := bad.String(); got != "policy(9)" {
		t.Errorf("String of 9 is %q", got)
	}
	if text, err := bad.MarshalText(); err == nil {
		t.Errorf("text of 9 is %q", text)
	}
}

func TestPolicyFlag(t *testing.T) {
	var p lifetime.Policy
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&p, "drop-policy", "")
	if err := flags.Parse([]string{"--drop-policy", "trap"}); err != nil || p != lifetime.Trap {
		t.Errorf("%v, %v", p, err)
	}
	if err := flags.Parse([]string{"--drop-policy=never"}); err == nil {
		t.Errorf("an unknown policy made it %v", p)
	}
	if got := p.Type(); got != "policy" {
		t.Errorf("help calls it a %q", got)
	}
}

func TestPolicyJSON(t *testing.T) {
	type config struct{ Drop lifetime.Policy }
	var c config
	if err := json.Unmarshal([]byte(`{"Drop":"block"}`), &c); err != nil || c.Drop != lifetime.Block {
		t.Errorf("%v, %v", c, err)
	}
	text, err := json.Marshal(c)
	if err != nil || string(text) != `{"Drop":"block"}` {
		t.Errorf("%s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`{"Drop":"never"}`), &c); err == nil {
		t.Error("an unknown policy is taken")
	}
}

// A resource keeps the policy that it was made with.
func TestPolicyOfANode(t *testing.T) {
	for _, p := range allPolicies {
		s := newSock(t, p)
		if s.p.Policy() != p {
			t.Errorf("policy %v, want %v", s.p.Policy(), p)
		}
		s.p.BeginDrop()
		if s.p.Policy() != p {
			t.Errorf("policy %v after the release, want %v", s.p.Policy(), p)
		}
	}
}

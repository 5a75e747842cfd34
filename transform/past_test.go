package transform_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"relayd/transform"
)

// through reads in through a chain of a stream with a past, and closes the chain.
func through(t *testing.T, past *transform.Past, chain transform.Chain, in string) string {
	t.Helper()
	r, closeChain := chain.OpenAt(strings.NewReader(in), &transform.Site{Past: past})
	got, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	if err := closeChain(); err != nil {
		t.Error(err)
	}
	return string(got)
}

// A stage goes on in the next chain of its stream where it was, and begins anew in
// another stream, and once it was away: what is gone is not kept.
func TestPast(t *testing.T) {
	cut, count := mustParse(t, "cut:5"), mustParse(t, "count")
	var one, other transform.Past
	for _, step := range []struct {
		past     *transform.Past
		chain    transform.Chain
		in, want string
	}{
		{&one, transform.Chain{cut}, "abc", "abc"},
		{&other, transform.Chain{cut}, "ABCD", "ABCD"},
		{&one, transform.Chain{count, cut, count}, "defgh", "de"},
		{&other, transform.Chain{cut, count}, "EFGH", "E"},
		{&other, transform.Chain{count}, "IJ", "IJ"},
		{&other, transform.Chain{cut}, "KLMNOPQ", "KLMNO"},
		{nil, transform.Chain{cut}, "123456", "12345"},
	} {
		if got := through(t, step.past, step.chain, step.in); got != step.want {
			t.Errorf("%s of %q: got %q, want %q", step.chain, step.in, got, step.want)
		}
	}
}

// One stage may be in a chain twice, and is two.
func TestPastOfTwice(t *testing.T) {
	cut := mustParse(t, "cut:5")
	var past transform.Past
	if got := through(t, &past, transform.Chain{cut, cut}, "abcdefgh"); got != "abcde" {
		t.Errorf("got %q", got)
	}
}

// Damage goes on as if its chain had not changed.
func TestPastOfCorrupt(t *testing.T) {
	in := sample(100_000)
	want := run(t, "corrupt:0.01,seed=5", in)
	corrupt := mustParse(t, "corrupt:0.01,seed=5")
	var past transform.Past
	var got []byte
	for _, part := range [][]byte{in[:1], in[1:5000], in[5000:5001], in[5001:]} {
		got = append(got, through(t, &past, transform.Chain{corrupt}, string(part))...)
	}
	if !bytes.Equal(got, want) {
		t.Error("it differs")
	}
}

package transform_test

// Every stage of the list against the contract, alone. Chains are in the tests of
// the stages; all of them over real sockets, and under each policy, in tests.

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/stagetest"
)

// A conforming is a stage, and what the contract has to know of it.
type conforming struct {
	text string
	o    stagetest.Options
}

func TestConformance(t *testing.T) {
	covered := make(map[string]bool)
	for _, c := range slices.Concat(codecsConform(t), programsConform(), watchingConform(t.TempDir()), shapingConform(), faultsConform(t)) {
		name, _, _ := strings.Cut(c.text, ":")
		covered[name] = true
		t.Run(c.text, func(t *testing.T) {
			if c.o.Ahead {
				leak.Check(t)
			}
			// A stage is parsed for each stream, so that it is the first one to
			// whatever is drawn at random.
			stagetest.TestStage(t, anew(t, c.text), c.o)
		})
	}
	for _, s := range transform.Stages() {
		if !covered[s.Name] {
			t.Errorf("no stage %s is held to the contract: add one to the lists in this file", s.Name)
		}
	}
}

func codecsConform(t *testing.T) (all []conforming) {
	want := sample(2000)
	for _, c := range codecs {
		all = append(all, conforming{c.encoder, stagetest.Options{Decode: chain(t, c.decoder), Memory: c.packs << 10}})
		all = append(all, conforming{c.decoder, stagetest.Options{
			Input:    run(t, c.encoder, want),
			Want:     want,
			Complete: true,
			Memory:   c.unpacks << 10,
		}})
	}
	return all
}

func programsConform() []conforming {
	return []conforming{{"exec:cat", stagetest.Options{Ahead: true}}}
}

func watchingConform(dir string) (all []conforming) {
	for _, text := range []string{
		"count",
		"hash",
		"hash:md5",
		"hexdump",
		"hexdump:" + dir + "/a.hex",
		"hexdump:/dev/full",
		"pcapng:" + dir + "/a.pcapng",
		"pcapng:/dev/full",
		"tee:" + dir + "/a.raw",
		"tee:" + dir + "/b.raw,lossy=true",
		"tee:/dev/full,lossy=true",
		"tee:" + dir + "/no/file,lossy=true",
	} {
		all = append(all, conforming{text, stagetest.Options{}})
	}
	return all
}

func shapingConform() []conforming {
	const ms = time.Millisecond
	some := sample(3000) // for what has been tested with more already, but for an option
	return []conforming{
		{"limit:1G/s", stagetest.Options{Memory: 16 << 10}},
		{"limit:1G/s,scope=route", stagetest.Options{Input: some}},
		{"limit:1G/s,scope=source", stagetest.Options{Input: some, Memory: 16 << 10}},
		{"limit:100k/s,burst=300", stagetest.Options{Late: 10 * ms, Timed: true}},
		{"slice:100", stagetest.Options{Memory: 16 << 10}},
		{"slice:700,delay=10ms", stagetest.Options{Late: 10 * ms, Timed: true}},
		{"delay:1ms", stagetest.Options{Ahead: true, Timed: true, Memory: 1<<20 + 72<<10}},
		{"delay:1ms,jitter=1ms,queue=256k", stagetest.Options{Ahead: true, Timed: true, Memory: 256<<10 + 72<<10}},
		{"delay:5ms,queue=100", stagetest.Options{Input: some, Ahead: true, Timed: true, Memory: 72 << 10}},
		{"stall:1000,time=10ms", stagetest.Options{Late: 10 * ms, Timed: true, Memory: 16 << 10}},
		{"stall:1G", stagetest.Options{Input: some}},
	}
}

func faultsConform(t *testing.T) []conforming {
	some := sample(3000)
	return []conforming{
		{"cut:1G", stagetest.Options{Memory: 16 << 10}},
		{"cut:1000", stagetest.Options{Input: some, Want: some[:1000], Stops: 1000}},
		{"reset:1G", stagetest.Options{Memory: 16 << 10}},
		{"corrupt:0", stagetest.Options{Memory: 16 << 10}},
		{"corrupt:0.01,seed=7", stagetest.Options{Input: some, Want: run(t, "corrupt:0.01,seed=7", some)}},
		{`replace:"\x00 no such text",to=x`, stagetest.Options{Memory: 16 << 10}},
		// A beginning that was held back comes out when the source fails, so
		// what replaces the text begins with it.
		{"replace:the,to=the other", stagetest.Options{
			Input:  some,
			Want:   bytes.ReplaceAll(some, []byte("the"), []byte("the other")),
			Memory: 16 << 10,
		}},
		{"reset:0,p=0", stagetest.Options{Input: some}},
	}
}

// The stages of a kind in a chain, between others.
func TestConformanceOfChains(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []conforming{
		{"limit:1G/s,slice:1000,gzip,delay:1ms,gunzip,reset:1,p=0,stall:1000,time=1ms", stagetest.Options{Ahead: true, Timed: true, Late: 5 * time.Millisecond}},
		{`replace:"\x00 no",to=x,zstd,limit:1G/s,scope=route,slice:100,unzstd,corrupt:0,cut:1G`, stagetest.Options{}},
		{"delay:1ms,delay:1ms,jitter=1ms,s2,uns2", stagetest.Options{Ahead: true, Timed: true}},
		{"count,slice:100,tee:" + dir + "/c1,gzip,pcapng:" + dir + "/c2,gunzip,hash,limit:1G/s,hexdump:" + dir + "/c3", stagetest.Options{}},
		{"s2,limit:1G/s,exec:cat,uns2", stagetest.Options{Ahead: true}},
	} {
		t.Run(c.text, func(t *testing.T) {
			c.o.Input = sample(20_000)
			stagetest.TestStage(t, chain(t, c.text), c.o)
		})
	}
}

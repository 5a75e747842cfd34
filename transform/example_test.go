package transform_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"relayd/transform"
)

// A pump reads a connection through a chain. Here the chain packs and unpacks,
// as the two ends of a tunnel do.
func ExampleChain_Open() {
	chain, err := transform.ParseChain("gzip:level=9,gunzip")
	if err != nil {
		fmt.Println(err)
		return
	}
	src := strings.NewReader("hello, upstream\n") // in a relay: a socket's read half

	r, closeChain := chain.Open(src)
	if _, err := io.Copy(os.Stdout, r); err != nil {
		fmt.Println(err) // the source's own error, or a *transform.Error
	}
	if err := closeChain(); err != nil { // src stays open
		fmt.Println(err)
	}
	// Output: hello, upstream
}

// What one side of a tunnel does to the bytes, the other side undoes.
func ExampleChain_Inverse() {
	wrap, err := transform.ParseChain("gzip:level=1,gzip")
	if err != nil {
		fmt.Println(err)
		return
	}
	unwrap, err := wrap.Inverse()
	fmt.Println(unwrap, err)
	// Output: gunzip,gunzip <nil>
}

// A stage is written as a name, or as a name and options.
func ExampleParseStage() {
	for _, text := range []string{
		"gzip",
		"gzip:level=9",
		"gzip:level=6", // 6 is the default
		"gzp",
		"gzip:speed=9",
		"gzip:level=fast",
	} {
		stage, err := transform.ParseStage(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(stage)
	}
	// Output:
	// gzip
	// gzip:level=9
	// gzip
	// parse stage "gzp": byte 1: unknown stage "gzp": did you mean "gzip"?
	// parse stage "gzip:speed=9": byte 6: unknown option "speed": known are level, idle
	// parse stage "gzip:level=fast": byte 12: bad value "fast" of option "level": want a number from 1 to 9
}

// A stream that is cut off is an error, after all that could be read.
func ExampleError() {
	const packed = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x05\x00\xfa\xffhello"
	gunzip, err := transform.ParseStage("gunzip")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := gunzip.Open(strings.NewReader(packed))
	defer r.Close()

	b, err := io.ReadAll(r)
	fmt.Printf("%q\n", b)
	fmt.Println(err)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// "hello"
	// gunzip: truncated stream: the source ended at byte 20: unexpected EOF
	// true
}

// upper is a stage of one's own. Its source is always a Readier, and it keeps
// nothing back.
type upper struct{ src io.Reader }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.src.Read(p)
	copy(p, strings.ToUpper(string(p[:n])))
	return n, err
}

func (u upper) Ready() bool  { return u.src.(transform.Readier).Ready() }
func (u upper) Close() error { return nil }

func ExampleNewStage() {
	shout := transform.NewStage("shout", func(src io.Reader) io.ReadCloser { return upper{src} })

	r, closeChain := transform.Chain{shout}.Open(strings.NewReader("hello\n"))
	defer closeChain()
	if _, err := io.Copy(os.Stdout, r); err != nil {
		fmt.Println(err)
	}
	// Output: HELLO
}

func ExampleStages() {
	for _, stage := range transform.Stages() {
		if stage.Name != "unzstd" && stage.Name != "exec" {
			continue
		}
		fmt.Printf("%s: %s\n", stage.Name, stage.Summary)
		for _, o := range stage.Options {
			if o.Required {
				fmt.Printf("  %s: %s, required\n", o.Name, o.Values)
				continue
			}
			fmt.Printf("  %s: %s, default %s\n", o.Name, o.Values, o.Default)
		}
	}
	// Output:
	// unzstd: decompress the Zstandard format
	//   window: a power of two from 1k to 128M, default 8M
	// exec: run the bytes through a program, from its standard input to its standard output
	//   command: a program and its arguments; '…', "…" and \ quote as in a shell, required
	//   grace: a duration up to 1h, default 2s
}

// Stages can do harm, so that a test sees how its programs bear it. With a seed
// they do the same harm each time.
func ExampleParseChain_faults() {
	chain, err := transform.ParseChain("replace:from=good,to=bad,corrupt:rate=0.1,seed=2,reset:after=16")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, closeChain := chain.Open(strings.NewReader("all is good, and nothing is lost\n"))
	defer closeChain()
	text, err := io.ReadAll(r)
	fmt.Printf("%q, %v\n", text, err)
	// Output:
	// "all yq bad, and ", reset: reset after 16 bytes, as asked
}

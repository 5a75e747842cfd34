package transform

// The gunzip stage: decompression as of RFC 1952, of one member or several in a
// row.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"
)

const (
	// gunzipInput is how many compressed bytes are read at a time.
	gunzipInput = 16 << 10

	// gunzipWindow is the format's window, and with it the most that the
	// decoder has decoded and not handed out: a Read of so many bytes leaves it
	// empty.
	gunzipWindow = 32 << 10
)

var gunzipDefinition = definition{
	Info: Info{
		Name:    "gunzip",
		Summary: "decompress the gzip format",
		Inverse: "gzip",
		Memory:  "60 KiB to the end; 32 KiB more while it is read through a buffer smaller than that",
		Example: "gunzip",
	},
	build: func([]string) opener {
		return func(src *source) io.ReadCloser { return &gunzip{src: src} }
	},
}

var (
	gzipMagic = []byte{0x1f, 0x8b, 8} // the identification, and deflate, the only method
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

	errGarbage = errors.New("garbage after the end of the gzip stream")
	errZstd    = errors.New("not a gzip stream: this looks like zstd")
)

// A decoder knows no stream once in's source is reset.
type gzipDecoder struct {
	in *bufio.Reader
	r  kgzip.Reader
}

var gzipDecoders = sync.Pool{
	New: func() any { return &gzipDecoder{in: bufio.NewReaderSize(nil, gunzipInput)} },
}

type gunzip struct {
	src *source

	dec    *gzipDecoder // nil before the first Read, after the end, and after an error
	busy   bool         // inside decode; when a panic left it, dec is spoilt
	member bool         // inside a member
	later  bool         // not in the first member
	out    pending      // decoded, and more than the caller had room for
	err    error        // to be returned when out is read
}

func (z *gunzip) Read(p []byte) (int, error) {
	if n := z.out.take(p); n > 0 {
		return n, nil
	}
	if z.err != nil {
		return 0, z.err
	}
	if len(p) >= gunzipWindow {
		return z.decode(p)
	}
	// Only with room for all that the decoder has does Ready know whether
	// there is more.
	n, err := z.decode(z.out.space(gunzipWindow))
	z.out.fill(n)
	z.err = err
	if n == 0 {
		return 0, err
	}
	return z.out.take(p), nil
}

// decode reads decoded bytes into p: some, or an error, or both.
func (z *gunzip) decode(p []byte) (n int, err error) {
	if z.dec == nil {
		z.dec = gzipDecoders.Get().(*gzipDecoder)
		z.dec.in.Reset(z.src)
	}
	z.busy = true
	for n == 0 && err == nil {
		if z.member {
			n, err = z.next(p)
		} else {
			err = z.begin()
		}
	}
	z.busy = false
	switch err {
	case nil:
	case io.EOF:
		z.release()
	default:
		z.dec = nil // it has seen an error, and is not handed on
	}
	return n, err
}

// begin reads the header of a member, or io.EOF where there need not be one.
func (z *gunzip) begin() error {
	if err := z.sniff(); err != nil {
		return err
	}
	if err := z.dec.r.Reset(z.dec.in); err != nil {
		return z.explain(err)
	}
	// Members are taken one by one, so that one is handed out before the
	// beginning of the next is waited for.
	z.dec.r.Multistream(false)
	z.dec.r.Header = kgzip.Header{} // a peer's names and comments are not kept
	z.member = true
	return nil
}

// next reads decoded bytes of a member. It may return none at its end.
func (z *gunzip) next(p []byte) (int, error) {
	n, err := z.dec.r.Read(p)
	switch err {
	case nil:
		return n, nil
	case io.EOF: // the trailer was read, and is right
		z.member, z.later = false, true
		return n, nil
	}
	return n, z.explain(err)
}

// sniff looks at the first bytes of a member, no further than needed to tell
// what it is: a wrong first byte is reported without waiting for a second.
func (z *gunzip) sniff() error {
	for n := 1; ; n++ {
		head, err := z.dec.in.Peek(n)
		switch {
		case err == io.EOF && n == 1 && z.later:
			return io.EOF
		case err == io.EOF && bytes.HasPrefix(gzipMagic, head):
			return z.explain(err)
		case err != nil && err != io.EOF:
			return err
		case bytes.Equal(head, gzipMagic):
			return nil
		case err == nil && bytes.HasPrefix(gzipMagic, head):
		case z.later:
			return errGarbage
		case bytes.Equal(head, zstdMagic):
			return errZstd
		case err == nil && bytes.HasPrefix(zstdMagic, head):
		default:
			head, _ = z.dec.in.Peek(min(4, z.dec.in.Buffered())) // all that is there
			return fmt.Errorf("not a gzip stream: it begins with %q", head)
		}
	}
}

// explain says what the decoder's error means. If it was the source that
// failed, nobody will see it: see link.verdict.
func (z *gunzip) explain(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("truncated stream: the source ended at byte %d: %w",
			z.src.n, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("corrupt stream: %w", err)
}

// Ready is true for decoded bytes only: what those not yet decoded amount to
// is not known before a Read has tried.
func (z *gunzip) Ready() bool { return z.out.Len() > 0 || z.err != nil }

func (z *gunzip) Close() error {
	if z.busy {
		z.dec = nil
	}
	z.out.drop()
	z.release()
	return nil
}

func (z *gunzip) release() {
	if z.dec != nil {
		z.dec.in.Reset(nil)
		gzipDecoders.Put(z.dec)
		z.dec = nil
	}
}

package transform

// A decoder stage decompresses. What a frame is made of is its format's matter;
// where frames begin and end, what is held and for how long, and what an error
// means is the same for all.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// decoderInput is how many compressed bytes are read at a time.
const decoderInput = 16 << 10

// An unpacker decompresses one frame after another. It knows no stream before
// begin and after reset; streams hand it on.
type unpacker interface {
	// begin is called at the beginning of a frame, whose magic number is known
	// to be there, and takes the header.
	begin(in *bufio.Reader) error

	// ahead returns how much the next Read decodes at most. It may read as far
	// as it must to know that.
	ahead() (int, error)

	// Read decodes into p, which has room for all that is ahead. At the end of
	// the frame, behind its last byte, it returns io.EOF, and maybe bytes too.
	Read(p []byte) (int, error)

	// reset forgets the stream, and gives back what is not to be kept.
	reset()
}

// A decoding is what a kind of decoder stage does its work with.
type decoding struct {
	formats []*format // what a stream of it may begin with, its own first
	get     func() unpacker
	put     func(unpacker)
}

// An input is compressed bytes that were read and not decoded.
type input struct {
	*bufio.Reader
	from feed
}

// A feed gives what was read already, and then what the source has.
type feed struct {
	first []byte
	src   *source
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.first) == 0 {
		return f.src.Read(p)
	}
	n := copy(p, f.first)
	f.first = f.first[n:]
	return n, nil
}

var inputs = sync.Pool{
	New: func() any { return &input{Reader: bufio.NewReaderSize(nil, decoderInput)} },
}

// unpacking is a decoder stage at work.
//
// Inside a frame it holds its unpacker, whatever happens: what comes next may
// refer to anything in the window. Between frames, with nothing at hand, it
// holds nothing. So the encoder decides what a silent stream costs here.
type unpacking struct {
	src *source
	as  *decoding

	in    *input    // nil between frames while nothing is at hand
	un    unpacker  // nil outside of a frame
	busy  bool      // inside decode; when a panic left it, in and un are spoilt
	later bool      // not in the first frame
	out   pending   // decoded, and more than the caller had room for
	err   error     // to be returned when out is read
	small [512]byte // what to wait into when the caller's buffer is smaller
}

func (z *unpacking) Read(p []byte) (int, error) {
	if n := z.out.take(p); n > 0 {
		return n, nil
	}
	if z.err != nil {
		return 0, z.err
	}
	z.busy = true
	n, err := z.decode(p)
	z.busy = false
	if err == io.EOF {
		z.release()
	} else if err != nil {
		z.in, z.un = nil, nil // they have seen an error, and are not handed on
	}
	if z.out.Len() > 0 {
		z.err = err
		return z.out.take(p), nil
	}
	return n, err
}

// decode decodes until there are bytes in p or in out, or an error, or both.
func (z *unpacking) decode(p []byte) (n int, err error) {
	for n == 0 && z.out.Len() == 0 && err == nil {
		if z.un == nil {
			err = z.begin(p)
		} else {
			n, err = z.next(p)
		}
	}
	return n, err
}

// begin waits for a frame, and reads its header. It returns io.EOF where there
// need not be one.
func (z *unpacking) begin(p []byte) error {
	if z.in != nil && z.in.Buffered() == 0 {
		z.drop()
	}
	if z.in == nil {
		if err := z.await(p); err != nil {
			return err
		}
	}
	if err := z.sniff(); err != nil {
		return err
	}
	z.un = z.as.get()
	if err := z.un.begin(z.in.Reader); err != nil {
		return z.explain(err)
	}
	return nil
}

// await reads the first bytes of a frame into p, and only then gets an input.
func (z *unpacking) await(p []byte) error {
	if len(p) < len(z.small) {
		p = z.small[:]
	}
	n, err := z.src.Read(p[:min(len(p), decoderInput)])
	if err == io.EOF && !z.later {
		return z.explain(err)
	}
	if err != nil {
		return err
	}
	z.in = inputs.Get().(*input)
	z.in.from = feed{p[:n], z.src}
	z.in.Reset(&z.in.from)
	z.in.Peek(1) // which takes all of it: p is not ours for long
	return nil
}

// sniff looks at the first bytes of a frame, no further than needed to tell
// what it is: a wrong first byte is reported without waiting for a second.
func (z *unpacking) sniff() error {
	for n := 1; ; n++ {
		head, err := z.in.Peek(n)
		if err != nil && err != io.EOF {
			return err
		}
		var ours bool
		for _, f := range z.as.formats {
			may, sure := f.begins(head)
			if sure {
				return nil
			}
			ours = ours || may
		}
		if ours && err == io.EOF {
			return z.explain(err)
		}
		if ours {
			continue
		}
		if z.later {
			return z.as.formats[0].garbage()
		}
		got, open := recognize(head)
		if got == nil && open && err == nil {
			continue
		}
		head, _ = z.in.Peek(min(maxGuess, z.in.Buffered())) // no more than is there
		return z.as.formats[0].mismatch(got, head)
	}
}

// next decodes some of a frame: into p, or where p is too small for what is
// ahead, into out. Only so does Ready know whether there is more. It may decode
// nothing at the frame's end.
func (z *unpacking) next(p []byte) (n int, err error) {
	size, err := z.un.ahead()
	switch {
	case err != nil:
	case len(p) >= size:
		n, err = z.un.Read(p)
	default:
		var m int
		m, err = z.un.Read(z.out.space(size))
		z.out.fill(m)
	}
	switch err {
	case nil:
		return n, nil
	case io.EOF: // of the frame
		z.leave()
		return n, nil
	}
	return n, z.explain(err)
}

// A boundError is about a stream that may be fine, but wants more than is
// allowed.
type boundError string

func (e boundError) Error() string { return string(e) }

// explain says what the decoder's error means. If it was the source that
// failed, nobody will see it: see link.verdict.
func (z *unpacking) explain(err error) error {
	var bound boundError
	switch {
	case errors.As(err, &bound):
		return err
	case z.src.err == io.EOF: // and more was wanted
		return fmt.Errorf("truncated stream: the source ended at byte %d: %w", z.src.n.Load(), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("corrupt stream: %w", err)
}

// Ready is true for decoded bytes only: what those not yet decoded amount to
// is not known before a Read has tried.
func (z *unpacking) Ready() bool { return z.out.Len() > 0 || z.err != nil }

func (z *unpacking) Wait(d time.Duration) bool {
	return z.Ready() || z.in != nil && z.in.Buffered() > 0 || z.src.Wait(d)
}

func (z *unpacking) Close() error {
	if z.busy {
		z.in, z.un = nil, nil
	}
	z.out.drop()
	z.release()
	return nil
}

// leave lets go of the unpacker, at the end of a frame.
func (z *unpacking) leave() {
	z.un.reset()
	z.as.put(z.un)
	z.un, z.later = nil, true
}

// drop lets go of the input.
func (z *unpacking) drop() {
	z.in.from = feed{}
	z.in.Reset(nil)
	inputs.Put(z.in)
	z.in = nil
}

func (z *unpacking) release() {
	if z.un != nil {
		z.leave()
	}
	if z.in != nil {
		z.drop()
	}
}

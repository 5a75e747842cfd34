package transform

// An encoder stage compresses. What its output looks like is its format's
// matter; when to flush, what to hold and for how long is the same for all.

import (
	"io"
	"sync"
	"time"
)

// encoderPiece is how many bytes an encoder gets at a time. It may hold back
// nearly 128 KiB until a piece fills its block, and what then comes out, with the
// rest of the piece flushed behind it, stays below maxPending.
const encoderPiece = 32 << 10

// idleOption is for formats whose encoders cost something while they wait.
var idleOption = Option{
	Name:    "idle",
	Default: "10s",
	Values:  "a duration, or off",
	Doc: "how long a stream may be silent until its frame is ended, and the encoder" +
		" here and the decoder at the other end are let go; off keeps them",
	canon: durationOrOff,
}

// A packer compresses in one format. The klauspost writers are packers.
type packer interface {
	Reset(w io.Writer) // to the beginning of a frame, which is written to w
	Write(p []byte) (int, error)
	Flush() error // brings all out that was written
	Close() error // brings the rest out, and the end of the frame
}

// An encoder is a packer and its output. It knows no stream, and streams hand
// it on.
type encoder struct {
	packer
	out pending
}

// encoders are those of one format and one setting.
type encoders struct {
	make  func() (packer, error)
	spare sync.Pool // of *encoder
}

// encodersBy has an *encoders for each setting: a value of a type that only its
// format uses. Settings come from configurations, so they are few.
var encodersBy sync.Map

// encodersOf returns the encoders of a setting, which make makes.
func encodersOf(setting any, make func() (packer, error)) *encoders {
	v, ok := encodersBy.Load(setting)
	if !ok {
		v, _ = encodersBy.LoadOrStore(setting, &encoders{make: make})
	}
	return v.(*encoders)
}

// get returns an encoder at the beginning of a frame.
func (es *encoders) get() (*encoder, error) {
	e, ok := es.spare.Get().(*encoder)
	if !ok {
		p, err := es.make()
		if err != nil {
			return nil, err
		}
		e = &encoder{packer: p}
	}
	e.Reset(&e.out)
	return e, nil
}

func (es *encoders) put(e *encoder) {
	e.out.drop()
	es.spare.Put(e)
}

// packing is an encoder stage at work.
//
// A frame refers back to what is in it, so between its beginning and its end
// the stage holds its encoder, also while nothing is to be done. So after some
// silence it ends the frame and lets go of the encoder; what comes then begins
// another frame. The other end, which has seen the frame end, does the same.
type packing struct {
	src  *source
	from *encoders
	idle time.Duration // how much silence ends a frame; 0: none does

	enc   *encoder  // nil outside of a frame whose output is not all read
	busy  bool      // inside read; when a panic left it, enc is spoilt
	begun bool      // there was a frame: the stream is not empty
	dirty bool      // enc was given bytes since it was last flushed
	ended bool      // enc has ended its frame
	err   error     // to be returned when the output is read
	small [512]byte // what to read into when the caller's buffer is smaller
}

func (z *packing) Read(p []byte) (int, error) {
	z.busy = true
	n, err := z.read(p)
	z.busy = false
	if err != nil {
		z.release()
	}
	return n, err
}

func (z *packing) read(p []byte) (int, error) {
	for {
		if err := z.flush(); err != nil {
			return 0, err
		}
		if z.enc != nil {
			if n := z.enc.out.take(p); n > 0 {
				return n, nil
			}
		}
		if z.ended {
			z.release()
		}
		if z.err != nil {
			return 0, z.err
		}
		z.err = z.step(p)
	}
}

// flush brings out what the encoder holds if the source has nothing to add to
// it, or has failed.
func (z *packing) flush() error {
	if !z.dirty || z.err == nil && z.src.Ready() {
		return nil
	}
	z.dirty = false
	return z.enc.Flush()
}

// step takes in one piece, or the end, or notices a silence. The piece is read
// into p, which Read owns until it returns: so a stage that waits holds no
// buffer for it.
func (z *packing) step(p []byte) error {
	if z.enc != nil && z.idle > 0 && !z.src.Wait(z.idle) {
		return z.end()
	}
	if len(p) < len(z.small) {
		p = z.small[:]
	}
	n, err := z.src.Read(p[:min(len(p), encoderPiece)])
	if n == 0 && err != io.EOF {
		return err
	}
	if err == io.EOF {
		return z.finish()
	}
	if err := z.begin(); err != nil {
		return err
	}
	z.dirty = true
	_, err = z.enc.Write(p[:n])
	return err
}

// begin gets an encoder, if there is none.
func (z *packing) begin() (err error) {
	if z.enc == nil {
		z.enc, err = z.from.get()
		z.begun = true
	}
	return err
}

// end ends the frame. The encoder is let go when its output is read.
func (z *packing) end() error {
	z.dirty, z.ended = false, true
	return z.enc.Close()
}

// finish ends the stream, which has a frame also if it is empty.
func (z *packing) finish() error {
	if z.enc == nil && z.begun {
		return io.EOF
	}
	if err := z.begin(); err != nil {
		return err
	}
	if err := z.end(); err != nil {
		return err
	}
	return io.EOF
}

// Ready is exact: with anything at hand, a Read gets as far as output.
func (z *packing) Ready() bool {
	return z.enc != nil && z.enc.out.Len() > 0 || z.err != nil || z.src.Ready()
}

func (z *packing) Wait(d time.Duration) bool { return z.Ready() || z.src.Wait(d) }

func (z *packing) Close() error {
	if z.busy {
		z.enc = nil
	}
	z.release()
	return nil
}

func (z *packing) release() {
	if z.enc != nil {
		z.from.put(z.enc)
		z.enc, z.ended = nil, false
	}
}

package transform

// The gzip stage: compression as of RFC 1952, one member from beginning to end.

import (
	"io"
	"strconv"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"
)

// gzipPiece is how many bytes the encoder gets at a time. It holds back up to
// 64 KiB of input until it is flushed, so the output of one piece stays below
// maxPending.
const gzipPiece = 32 << 10

var gzipDefinition = definition{
	Info: Info{
		Name:    "gzip",
		Summary: "compress to the gzip format, flushing whenever there is nothing more at hand",
		Options: []Option{{
			Name:    "level",
			Default: "6",
			Values:  "1 to 9",
			Doc: "1 is fastest and 9 is smallest; only 7 to 9 find what repeats" +
				" from one message of up to 128 bytes to the next",
			canon: intRange(kgzip.BestSpeed, kgzip.BestCompression),
		}},
		Inverse: "gunzip",
		Memory:  "0.8 to 1.4 MiB, by level, from the first byte to the end; up to 128 KiB of output until it is read",
		Example: "gzip:level=9",
	},
	build: func(values []string) opener {
		level, err := strconv.Atoi(values[0])
		if err != nil {
			panic("transform: gzip: level is not canonical: " + values[0])
		}
		return func(src *source) io.ReadCloser { return &gzip{src: src, level: level} }
	},
}

// An encoder costs about a megabyte, so streams hand it on. It writes to its
// own out and knows no stream.
type gzipEncoder struct {
	w   *kgzip.Writer
	out pending
}

var gzipEncoders [kgzip.BestCompression + 1]sync.Pool // by level, of *gzipEncoder

func newGzipEncoder(level int) (*gzipEncoder, error) {
	e, ok := gzipEncoders[level].Get().(*gzipEncoder)
	if !ok {
		e = new(gzipEncoder)
		w, err := kgzip.NewWriterLevel(&e.out, level)
		if err != nil {
			return nil, err
		}
		e.w = w
		return e, nil
	}
	e.w.Reset(&e.out)
	return e, nil
}

type gzip struct {
	src   *source
	level int

	enc   *gzipEncoder // nil before the first byte or the end arrives, and after it went out
	busy  bool         // inside read; when a panic left it, enc is spoilt
	dirty bool         // enc was given bytes since it was last flushed
	err   error        // to be returned when the output is read
	small [512]byte    // what to read into when the caller's buffer is smaller
}

func (z *gzip) Read(p []byte) (int, error) {
	z.busy = true
	n, err := z.read(p)
	z.busy = false
	if err != nil {
		z.release()
	}
	return n, err
}

func (z *gzip) read(p []byte) (int, error) {
	for {
		if err := z.flush(); err != nil {
			return 0, err
		}
		if z.enc != nil {
			if n := z.enc.out.take(p); n > 0 {
				return n, nil
			}
		}
		if z.err != nil {
			return 0, z.err
		}
		z.err = z.step(p)
	}
}

// flush brings out what the encoder holds if the source has nothing to add to
// it, or has failed.
func (z *gzip) flush() error {
	if !z.dirty || z.err == nil && z.src.Ready() {
		return nil
	}
	z.dirty = false
	return z.enc.w.Flush()
}

// step takes in one piece, or the end. The piece is read into p, which Read
// owns until it returns: so a stage that waits holds no buffer for it.
func (z *gzip) step(p []byte) error {
	if len(p) < len(z.small) {
		p = z.small[:]
	}
	n, err := z.src.Read(p[:min(len(p), gzipPiece)])
	if n == 0 && err != io.EOF {
		return err
	}
	if z.enc == nil {
		enc, err := newGzipEncoder(z.level)
		if err != nil {
			return err
		}
		z.enc = enc
	}
	if err == io.EOF {
		z.dirty = false
		if err := z.enc.w.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	z.dirty = true
	_, err = z.enc.w.Write(p[:n])
	return err
}

// Ready is exact: with anything at hand, a Read gets as far as output.
func (z *gzip) Ready() bool {
	return z.enc != nil && z.enc.out.Len() > 0 || z.err != nil || z.src.Ready()
}

func (z *gzip) Close() error {
	if z.busy {
		z.enc = nil
	}
	z.release()
	return nil
}

func (z *gzip) release() {
	if z.enc != nil {
		z.enc.out.drop()
		gzipEncoders[z.level].Put(z.enc)
		z.enc = nil
	}
}

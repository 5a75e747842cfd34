package transform_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The two ends of a tunnel that do not match: the error says what the other end
// does, and what to do here.
func TestMismatch(t *testing.T) {
	encoders := []string{"gzip", "zstd", "s2"}
	decoders := []string{"gunzip", "unzstd", "uns2"}
	streams := []string{"a gzip stream", "a zstd stream", "an s2 stream"}
	for i, encoder := range encoders {
		packed := string(run(t, encoder, []byte("hello")))
		for j, decoder := range decoders {
			if i == j {
				continue
			}
			want := decoder + ": this is " + streams[i] + ": the other end compresses with " + encoder + ", use " + decoders[i]
			refuses(t, decoder, packed, want)
		}
	}
	for j, decoder := range decoders {
		a := decoder + ": not " + streams[j] + ": it begins with "
		plain := ": the other end does not compress"
		refuses(t, decoder, "+PONG\r\n", a+`"+PONG\r\n", which looks like text`+plain)
		refuses(t, decoder, "G", a+`"G", which looks like text`+plain)
		refuses(t, decoder, "GET / HTTP/1.1\r\n", a+`"GET / HTTP", which looks like an HTTP request`+plain)
		refuses(t, decoder, "HTTP/1.1 200 OK\r\n", a+`"HTTP/1.1 2", which looks like an HTTP response`+plain)
		refuses(t, decoder, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00", a+`"PRI * HTTP", which looks like HTTP/2`+plain)
		refuses(t, decoder, "SSH-2.0-OpenSSH_9.2\r\n", a+`"SSH-2.0-Op", which looks like SSH`+plain)
		refuses(t, decoder, "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n\x00", a+`"PROXY TCP4", which looks like a PROXY protocol header`+plain)
		refuses(t, decoder, "\x16\x03\x01\x02\x00\x01\x00", a+"16 03 01 02 00 01 00, which looks like a TLS handshake"+plain)
		refuses(t, decoder, "\x00\x00\x00\x08\x04\xd2\x16\x2f", a+"00 00 00 08 04 d2 16 2f, which looks like PostgreSQL"+plain)
		refuses(t, decoder, "\xfd7zXZ\x00\x00\x04", a+"fd 37 7a 58 5a 00 00 04, which looks like xz: no stage here reads that")
		refuses(t, decoder, "hello\x00", a+"68 65 6c 6c 6f 00"+plain+" with "+encoders[j])
		refuses(t, decoder, "\x16", a+"16"+plain+" with "+encoders[j])
	}
	refuses(t, "gunzip", "\x52\x2a\x4d\x18\x00\x00\x00\x00", "gunzip: this is a zstd stream: the other end compresses with zstd, use unzstd")
	refuses(t, "gunzip", "\xff\x06\x00\x00sNaPpY", "gunzip: this is a snappy stream: the other end compresses with snappy, use uns2")
	refuses(t, "uns2", "\xff\x06\x00\x00what?!", `uns2: not an s2 stream: it begins with ff 06 00 00 77 68 61 74 3f 21: the other end does not compress with s2`)
	refuses(t, "unzstd", "\x28\xb5\x2f", "unzstd: truncated stream: the source ended at byte 3: unexpected EOF")
	refuses(t, "unzstd", "\x1f\x8b", `unzstd: not a zstd stream: it begins with 1f 8b: the other end does not compress with zstd`)
}

func refuses(t *testing.T, decoder, in, want string) {
	t.Helper()
	for _, size := range []int{1, 64 << 10} {
		r := mustParse(t, decoder).Open(strings.NewReader(in))
		n, err := r.Read(make([]byte, size))
		if n != 0 || err == nil || err.Error() != want {
			t.Errorf("%s of %q: got %d, %v; want %s", decoder, in, n, err, want)
		}
		r.Close()
	}
}

// Who speaks the wrong protocol may be waiting for an answer: the error must
// not take more bytes than it takes to be sure.
func TestDecodersFailFast(t *testing.T) {
	for decoder, ins := range map[string][]string{
		"gunzip": {"\x16", "\x1f\x9d", "\x28\xb5\x2f\xfd", "\x28\xb6", "\xff\x06\x00\x00S2sTwO", "G"},
		"unzstd": {"\x16", "\x1f\x9d", "\x1f\x8b\x08", "\x28\xb6", "\xff\x06\x00\x00sNaPpY", "\x52\x2b", "G"},
		"uns2":   {"\x16", "\x1f\x9d", "\x1f\x8b\x08", "\x28\xb6", "\x28\xb5\x2f\xfd", "\xff\x06\x00\x01", "G"},
	} {
		for _, in := range ins {
			src := iotest.OneByteReader(strings.NewReader(in))
			r := mustParse(t, decoder).Open(io.MultiReader(src, &stub{
				read: func([]byte) (int, error) {
					t.Errorf("%s of %q: more was read", decoder, in)
					return 0, errors.New("waits")
				},
			}))
			if _, err := r.Read(make([]byte, 100)); err == nil || err == io.EOF {
				t.Errorf("%s of %q: got the error %v", decoder, in, err)
			}
			r.Close()
		}
	}
}

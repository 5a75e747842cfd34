package transform

// The hash stage: a checksum of all that has passed.

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strings"
)

// hashes are the algorithms, by name. The weak ones are there because people
// have such sums to compare with.
var hashes = []struct {
	name string
	make func() hash.Hash
}{
	{"sha256", sha256.New},
	{"sha512", sha512.New},
	{"sha1", sha1.New},
	{"md5", md5.New},
}

var hashDefinition = definition{
	Info: Info{
		Name:    "hash",
		Summary: "compute a checksum, and log it at the end",
		Options: []Option{
			{
				Name:    "algorithm",
				Default: "sha256",
				Values:  strings.Join(hashNames(), ", "),
				Doc:     "how it is computed; sha1 and md5 prove nothing against an attacker",
				Main:    true,
				canon:   canonHash,
			},
			labelOption,
		},
		Memory:  "300 bytes",
		Example: "hash:sha512",
		Notes: []string{
			"The bytes pass unchanged. The line is logged when the direction ends or is cut, and says " +
				"which: the checksum of a stream that was cut is that of its beginning.",
		},
	},
	build: func(values []string) opener {
		return func(src *source) io.ReadCloser {
			return watched(src, &hashed{site: src.site, algorithm: values[0], label: values[1]})
		}
	},
}

func hashNames() []string {
	names := make([]string, len(hashes))
	for i, h := range hashes {
		names[i] = h.name
	}
	return names
}

func canonHash(value string) (string, error) {
	for _, h := range hashes {
		if strings.EqualFold(value, h.name) {
			return h.name, nil
		}
	}
	return "", fmt.Errorf("want one of %s", strings.Join(hashNames(), ", "))
}

type hashed struct {
	site             *Site
	algorithm, label string
	sum              hash.Hash
	bytes            int64
}

func (h *hashed) begin() error {
	for _, known := range hashes {
		if known.name == h.algorithm {
			h.sum = known.make()
		}
	}
	return nil
}

func (h *hashed) see(p []byte) error {
	h.bytes += int64(len(p))
	_, err := h.sum.Write(p)
	return err
}

func (h *hashed) end(err error) {
	h.site.say(slog.LevelInfo, "hashed", labelled([]any{
		"algorithm", h.algorithm, "sum", hex.EncodeToString(h.sum.Sum(nil)),
		"bytes", h.bytes, "end", outcome(err),
	}, h.label)...)
}

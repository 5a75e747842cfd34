// Command rot13 turns each letter into the one 13 places on. It is a filter for
// the stage wasm, and is built by
//
//	GOOS=wasip1 GOARCH=wasm go build -o rot13.wasm ./testdata/rot13
package main

import (
	"io"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	buf := make([]byte, 32<<10)
	for {
		n, err := os.Stdin.Read(buf)
		for i, c := range buf[:n] {
			buf[i] = rot13(c)
		}
		// What has come is written before more is read.
		if _, err := os.Stdout.Write(buf[:n]); err != nil {
			log.Fatal(err)
		}
		switch err {
		case nil:
		case io.EOF:
			return
		default: // an error is no end
			log.Fatal(err)
		}
	}
}

func rot13(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a' + (c-'a'+13)%26
	case 'A' <= c && c <= 'Z':
		return 'A' + (c-'A'+13)%26
	}
	return c
}

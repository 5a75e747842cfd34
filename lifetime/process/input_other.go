//go:build !linux

package process

import "os"

// NewInput returns an input and the program's end of it, which the caller
// closes when the program has its copy. It is a pipe.
func NewInput() (Input, *os.File, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return pipe{ours}, theirs, nil
}

// A pipe ends when it is closed.
type pipe struct{ *os.File }

func (p pipe) CloseWrite() error { return p.Close() }

package process

import "io"

// An Input is what we write to a program's standard input. Each method may be
// called while another one is under way.
type Input interface {
	// Write waits until the program, or the system's buffer for it, takes all
	// of p. It fails when the program has closed its end, and when ours is
	// closed meanwhile.
	io.Writer
	// CloseWrite ends the input: the program reads what was written, and then
	// the end.
	CloseWrite() error
	// Close gives the input up. Before CloseWrite it says that the input is
	// not whole: the program reads what was written, and then, where the
	// system can tell it (Linux), the error ECONNRESET. After CloseWrite it is
	// for when the program has ended.
	io.Closer
}

package process

import "bufio"

// maxLine is how much of a line of standard error is passed on, in bytes.
const maxLine = 4096

// readLines passes on what the program writes to standard error, until the last
// writer has closed it or the deadline that run sets.
func (p *Process) readLines(done chan<- struct{}) {
	defer close(done)
	r := bufio.NewReaderSize(p.lines, maxLine)
	for {
		line, more, err := r.ReadLine()
		if err != nil {
			return // a line without an end was returned before
		}
		p.c.Stderr(string(line))
		for more && err == nil {
			_, more, err = r.ReadLine()
		}
	}
}

func (p *Process) closeLines() {
	if p.lines != nil {
		p.lines.Close()
	}
}

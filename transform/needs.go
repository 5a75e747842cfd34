package transform

// What a stage needs of the system beside its stream: files, programs and
// addresses. Whoever restricts the process has to know before a stream comes.

import (
	"path/filepath"
	"strings"
)

// A use says what the value of an option names outside of the stream.
type use uint8

const (
	usesNothing use = iota
	usesInput       // a file that is read when the stage is parsed
	usesOutput      // a file that is appended to; see fileName
	usesTarget      // the same, or an address that is dialled
	usesCommand     // a command that is run
)

// Input returns the option with the note that its value is the name of a file,
// which is read when the stage is parsed.
func (o Option) Input() Option {
	o.use = usesInput
	return o
}

// Needs are what a stage needs beside its stream. What is written for people
// only, such as the log, is not among it.
type Needs struct {
	Read  []string // files that are read when the stage is parsed
	Write []string // files that are made and appended to
	// WriteIn are directories below which that is done: names of files depend on
	// the conn.
	WriteIn []string
	Run     []string // programs, as they are looked up
	Dial    []string // addresses, as they were written
}

// Needs lists what the stage needs of the system. A stage of [NewStage] is a
// function, of which nothing is known.
func (s Stage) Needs() Needs {
	var n Needs
	if s.def == nil {
		return n
	}
	for i, o := range s.def.Options {
		if value := s.values[i]; value != "" {
			n.add(o.use, value)
		}
	}
	return n
}

// Needs lists what all stages of the chain need.
func (c Chain) Needs() Needs {
	var all Needs
	for _, s := range c {
		n := s.Needs()
		all.Read = append(all.Read, n.Read...)
		all.Write = append(all.Write, n.Write...)
		all.WriteIn = append(all.WriteIn, n.WriteIn...)
		all.Run = append(all.Run, n.Run...)
		all.Dial = append(all.Dial, n.Dial...)
	}
	return all
}

// add adds what a canonical value names.
func (n *Needs) add(u use, value string) {
	switch u {
	case usesInput:
		n.Read = append(n.Read, value)
	case usesTarget:
		if isAddress(value) {
			n.Dial = append(n.Dial, value)
			return
		}
		n.addFile(value)
	case usesOutput:
		n.addFile(value)
	case usesCommand:
		if words, err := splitCommand(value); err == nil {
			n.Run = append(n.Run, words[0])
		}
	}
}

// addFile adds the name of a file, of which a part may not be known yet.
func (n *Needs) addFile(name string) {
	fixed := name
	for i := 0; i+1 < len(name); i++ {
		if name[i] != '%' {
			continue
		}
		if i++; name[i] != '%' {
			fixed = name[:i-1]
			break
		}
	}
	known := strings.ReplaceAll(fixed, "%%", "%")
	if fixed == name {
		n.Write = append(n.Write, known)
		return
	}
	// The last part begins as the fixed name ends, or is new.
	n.WriteIn = append(n.WriteIn, filepath.Dir(known+"x"))
}

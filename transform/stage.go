package transform

// A Stage is a description: it can be printed, compared by its text, kept in a
// config and opened any number of times.

import (
	"errors"
	"io"
	"slices"
	"strconv"
)

// Stage is one transformer of a byte stream, with its options. It is made by
// [ParseStage] or [NewStage]; the zero Stage cannot be opened. A Stage does not
// change, and may be opened by any number of goroutines.
type Stage struct {
	name string
	text string
	def  *definition // nil if it is from NewStage
	// values are those of the options of def.
	values []string
	open   opener
	shown  string // what String returns, if that is not text
}

// NewStage returns a stage that is not in the list: open puts it on src. It
// runs in a chain as the listed ones do, but its text cannot be parsed, and it
// has no inverse.
//
// The io.ReadCloser may be simple. It is not read again after it has returned
// an error, its Close is called once, and its errors need not name it. It
// should implement [Readier], and must not keep bytes back when src, which
// always is a Readier, is not Ready. It may be a [Waiter], as src is. It returns
// the errors of src or its own; it must not close src.
//
// NewStage panics if the name is empty or open is nil.
func NewStage(name string, open func(src io.Reader) io.ReadCloser) Stage {
	if name == "" || open == nil {
		panic("transform: NewStage without a name or a function")
	}
	return Stage{
		name: name,
		text: name,
		open: func(src *source) io.ReadCloser { return open(src) },
	}
}

// String returns the stage as it would be written, in its canonical form:
// options in the order in which they are documented, and without those that
// have their default value. It is what [Stage.Hidden] says of one that has a
// secret; others with the same text do the same.
func (s Stage) String() string {
	if s.shown != "" {
		return s.shown
	}
	return s.text
}

// Hidden returns s as one whose String is another text: for options that nobody is
// to read. The text may be one that cannot be parsed; "" is the name and that there
// is more. A stage without options has nothing to hide.
func (s Stage) Hidden(text string) Stage {
	if text == "" {
		text = s.name + ":***"
	}
	if s.text != s.name {
		s.shown = text
	}
	return s
}

// IsHidden reports whether s is one of [Stage.Hidden]: what it says of its options
// is not to be repeated.
func (s Stage) IsHidden() bool { return s.shown != "" }

// Same reports whether two stages do the same, whatever they are shown as.
func (s Stage) Same(o Stage) bool { return s.text == o.text }

// MarshalText returns the text of String.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseStage].
func (s *Stage) UnmarshalText(text []byte) error {
	parsed, err := ParseStage(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Inverse returns the stage that undoes s. An option that both have and that s has
// a value of its own for gets that value, if it can be had: what undoes
// zstd:window=1M is unzstd:window=1M. A stage that cannot be undone makes it fail
// with an [*Error].
func (s Stage) Inverse() (Stage, error) {
	if s.def == nil || s.def.Inverse == "" {
		return Stage{}, &Error{s.name, "invert", errors.New("no stage undoes this one")}
	}
	text, mark := s.def.Inverse, ":"
	for i, o := range s.def.Options {
		if s.values[i] != o.Default && slices.ContainsFunc(lookup(s.def.Inverse).Options, o.isNamesake) {
			text += mark + o.Name + "=" + strconv.Quote(s.values[i])
			mark = ","
		}
	}
	same, err := ParseStage(text)
	if err != nil {
		return ParseStage(s.def.Inverse)
	}
	if s.shown != "" {
		same = same.Hidden("")
	}
	return same, nil
}

func (o Option) isNamesake(other Option) bool { return o.Name == other.Name }

// Decodes reports whether s undoes a stage that stands before it in the list, as
// gunzip undoes gzip: it takes what travels, and gives what was meant.
func (s Stage) Decodes() bool {
	if s.def == nil || s.def.Inverse == "" {
		return false
	}
	names := stageNames()
	return slices.Index(names, s.def.Inverse) < slices.Index(names, s.name)
}

// Open puts the stage on src. What it returns reads as the package comment
// promises, is a [Readier], and leaves src open when it is closed. A stage that
// cannot start says so in its first Read.
func (s Stage) Open(src io.Reader) io.ReadCloser { return s.OpenAt(src, nil) }

// OpenAt is Open for a stage that may know where it is; nil is nowhere.
func (s Stage) OpenAt(src io.Reader, at *Site) io.ReadCloser {
	o := new(opened)
	o.start(s, src, at.orNowhere())
	return o
}

// opened is a link that stands alone, and so is closed alone.
type opened struct{ link }

func (o *opened) Close() error { return o.close() }

package transform

// Stages of other packages: those that link much, so that only the program that
// wants them does.

import (
	"io"
	"slices"
)

// A Definition describes a stage to [Register].
type Definition struct {
	Info

	// New returns what opens the stage with the given option values, one for
	// each of Options, in canonical form. It is called when a stage is parsed,
	// and so finds out what cannot work before any stream needs it. What it
	// returns may be called by any number of goroutines, and is bound as
	// [NewStage] says. at is never nil, nor is its Log.
	New func(values []string) (open func(src io.Reader, at *Site) io.ReadCloser, err error)
}

// Register makes a stage known to [ParseStage], [Stages] and all the others. A
// program calls it before it parses anything; it must not run beside any
// other function of this package. It panics if a stage of that name is known.
func Register(d Definition) {
	if d.Name == "" || d.New == nil || lookup(d.Name) != nil {
		panic("transform: Register: no name, no function, or known already: " + d.Name)
	}
	d.Options = slices.Clone(d.Options)
	for i := range d.Options {
		if d.Options[i].canon == nil {
			d.Options[i].canon = func(value string) (string, error) { return value, nil }
		}
	}
	table = append(slices.Clip(table), &definition{
		Info: d.Info,
		make: func(values []string) (opener, error) {
			open, err := d.New(values)
			if err != nil {
				return nil, err
			}
			return func(src *source) io.ReadCloser { return open(src, src.site) }, nil
		},
	})
}

// Canon returns the option with what checks a value and makes its canonical
// form. The function's error says what a good value is. Without one, every
// value is good as it is.
func (o Option) Canon(canon func(value string) (string, error)) Option {
	o.canon = canon
	return o
}

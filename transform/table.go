package transform

// The table of stages. A new stage is one file with its definition, and one
// line here.

import (
	"fmt"
	"slices"
	"strconv"
)

var table = []*definition{
	&gzipDefinition,
	&gunzipDefinition,
	&zstdDefinition,
	&unzstdDefinition,
	&s2Definition,
	&uns2Definition,
	&execDefinition,
	&teeDefinition,
	&hexdumpDefinition,
	&countDefinition,
	&hashDefinition,
	&pcapngDefinition,
	&limitDefinition,
	&delayDefinition,
	&sliceDefinition,
	&stallDefinition,
	&cutDefinition,
	&resetDefinition,
	&corruptDefinition,
	&replaceDefinition,
}

// Info describes a stage to its users.
type Info struct {
	Name    string
	Summary string   // one line
	Options []Option // in the order of the canonical form
	Inverse string   // the name of the stage that undoes it, or empty
	Memory  string   // what an open one holds at most
	Example string   // a stage as it may be written
	Notes   []string // what else to know, a paragraph each
}

// Option describes one option of a stage.
type Option struct {
	Name    string
	Default string // in canonical form; see Required
	Values  string // which values there are, in words
	Doc     string // one line

	// Main says that the option may be given first and without its name, as
	// the algorithm in hash:sha256. At most one is, the first of the list.
	Main bool
	// Required says that there is no default: the option must be given, and
	// must not be empty.
	Required bool

	// canon returns the canonical form of a value. Its error
	// says what a good one is.
	canon func(value string) (string, error)

	// use is what the value names outside of the stream; see Needs.
	use use
}

// A definition is all there is to know about a stage.
type definition struct {
	Info

	// check, if not nil, reports what is wrong with values that are right each
	// by itself: that they contradict each other, or name what is not there.
	check func(values []string) error

	// build returns what opens the stage with the given option values, one for each
	// of Options, all canonical.
	build func(values []string) opener
	// make is build for a stage that may not come about: see Register.
	make func(values []string) (opener, error)
}

// Stages lists the stages that [ParseStage] knows, in the order of their
// documentation.
func Stages() []Info {
	infos := make([]Info, len(table))
	for i, def := range table {
		infos[i] = def.info()
	}
	return infos
}

// Describe returns the stage of that name, as [Stages] lists it. The error says
// which name was probably meant.
func Describe(name string) (Info, error) {
	def := lookup(name)
	if def == nil {
		return Info{}, unknownStage(name)
	}
	return def.info(), nil
}

// info returns a copy that is the caller's.
func (def *definition) info() Info {
	info := def.Info
	info.Options = slices.Clone(def.Options)
	info.Notes = slices.Clone(def.Notes)
	return info
}

func unknownStage(name string) error {
	if why := absent[name]; why != "" {
		return fmt.Errorf("there is no stage %q: %s", name, why)
	}
	return fmt.Errorf("unknown stage %q: %s", name, suggest(name, stageNames()))
}

func lookup(name string) *definition {
	for _, def := range table {
		if def.Name == name {
			return def
		}
	}
	return nil
}

func stageNames() []string {
	names := make([]string, len(table))
	for i, def := range table {
		names[i] = def.Name
	}
	return names
}

// intRange is the canon of an option that is a number from low to high.
func intRange(low, high int) func(string) (string, error) {
	return func(value string) (string, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return "", fmt.Errorf("want a number from %d to %d", low, high)
		}
		return strconv.Itoa(n), nil
	}
}

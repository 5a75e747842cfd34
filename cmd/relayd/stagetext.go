package main

// Stages as text for people: a terminal of 80 columns is enough.

import (
	"strings"

	"relayd/transform"
)

// A sheet is a table of two columns, the second of which is wrapped.
type sheet struct {
	rows table
	left int // how wide the first column is, with what separates it
}

// add adds texts, each of which begins a line.
func (s *sheet) add(key string, texts ...string) {
	for _, text := range texts {
		for _, line := range wrap(text, textWidth-s.left) {
			s.rows = append(s.rows, []string{key, line})
			key = ""
		}
	}
}

func (s *sheet) String() string { return s.rows.String() }

// stageList describes each stage in a few lines.
func stageList(stages []transform.Info) string {
	sh := sheet{left: len("  options  ")}
	for _, s := range stages {
		sh.left = max(sh.left, len(s.Name)+2)
	}
	for i, s := range stages {
		if i > 0 {
			sh.add("", "")
		}
		sh.add(s.Name, s.Summary)
		if len(s.Options) > 0 {
			sh.add("  options", optionList(s.Options))
		}
		if s.Inverse != "" {
			sh.add("  inverse", s.Inverse)
		}
		sh.add("  memory", s.Memory)
		sh.add("  example", s.Example)
	}
	return sh.String()
}

// optionList is the options in a line, with their defaults.
func optionList(options []transform.Option) string {
	texts := make([]string, len(options))
	for i, o := range options {
		texts[i] = o.Name
		switch {
		case o.Required:
			texts[i] += " (required)"
		case o.Default != "":
			texts[i] += "=" + o.Default
		}
	}
	return strings.Join(texts, ", ")
}

// stageManual is all there is to say about a stage.
func stageManual(s transform.Info) string {
	var b strings.Builder
	paragraph(&b, s.Name+": "+s.Summary)
	if len(s.Options) > 0 {
		b.WriteString("\nOptions:\n" + optionSheet(s))
	}
	b.WriteString("\n")
	facts := sheet{left: len("Inverse  ")}
	if s.Inverse != "" {
		facts.add("Inverse", s.Inverse)
	} else {
		facts.add("Inverse", "none")
	}
	facts.add("Memory", s.Memory)
	b.WriteString(facts.String())
	for _, note := range s.Notes {
		b.WriteString("\n")
		paragraph(&b, note)
	}
	b.WriteString("\nExample:\n  " + stageCommand(s) + "\n")
	return b.String()
}

// optionSheet says of each option what it is for, what values it may have, and
// how it is written if that is not NAME:KEY=VALUE.
func optionSheet(s transform.Info) string {
	var sh sheet
	for _, o := range s.Options {
		sh.left = max(sh.left, 2+len(o.Name)+2)
	}
	for _, o := range s.Options {
		values := "Values: " + o.Values + ". "
		switch {
		case o.Required:
			values += "There is no default: it must be given."
		case o.Default == "":
			values += "Default: none."
		default:
			values += "Default: " + o.Default + "."
		}
		texts := []string{o.Doc, values}
		if o.Main {
			texts = append(texts, "The main option: written first, without its key, as "+s.Name+":"+strings.ToUpper(o.Name)+".")
		}
		sh.add("  "+o.Name, texts...)
	}
	return sh.String()
}

// stageCommand is a command line with the stage's example in it, and, as an end
// of a tunnel has it, what undoes it on the way back.
func stageCommand(s transform.Info) string {
	line := "relayd -t host:7002 --up " + quote(s.Example)
	if s.Inverse != "" {
		line += " --down " + quote(s.Inverse)
	}
	return line
}

func paragraph(b *strings.Builder, text string) {
	for _, line := range wrap(text, textWidth) {
		b.WriteString(line + "\n")
	}
}

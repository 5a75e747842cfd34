package main

import (
	"fmt"
	"strings"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
)

// The trees of ps and inspect: what a conn is made of, who holds what, and since
// when.

// connTree draws a conn.
func connTree(d *admin.ConnDetail) string {
	if len(d.Resources) == 0 {
		return fmt.Sprintf("%s  %s, not in the tree any more\n", screen.ASCII(d.ID), screen.ASCII(d.State))
	}
	t := newForest(d.Resources)
	t.note = func(r *admin.Resource) string { return connNote(d, r) }
	t.flows = func(r *admin.Resource) []admin.Flow { return connFlows(d, r) }
	var b strings.Builder
	root := &d.Resources[0]
	how := screen.ASCII(d.State) + ", " + humanTime(d.Age.Duration())
	if root.Orphan {
		how += ", orphan: its owner has gone, and what is below keeps it"
	}
	fmt.Fprintf(&b, "%s  %s -> %s\n   %s\n", screen.ASCII(d.ID), screen.ASCII(d.Client), screen.ASCII(d.Upstream), how)
	t.draw(&b, root)
	return b.String()
}

// connNote says what a part of a conn has to do with its bytes.
func connNote(d *admin.ConnDetail, r *admin.Resource) string {
	var note string
	switch partOf(r) {
	case "client.read":
		note = humanSize(d.Up.In) + " read, " + d.Up.State
	case "client.write":
		note = humanSize(d.Down.Out) + " written"
	case "upstream.read":
		note = humanSize(d.Down.In) + " read, " + d.Down.State
	case "upstream.write":
		note = humanSize(d.Up.Out) + " written"
	default:
		note = socketNote(d, r.Kind)
	}
	return note
}

// partOf names a part of a conn: client.read.
func partOf(r *admin.Resource) string {
	path := strings.Split(r.Name, ".")
	return strings.Join(path[max(0, len(path)-2):], ".")
}

// connFlows returns what has gone through the stages that have a half.
func connFlows(d *admin.ConnDetail, r *admin.Resource) []admin.Flow {
	switch partOf(r) {
	case "client.read":
		return d.Up.Flows
	case "upstream.read":
		return d.Down.Flows
	}
	return nil
}

// socketNote says what the kernel thinks of a socket.
func socketNote(d *admin.ConnDetail, kind string) string {
	var s *admin.Socket
	var stages []string
	switch kind {
	case "client":
		s, stages = d.ClientEnd, d.Up.Stages
	case "upstream":
		s, stages = d.UpstreamEnd, d.Down.Stages
	}
	if s == nil {
		return ""
	}
	parts := []string{screen.ASCII(s.Remote)}
	if s.Remote == "" {
		parts[0] = "memory"
	}
	if s.TCP != nil {
		parts = append(parts, s.TCP.State)
	}
	if s.Unsent > 0 {
		parts = append(parts, humanSize(int64(s.Unsent))+" not acknowledged")
	}
	if len(stages) > 0 {
		parts = append(parts, "through "+screen.ASCII(strings.Join(stages, ",")))
	}
	return strings.Join(parts, ", ")
}

// orphanTrees draws the resources that nobody owns, each with those below it.
func orphanTrees(all []admin.Resource) string {
	t := newForest(all)
	var b strings.Builder
	for i := range all {
		r := &all[i]
		if !r.Orphan || t.roots[r.ID] {
			continue
		}
		t.roots[r.ID] = true
		fmt.Fprintf(&b, "%s\n", t.line(r, screen.ASCII(r.Name)))
		t.draw(&b, r)
	}
	if b.Len() == 0 {
		return "no orphans: everything that lives has an owner\n"
	}
	return b.String()
}

// A forest is resources by their parents. What is said of them is the server's,
// which may be anybody: parents in a circle, or a tree without an end, must not be
// followed for ever.
type forest struct {
	children map[string][]*admin.Resource
	roots    map[string]bool // those that were drawn
	drawn    map[string]bool // those below the present root whose children were drawn
	note     func(r *admin.Resource) string
	flows    func(r *admin.Resource) []admin.Flow // through the stages that a resource was handed to
	branch   [4]string                            // in the middle, at the end; what goes on below each
}

func newForest(all []admin.Resource) *forest {
	t := &forest{children: make(map[string][]*admin.Resource), roots: make(map[string]bool),
		note: func(*admin.Resource) string { return "" }, flows: func(*admin.Resource) []admin.Flow { return nil }}
	for i := range all {
		t.children[all[i].Parent] = append(t.children[all[i].Parent], &all[i])
	}
	t.branch = [...]string{"|- ", "`- ", "|  ", "   "}
	if screen.ShowsUnicode() {
		t.branch = [...]string{"├─ ", "└─ ", "│  ", "   "}
	}
	return t
}

// maxDepth is deeper than any tree of ours is.
const maxDepth = 64

// draw draws what is below a root.
func (t *forest) draw(b *strings.Builder, root *admin.Resource) {
	t.drawn = make(map[string]bool)
	t.below(b, root, "", 0)
}

// below draws what is below a resource.
func (t *forest) below(b *strings.Builder, r *admin.Resource, indent string, depth int) {
	kids := t.children[r.ID]
	if t.drawn[r.ID] || len(kids) == 0 {
		return
	}
	if t.drawn[r.ID] = true; depth == maxDepth {
		fmt.Fprintf(b, "%s%s...\n", indent, t.branch[1])
		return
	}
	for i, k := range kids {
		at, next := t.branch[0], t.branch[2]
		if i == len(kids)-1 {
			at, next = t.branch[1], t.branch[3]
		}
		name := indent + at + screen.ASCII(strings.TrimPrefix(k.Name, r.Name+"."))
		fmt.Fprintf(b, "%s\n", t.line(k, name))
		t.inside(b, k, indent+next)
		t.below(b, k, indent+next, depth+1)
	}
}

// inside draws the stages that a resource was handed to, in their order.
func (t *forest) inside(b *strings.Builder, r *admin.Resource, indent string) {
	flows := t.flows(r)
	for i, f := range flows {
		at := t.branch[0]
		if i == len(flows)-1 && len(t.children[r.ID]) == 0 {
			at = t.branch[1]
		}
		last := "nothing yet"
		if f.Since != nil {
			last = "last " + humanTime(f.Since.Duration()) + " ago"
		}
		fmt.Fprintf(b, "%-17s %s in, %s out, %s\n", indent+at+screen.ASCII(f.Stage), humanSize(f.In), humanSize(f.Out), last)
	}
}

// line describes a resource: how it is, for how long, and who is inside. It makes
// tame what is said of it; the name is its caller's.
func (t *forest) line(r *admin.Resource, name string) string {
	parts := []string{humanTime(r.Age.Duration())}
	if r.Orphan {
		parts = append(parts, "orphan: its owner has gone")
	} else if r.State != "live" {
		parts = append(parts, r.State)
	}
	if note := t.note(r); note != "" {
		parts = append(parts, note)
	}
	if r.Operations > 0 {
		parts = append(parts, fmt.Sprintf("%d inside", r.Operations))
	}
	return fmt.Sprintf("%-17s %s", name, screen.Clean(strings.Join(parts, ", ")))
}

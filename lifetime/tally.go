package lifetime

// A Class is what a [Tally] counts by.
type Class struct {
	Kind  string
	State State
	// Owned tells whether the owner has not dropped it yet; see [Info].
	Owned bool
}

// Tally counts n and every resource below it that is not released yet, by
// class; with a nil n, every resource of the process. It counts what [Snapshot]
// lists, and costs a small part of that: it makes no names and sorts nothing.
func Tally(n *Node) map[Class]int {
	var counts [maxKinds][beingBorn + 1][2]int
	Walk(n, func(n *Node) bool {
		m := n.meta.load()
		orphan := 0
		if m.fate() != Open {
			orphan = 1
		}
		counts[m>>kindShift&(maxKinds-1)][n.State()][orphan]++
		return true
	})
	list := make(map[Class]int)
	for kind := range counts {
		for s := range counts[kind] {
			for orphan, count := range counts[kind][s] {
				// What was released as the walk came by is no more.
				if count > 0 && State(s) != Released {
					// Several kinds may share a name.
					list[Class{kinds[kind].Load().name, State(s), orphan == 0}] += count
				}
			}
		}
	}
	return list
}

// Walk calls visit for n and every resource below it that is not released, or
// with a nil n for every resource of the process: each parent before its
// children, in no other order. visit reports whether to go on below. It is
// called without locks; what it is given may be released at any moment.
func Walk(n *Node, visit func(n *Node) (below bool)) {
	var stack []*Node
	if n == nil {
		stack = process.appendKids(stack)
	} else {
		stack = append(stack, n)
	}
	for len(stack) > 0 {
		last := len(stack) - 1
		n := stack[last]
		stack[last] = nil
		stack = stack[:last]
		if s := n.State(); s == unborn || s == beingBorn || s == Released {
			continue
		}
		if visit(n) {
			stack = n.appendKids(stack)
		}
	}
}

// appendKids appends n's children to list.
func (n *Node) appendKids(list []*Node) []*Node {
	n.lock()
	defer n.unlock()
	return n.children(list)
}

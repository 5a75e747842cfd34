package lifetime_test

import (
	"testing"

	"relayd/lifetime"
)

type apple struct{ lifetime.Node }

type pear struct{ lifetime.Node }

var (
	appleKind = lifetime.NewKind(lifetime.Hooks[apple]{Name: "apple"})
	greenKind = appleKind.Named("green")
	pearKind  = lifetime.NewKind(lifetime.Hooks[pear]{Name: "pear"})
)

// Below tells children of one kind, and its namesakes, from others, the oldest
// first; AppendBelow keeps what is in the list.
func TestBelow(t *testing.T) {
	var tree pear
	if err := pearKind.Init(&tree, nil, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	var apples [3]apple
	var other pear
	for i := range apples {
		k := appleKind
		if i == 1 {
			k = greenKind
		}
		if err := k.Init(&apples[i], &tree.Node, lifetime.Refcount); err != nil {
			t.Fatal(err)
		}
	}
	if err := pearKind.Init(&other, &tree.Node, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	if got := appleKind.Below(&tree.Node); len(got) != 3 || got[0] != &apples[0] || got[1] != &apples[1] || got[2] != &apples[2] {
		t.Errorf("Below: %p, want the three apples in their order", got)
	}
	apples[0].BeginDrop()
	kept := make([]*apple, 1, 4)
	if got := appleKind.AppendBelow(kept, &tree.Node); len(got) != 3 || got[0] != nil || &got[0] != &kept[0] {
		t.Errorf("AppendBelow: %p, want two apples behind what was there", got)
	}
	if got := pearKind.Below(&apples[1].Node); len(got) != 0 {
		t.Errorf("below a leaf: %p", got)
	}
	for _, n := range []*lifetime.Node{&tree.Node, &apples[1].Node, &apples[2].Node, &other.Node} {
		n.BeginDrop()
	}
}

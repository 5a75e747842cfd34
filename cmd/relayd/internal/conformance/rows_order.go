package conformance

import "strings"

// orderRows are section A: the order of drops.
var orderRows = []row{
	{number: 1, group: 'A', title: "P is dropped; no half was ever taken",
		says: same("the drop succeeds at once, the peer sees FIN, everything is released", "once released, a shutdown is a no-op that reports so; before, it is a reset"),
		scripts: []script{{
			each(dropP, "ok; done P"),
			each(peerEnd, "FIN"),
			each(endP, "dropped"),
		}}},
	{number: 2, group: 'A', title: "P is dropped, then R reads what the peer has sent",
		says: [columns]string{
			"R reads the data, and then the peer's end",
			"the drop fails and names R; reading says trapped; the peer is reset",
			"the drop succeeds; reading says closed by the parent",
			"the drop waits; R reads the data and the end; the drop returns once R is dropped",
			"reading says shut down; the connection is proven gone"},
		scripts: []script{{
			each(acquireR, "ok"),
			each(peerSends, "ok"),
			by(dropP, "left R", "trap R; done P R", "ok...; done P R", "waits"),
			by(readR, "data", "trapped", "closed", "data"),
			each(peerFIN, "ok"),
			by(readR, "EOF", "trapped", "closed", "EOF"),
			by(dropR, "ok; done P R", "ok", "ok", "ok; drop P=ok...; done P R"),
			by(peerEnd, "FIN", "RST", "end", "FIN"),
			by(endR, "peer-closed", "trapped", "closed-by-parent", "peer-closed"),
			by(endP, "dropped", "trapped", "dropped", "dropped"),
		}}},
	{number: 3, group: 'A', title: "P is dropped, then W writes and is dropped",
		says: [columns]string{
			"every byte is delivered, FIN follows at W's drop, and all is released",
			"the drop fails and names W; writing says trapped; the peer is reset",
			"writing says closed by the parent and takes no byte; the peer sees a reset, because nobody finished the stream",
			"the drop waits for W's; every byte is delivered",
			"what was not delivered is counted in the report"},
		scripts: []script{{
			each(acquireW, "ok"),
			by(dropP, "left W", "trap W; done P W", "ok...; done P W", "waits"),
			by(writeW, "ok", "trapped", "closed", "ok"),
			by(dropW, "ok; done P W", "ok", "ok", "ok; drop P=ok...; done P W"),
			by(peerEnd, "FIN", "RST", "RST", "FIN"),
			by(endW, "dropped", "trapped", "closed-by-parent", "dropped"),
			by(endP, "dropped", "trapped", "dropped", "dropped"),
		}, {
			each(acquireW, "ok"),
			each(writeL, "waits"),
			by(dropP, "left W", "trap W; write W a lot=trapped; done P W", "ok...; write W a lot=closed; done P W", "waits"),
			by(peerReads, "ok; write W a lot=ok", "", "", "ok; write W a lot=ok"),
			by(dropW, "ok; done P W", "ok", "ok", "ok; drop P=ok...; done P W"),
			by(peerEnd, "FIN", "RST", "RST", "FIN"),
		}}},
	{number: 4, group: 'A', title: "R, W, P: the halves are dropped first",
		says: same("FIN at W's drop, released after P's", "proven gone at every step"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(writeW, "ok"),
			each(dropR, "ok; done R"),
			each(dropW, "ok; done W"),
			each(peerEnd, "FIN"),
			each(dropP, "ok; done P"),
			each(endR, "dropped"),
			each(endW, "dropped"),
			each(endP, "dropped"),
		}}},
	{number: 5, group: 'A', title: "R, P, W and W, P, R: the parent in the middle",
		says: [columns]string{
			"released exactly when the third is dropped",
			"the drop of P fails and names the half that lives",
			"the drop of P ends the half that lives",
			"the drop of P waits for the third",
			"proven gone at every step"},
		scripts: []script{middle(acquireR, acquireW, dropR, dropW, "R", "W"), middle(acquireW, acquireR, dropW, dropR, "W", "R")}},
	{number: 6, group: 'A', title: "every order of drops, with and without a second holder C",
		says: [columns]string{
			"released exactly at the last drop, in any order",
			"fine only when P is last, and the error names exactly who lives",
			"released at P's drop, or at the last before it",
			"P's drop returns exactly after the last child's",
			"proven gone after every prefix of every order"},
		scripts: permutations()},
	{number: 7, group: 'A', title: "W is dropped, R reads on to the peer's end",
		says: same("the peer sees FIN after all bytes, and what it still sends arrives", "proven gone at every step"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(writeW, "ok"),
			each(dropW, "ok; done W"),
			each(peerEnd, "FIN"),
			each(peerSends, "ok"),
			each(readR, "data"),
			each(peerFIN, "ok"),
			each(readR, "EOF"),
			each(dropR, "ok; done R"),
			each(endR, "peer-closed"),
			each(dropP, "ok; done P"),
		}}},
	{number: 8, group: 'A', title: "R is dropped, the peer sends 16 MiB, W goes on",
		says: same("the peer is not stalled: what it sends is thrown away; W's bytes arrive, then FIN", "proven gone at every step"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(dropR, "ok; done R"),
			each(peerFloods, "ok"),
			each(writeW, "ok"),
			each(dropW, "ok; done W"),
			each(peerEnd, "FIN"),
			each(dropP, "ok; done P"),
		}}},
	{number: 9, group: 'A', title: "R is dropped with a byte unread, W writes all that the system takes (4 MB over TCP) and is dropped, then P",
		says: same("the peer gets every byte and then FIN: the socket drains before it closes", "the loss is counted in the report"),
		run:  deliverAll, forced: countLoss},
	{number: 10, group: 'A', title: "C holds beside R; R is dropped",
		says: [columns]string{
			"C works on, also after P is dropped",
			"C works on; P's drop fails and names C",
			"C works on until P's drop ends it",
			"C works on; P's drop waits for it",
			"C ends too"},
		scripts: []script{{
			each(acquireR, "ok"),
			each(besideC, "ok"),
			each(dropR, "ok; done R"),
			each(useC, "ok"),
			by(dropP, "left C", "trap C; done P C", "ok...; done P C", "waits"),
			by(useC, "ok", "trapped", "closed", "ok"),
			by(dropC, "ok; done P C", "ok", "ok", "ok; drop P=ok...; done P C"),
		}}},
	{number: 11, group: 'A', title: "a listener is dropped while Accept waits and accepted sockets live",
		says: same("Accept ends, the address is free, accepted sockets never count and live on", "connections that nobody accepted are reset, the address is free, accepted sockets live on"),
		run:  dropListener, forced: shutListener,
		skip: noLibrary("a listener is a socket's matter")},
}

// middle is row 5: one half, the parent, the other half.
func middle(take1, take2, drop1, drop2 event, first, second string) script {
	return script{
		each(take1, "ok"),
		each(take2, "ok"),
		each(drop1, "ok; done "+first),
		by(dropP, "left "+second, "trap "+second+"; done P "+second, "ok...; done P "+second, "waits"),
		by(drop2, "ok; done P "+second, "ok", "ok", "ok; drop P=ok...; done P "+second),
		by(endP, "dropped", "trapped", "dropped", "dropped"),
	}
}

// permutations are row 6.
func permutations() []script {
	var list []script
	for _, handles := range []string{"PRW", "PRWC"} {
		for _, order := range orders(handles) {
			s := script{each(acquireR, "ok"), each(acquireW, "ok")}
			if len(handles) == 4 {
				s = append(s, each(besideC, "ok"))
			}
			for i := range order {
				s = append(s, dropInOrder(order, i))
			}
			list = append(list, s)
		}
	}
	return list
}

// orders returns the permutations of s.
func orders(s string) []string {
	if len(s) <= 1 {
		return []string{s}
	}
	var list []string
	for i := range s {
		for _, rest := range orders(s[:i] + s[i+1:]) {
			list = append(list, s[i:i+1]+rest)
		}
	}
	return list
}

// dropInOrder is the i-th drop of an order.
func dropInOrder(order string, i int) step {
	letter := order[i : i+1]
	e := map[string]event{"P": dropP, "R": dropR, "W": dropW, "C": dropC}[letter]
	parent := strings.Index(order, "P")
	switch {
	case i < parent || i == parent && len(order) == i+1:
		return each(e, "ok; done "+letter)
	case i == parent:
		left := ""
		for _, l := range "RWC" { // as holders are named
			if strings.ContainsRune(order[i+1:], l) {
				left += " " + string(l)
			}
		}
		all := "; done P" + left
		return by(e, "left"+left, "trap"+left+all, "ok..."+all, "waits")
	case i == len(order)-1:
		all := "; done P " + letter
		return by(e, "ok"+all, "ok", "ok", "ok; drop P=ok..."+all)
	}
	one := "ok; done " + letter
	return by(e, one, "ok", "ok", one)
}

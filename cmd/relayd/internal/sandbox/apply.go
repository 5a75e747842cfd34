package sandbox

// Apply restricts the process, and all programs that it starts, to what n needs.
// It is called once, when everything else is open, and cannot be undone. Where
// the kernel has no Landlock the report says so, and nothing is restricted. An
// error is of a kernel that has it and refuses: nothing is restricted then,
// either.
//
// Whoever is restricted gets no new privileges by starting a program, such as
// sudo or ping.
func Apply(n Needs) (*Report, error) {
	g := resolve(n)
	r := &Report{Missing: g.missing, granted: g}
	var err error
	r.ABI, r.Unrestricted, err = restrict(g.list)
	if err != nil {
		r.Unrestricted = err.Error()
	}
	return r, err
}

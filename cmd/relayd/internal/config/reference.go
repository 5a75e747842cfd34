package config

const referenceHead = `# Every key of the configuration, with its default: this file says what relayd
# does without one. Keys in comments have no default; what they have here is an
# example. A list of one may leave out its brackets. Texts may hold ${VAR},
# ${VAR:-DEFAULT} and ${file:/PATH}; a dollar is $$.

`

// Reference returns a file with every key and what it means. It has what relayd
// does without a file and without flags, and what has no default in comments.
func Reference() string {
	c := Default()
	for _, x := range [][]string{
		{"tcp://127.0.0.1:7000", "listeners", "default", "on"},
		{"default", "listeners", "default", "route"},
		{"default", "routes", "default", "upstream"},
		{"echo:", "upstreams", "default", "targets", "0", "address"},
	} {
		if err := c.Set(Origin{Flag: "--"}, x[0], x[1:]...); err != nil {
			panic("config: " + err.Error())
		}
	}
	return referenceHead + c.reference()
}

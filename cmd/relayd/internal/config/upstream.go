package config

// An Upstream is one or more targets that do the same work.
type Upstream struct {
	Name string

	Targets   []Target `key:"targets" required:"true" example:"['echo:']" doc:"addresses, or address, weight, max-conns and name of each"`
	Balance   Word     `key:"balance" default:"round-robin" words:"round-robin,least-conns,two-choices,hash,first" doc:"which target gets a conn; hash is by client address, first is the first that is up"`
	Check     Check    `key:"check" doc:"ask targets whether they are up, beside their conns"`
	Eject     Eject    `key:"eject" doc:"leave targets out whose dials fail"`
	Retry     Retry    `key:"retry" doc:"dials that fail are tried again, at another target if there is one"`
	SlowStart Duration `key:"slow-start" default:"off" doc:"a target that comes up gets its full share after this time only"`
	Queue     Queue    `key:"queue" doc:"conns that wait while all targets have their max-conns"`
	Resolve   Resolve  `key:"resolve" doc:"names of targets"`
	OnDown    Word     `key:"on-down" default:"keep" words:"keep,fin,reset" doc:"conns of a target that goes down are kept, finished, or reset"`
	Sources   []IP     `key:"sources" example:"[192.0.2.1, 192.0.2.2]" doc:"addresses of this machine to dial from, in turn: each has ports of its own"`
}

// A Target is one address of an upstream.
type Target struct {
	Address  DialAddress `key:"address" required:"true" example:"10.0.0.5:5432" doc:"where it is"`
	Name     Name        `key:"name" example:"one" doc:"what it is called in output and by commands; its address unless it is given"`
	Weight   Count       `key:"weight" default:"1" max:"1000" doc:"its share, beside the others'; with 0 or off it gets no conns, and is checked all the same"`
	MaxConns Count       `key:"max-conns" default:"off" doc:"most conns at a time; 0 or off is no limit"`
}

// A Check asks a target whether it is up.
type Check struct {
	Every   Duration `key:"every" default:"off" doc:"how often; 0 or off does not ask"`
	Timeout Duration `key:"timeout" default:"2s" min:"1" doc:"how long an answer may take"`
	Rise    Count    `key:"rise" default:"2" min:"1" max:"1000" doc:"good answers in a row that make it up"`
	Fall    Count    `key:"fall" default:"3" min:"1" max:"1000" doc:"bad ones in a row that make it down"`
	Send    Escaped  `key:"send" example:"'PING\\r\\n'" doc:"what is sent, with escapes such as \\r\\n; without it, and without expect, being reached is enough"`
	Expect  Escaped  `key:"expect" example:"'+PONG'" doc:"what must be in the first 16 KiB of the answer"`
}

// An Eject leaves out a target for what its conns met.
type Eject struct {
	Failures   Count    `key:"failures" default:"5" max:"1000" doc:"failed dials in a row that eject it; 0 or off never does"`
	For        Duration `key:"for" default:"10s" min:"1" doc:"how long the first time; it doubles each time"`
	MaxFor     Duration `key:"max-for" default:"5m" min:"1" doc:"the longest"`
	MaxEjected Percent  `key:"max-ejected" default:"50%" doc:"most of the targets that are ejected at a time; below 100% the last one that is up never is"`
	Resets     Bool     `key:"resets" default:"false" doc:"a reset before the first byte counts as a failed dial, too: for targets behind something that accepts for them"`
}

// A Retry says how often to dial.
type Retry struct {
	Attempts Auto     `key:"attempts" default:"auto" max:"100" doc:"dials for one conn, all in all; off is 1; auto is 3, and 1 if there is but one address to dial"`
	Backoff  Backoff  `key:"backoff" doc:"the pause between two, which doubles"`
	Timeout  Duration `key:"timeout" default:"3s" doc:"how long each may take, so that one that does not answer leaves time for others; 0 or off leaves it to timeouts.connect"`
}

// A Backoff is the pause between two tries.
type Backoff struct {
	Min Duration `key:"min" default:"20ms" min:"1" doc:"the first one"`
	Max Duration `key:"max" default:"1s" min:"1" doc:"the longest one"`
}

// A Queue is where conns wait for a target.
type Queue struct {
	Length  Count    `key:"length" default:"1024" doc:"most that wait; 0 or off refuses at once"`
	Timeout Duration `key:"timeout" default:"5s" doc:"how long each may wait; 0 or off as long as timeouts.connect has it"`
}

// Resolve says how names of targets are looked up.
type Resolve struct {
	Every Duration `key:"every" default:"30s" doc:"how often names are looked up again; 0 or off does so after failed dials only"`
	SRV   Bool     `key:"srv" default:"false" doc:"targets are names of SRV records, which have the ports: tcp://_pg._tcp.example.com:0"`
}

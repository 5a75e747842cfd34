package config

// A Config is one relayd as its file describes it. What a key means, its default
// and its example are in the tags, which make the decoder, the schema and the
// reference file: there is no second list of keys.
type Config struct {
	Version    Version     `key:"version" required:"true" example:"1" doc:"the version of this format; this relayd reads 1"`
	Listeners  []*Listener `key:"listeners" named:"true" doc:"where connections are accepted, by name"`
	Routes     []*Route    `key:"routes" named:"true" doc:"what happens to them, by name"`
	Upstreams  []*Upstream `key:"upstreams" named:"true" doc:"where they lead, by name"`
	Timeouts   Timeouts    `key:"timeouts" doc:"what conns may wait for, on routes that say nothing else; 0 or off is no bound"`
	Limits     Limits      `key:"limits" doc:"bounds of the whole server"`
	Log        Log         `key:"log" doc:"the log"`
	Admin      Admin       `key:"admin" doc:"the admin API"`
	Drain      Drain       `key:"drain" doc:"the end, after TERM or INT"`
	Sandbox    Sandbox     `key:"sandbox" doc:"what the process gives up once it listens"`
	User       Text        `key:"user" example:"relayd" doc:"USER[:GROUP] to become, for good, once relayd listens; takes root"`
	ReadyFile  Text        `key:"ready-file" example:"/run/relayd/ready" doc:"a file that gets the addresses listened on, one a line, when relayd accepts"`
	EventLoop  Auto        `key:"event-loop" default:"auto" max:"1024" doc:"relay plain bytes on event loops: auto, off, or a number of them"`
	DropPolicy Word        `key:"drop-policy" default:"refcount" words:"refcount,trap,close-children,block" doc:"what dropping an accepted socket does to what was made from it"`

	// File is where it comes from, "" if from the command line alone.
	File string

	origins map[string]Origin
	files   []string
}

// Files returns the files whose contents are values: those of ${file:/PATH}.
func (c *Config) Files() []string { return c.files }

// Limits bound the server as a whole.
type Limits struct {
	MaxConns     Count `key:"max-conns" default:"off" doc:"most conns at a time; 0 or off is no limit"`
	MaxPerSource Count `key:"max-per-source" default:"off" doc:"most conns at a time from one client address"`
	AcceptRate   Rate  `key:"accept-rate" default:"off" doc:"most conns accepted in a second"`
	NoFile       Auto  `key:"nofile" default:"auto" max:"2147483647" words:"auto" doc:"file descriptors (RLIMIT_NOFILE), two for each conn, for us and for programs that we run; auto takes all that the hard limit allows, for us"`
}

// A Log says what is logged.
type Log struct {
	Format Word     `key:"format" default:"text" words:"text,json" doc:"text or json"`
	Level  Level    `key:"level" default:"info" doc:"log at this level and above: debug, info, warn or error"`
	Every  Duration `key:"every" default:"off" doc:"a line about a conn that lives every so often, too"`
	Rate   Count    `key:"rate" default:"1000" doc:"most lines about conns in a second; the rest is counted; 0 or off logs all"`
}

// Admin says where the admin API is served.
type Admin struct {
	Listen    AdminAddress `key:"listen" example:"unix:///run/relayd/admin.sock" doc:"where; none for nowhere; without it $XDG_RUNTIME_DIR/relayd.sock, or /run/relayd.sock for root"`
	View      AdminAddress `key:"view" example:"unix:///run/relayd/view.sock?mode=0660" doc:"where what of it only reads is served, too: for watchers"`
	TokenFile Text         `key:"token-file" example:"/etc/relayd/token" doc:"ask requests for the token in this file; over TCP there must be one"`
}

// Drain says how the end goes.
type Drain struct {
	Timeout Duration `key:"timeout" default:"30s" doc:"how long live conns are waited for; 0 or off waits for ever"`
	Spread  Duration `key:"spread" default:"off" doc:"and then those that are left are cut one by one over this time; off cuts them at once"`
}

// A Sandbox says what the process may still do.
type Sandbox struct {
	Mode  Word   `key:"mode" default:"try" words:"try,on,off" doc:"keep to the files that are named: try, on (fail where that cannot be), or off"`
	Paths []Path `key:"paths" example:"[/var/lib/relayd:rw]" doc:"paths that stay open beside those that are named elsewhere, for programs of exec and stages that come later: PATH, which is read, PATH:rw, PATH:rx or PATH:rwx"`
}

// Timeouts bound what conns may wait for.
type Timeouts struct {
	Connect     Duration `key:"connect" default:"10s" doc:"give up dialling after this time"`
	Idle        Duration `key:"idle" default:"off" doc:"reset a conn in which nothing has moved for so long"`
	HalfClosed  Duration `key:"half-closed" default:"5m" doc:"the same, after one side has finished: from the last byte or the FIN"`
	WriteStall  Duration `key:"write-stall" default:"15m" doc:"reset a conn when a peer takes nothing of what waits for it for so long"`
	Linger      Duration `key:"linger" default:"2s" doc:"at the end, give a peer so long to take the rest, anew whenever it takes some"`
	MaxLinger   Duration `key:"max-linger" follows:"write-stall" example:"15m" doc:"and so long all in all; as long as write-stall unless it is given"`
	MaxLifetime Duration `key:"max-lifetime" default:"off" doc:"reset a conn so long after its accept, whatever it does"`
}

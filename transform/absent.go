package transform

// absent says of names that people look for, as other programs have them, why
// there is no such stage, and what they may want instead.
var absent = map[string]string{
	"drop":      noLoss,
	"loss":      noLoss,
	"bandwidth": isLimit,
	"throttle":  isLimit,
	"latency":   "what makes bytes later is delay",
	"slicer":    "what cuts a stream into pieces is slice",
	"timeout":   "what stops a stream is stall, and what ends it is cut or reset",
}

const (
	noLoss = "a TCP stream loses nothing that its ends could see, the system sends it again:" +
		" loss looks like delay or stall to them, or in the end like reset; corrupt changes bytes, cut ends the stream"
	isLimit = "what bounds the bytes of a second is limit"
)

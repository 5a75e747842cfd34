// Package tap follows one conn: what relayd sends of it to a watcher, and how the
// watcher shows it or keeps it as a capture.
//
// The stream is lines of JSON, so that curl and jq can read it. The first line is
// a [Header], every other one an [Event]:
//
//	{"conn":{"id":"9x2k","client":"10.0.0.7:41402","upstream":"10.0.0.5:80","side":"client"}}
//	{"at":"2026-11-23T14:03:07.123456789Z","from":"client","offset":0,"data":"R0VUIC8="}
//	{"at":"2026-11-23T14:03:07.124102331Z","from":"upstream","offset":0,"data":"SFRUUC8x"}
//	{"at":"2026-11-23T14:03:08.510000000Z","from":"client","offset":5,"end":"fin"}
//	{"at":"2026-11-23T14:03:08.511000000Z","from":"us","offset":0,"end":"eof"}
//
// data is base64. from is the sender; "us" says that the conn itself has ended,
// and is the last line. A stream without it was cut. missed is how many bytes of
// this sender were left out just before, because the watcher was slow: the conn
// never waits for it.
package tap

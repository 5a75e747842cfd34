// Package service holds tests of relayd as a service is run: the program itself,
// from a file of its own, with targets that are other processes.
//
//	haproxy  a file that equals one of HAProxy answers as HAProxy does
//	targets  targets that are killed, stopped and brought back under load
//	tunnel   psql through two relayds that know each other by certificates
//	routes   a thousand routes
//
// The folder testdata has the files. haproxy.cfg and relayd.yaml are a pair, also
// for who moves from the one to the other.
package service

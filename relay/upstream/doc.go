// Package upstream chooses where conns go: it is a route's targets, and what is
// known of them.
//
//	Config ── Open ──► Pool
//	                    │ targets, as configured
//	    ┌───────────────┼──────────────────┐
//	tcp://10.0.0.1:80   unix:///run/db     tcp://db.example.com:5432
//	    │               │                  │ DNS, again and again
//	  Member          Member         Member Member Member
//	    ▲               ▲                  ▲
//	    └──── Take: one that is free ──────┘
//	          Dialled, Done: what became of the conn
//
// A [Member] is one address. Everything that is counted, checked and ejected is
// a member; a [Target] is what an operator has a name for. [Pool.TryTake] gives
// a conn a member at once, and is for event loops. [Pool.Take] waits, in order,
// while all members have their most conns. [Pool.Dial] dials as RFC 8305 wants
// it, and [Pool.Connect] is all of it for a goroutine, retries included.
//
// # States
//
// A member's state follows from what is known of it, the first that holds:
//
//	draining  DNS has another answer, or it was set by hand
//	down      it was set by hand, or checks fail
//	ejected   dials to it failed; it is left alone until a time
//	starting  it is to be checked, and was not yet; it gets conns
//	up        it gets conns
//
//	         Fall bad checks             Fails bad dials
//	     ┌─────────────────── up ───────────────────────┐
//	     ▼                   ▲  ▲                       ▼
//	   down ─────────────────┘  └────── on trial ◄── ejected
//	     ▲   Rise good ones  ▲  a good    │     time    ▲
//	     │                   │   dial     └─────────────┘
//	     └──── starting ─────┘               a bad dial
//	  first check  first check
//	      bad         good
//
// A member on trial is up, and gets one conn at a time until a dial is good. An
// ejection is twice as long as the one before it. The pool ejects no more than a
// share of its members, because dials that fail everywhere say more about the
// network than about them. Dials that failed for want of our own ports,
// descriptors or memory, and those that were given up, are held against nobody.
//
// # Names
//
// A name needs no answer for the pool to open: until then the pool is down, and
// says why. The last answer stays as long as there is no other. Members whose
// address is no longer in it get no more conns, and those that they have go on.
// Names are looked up for tcp: only; the other kinds that have a host are one
// member, and resolve it whenever they are dialled.
//
// # Reload
//
// A configuration that is [Config.Equal] to the old one keeps its pool. Another
// one makes another pool, which takes over what is known of members that both
// have: [Options].Before. The conns of the old pool go on, and are told to it.
//
// # Who runs
//
// A pool has two goroutines: one is its clock, one tells the log and OnDown. Up
// to 32 more check, and up to 8 look up names, while there is something to do.
// [Pool.Close] waits for all of them. Nothing that TryTake, Dialled or Done does
// waits for any of them: they share one lock, which is held for a look at the
// members and never while anything is waited for.
package upstream

/*
 * A model of package lifetime's state machine, for spin. MODEL.md says how it
 * corresponds to the code, and how to run it.
 *
 * Node 0 is the parent, nodes 1..N are its children. What the code does in one
 * atomic operation on the state word is one step here. So is a region under a
 * node's lock, because each has one such operation in it, and all else that it
 * touches is behind that lock: taking a lock commutes to the right, giving it
 * back to the left.
 *
 * -DN=n         children, 1 to 3
 * -DPOLICY=p    of the parent's drop: 0 refcount, 1 trap, 2 close-children, 3 block
 * -DSHUT=n      shutdowns of the parent that run at the same time, 0 to 2
 * -DGIVEUP      the block drop's context may end
 * -DLATE        the last child is acquired while all this goes on
 * -DFINISH      a graceful finish runs beside
 * -DTWODROPS    two goroutines drop the parent
 * -DNODROP      nobody drops the parent
 * -DNOOPS       no operation runs; without this one runs on child 1
 * -DNODRAIN     the parent owes nothing when it is done
 * -DMUTATE=m    plants error m, which a check must find
 */
#ifndef N
#define N 1
#endif
#ifndef POLICY
#define POLICY 0
#endif
#ifndef SHUT
#define SHUT 1
#endif
#ifndef MUTATE
#define MUTATE 0
#endif
#define NODES (N+1)

mtype = { Unborn, Live, Dropping, Trapped, Draining, Closing, Released };

/* The state word. */
mtype st[NODES];
bool  own[NODES];
byte  kids[NODES];      /* children that hold */
byte  owed[NODES];
byte  ops[NODES];
bool  claimed[NODES];
bool  watched[NODES];

/* Behind the lock. */
bool  waits[NODES];     /* somebody waits for a change */
byte  closed[NODES];    /* counts the channels that were closed */
bool  listed[NODES];    /* was put into the parent's list */
byte  waiters;          /* block drops that wait */

/* What the host sees. */
byte  freed[NODES];     /* Release hooks that ran */
byte  inside[NODES];    /* operations that Enter let in */
bool  woken[NODES];     /* the Interrupt hook was called */
bool  done[NODES];      /* the Done channel is closed */

#define held(n)       (st[n] == Live || st[n] == Dropping)
#define usable(n)     (st[n] == Live && own[n])
#define isdone(n)     (kids[n] == 0 && (st[n] == Dropping || (st[n] == Live && !own[n])))
#if MUTATE == 1  /* release before the last operation has left */
#define releasable(n) (!claimed[n] && kids[n] == 0 && owed[n] == 0 && (st[n] == Draining || st[n] == Closing || st[n] == Trapped))
#else
#define releasable(n) (!claimed[n] && kids[n] == 0 && owed[n] == 0 && ops[n] == 0 && (st[n] == Draining || st[n] == Closing || st[n] == Trapped))
#endif

inline wake(n) {
	watched[n] = false;
	closed[n] = closed[n] + waits[n];
	waits[n] = false
}

inline broadcast(n) { d_step { wake(n) } }

/* claim and the rest of settle, for one node. mine tells whether it was ours. */
inline release(n, mine) {
	d_step { mine = releasable(n); claimed[n] = claimed[n] || mine };
	if
	:: mine ->
		d_step {
			assert(inside[n] == 0);        /* never while an operation is inside */
			freed[n]++;
			assert(freed[n] == 1)          /* exactly once */
		};
		d_step { st[n] = Released; done[n] = true; wake(n) }
	:: else -> skip
	fi
}

inline settleParent(mine) {
	release(0, mine);
	if
	:: mine ->
		mine = false;
		d_step {                               /* children first */
			assert(st[1] == Unborn || freed[1] == 1);
#if N > 1
			assert(st[2] == Unborn || freed[2] == 1);
#endif
#if N > 2
			assert(st[3] == Unborn || freed[3] == 1);
#endif
		}
	:: else -> skip
	fi
}

inline settleChild(n, mine, w) {
	release(n, mine);
	if
	:: mine ->
		d_step { mine = false; assert(owed[0] > 0); owed[0]--; w = watched[0] };
		if :: w -> broadcast(0) :: else -> skip fi;
		w = false;
		settleParent(mine)
	:: else -> skip
	fi
}

/* changed, after an atomic operation that left watched in w and releasable in r. */
inline changedParent(w, r, mine) {
	if :: w -> d_step { w = false; wake(0) } :: else -> skip fi;
	if :: r -> r = false; settleParent(mine) :: else -> skip fi
}

inline changedChild(n, w, r, mine) {
	if :: w -> d_step { w = false; wake(n) } :: else -> skip fi;
	if :: r -> r = false; settleChild(n, mine, w) :: else -> skip fi
}

/* retire for the parent; its own parent is the process, which is never done. */
inline retireParent(ok, w, r, mine) {
	d_step {
		ok = isdone(0);
		if
		:: ok ->
			st[0] = Draining; own[0] = false; owed[0]++
		:: else -> skip
		fi
	};
	if
	:: ok ->
		if
		:: d_step { owed[0]--; w = watched[0]; r = releasable(0) }; changedParent(w, r, mine)
#ifndef NODRAIN
		:: w = watched[0];
			if :: w -> broadcast(0) :: else -> skip fi;
			run Drain(0)
#endif
		fi
	:: else -> skip
	fi
}

inline childDone(ok, w, r, mine) {
	d_step { assert(kids[0] > 0); kids[0]--; owed[0]++; ok = isdone(0); w = watched[0] };
	if
	:: ok -> retireParent(ok, w, r, mine)
	:: !ok && w -> broadcast(0)
	:: else -> skip
	fi
}

inline retireChild(n, ok, w, r, mine) {
	d_step {
		ok = isdone(n);
		if
		:: ok ->
			st[n] = Draining;
#if MUTATE != 4  /* the parent may be told after the release */
			owed[n]++
#endif
		:: else -> skip
		fi
	};
	if
	:: ok ->
		childDone(ok, w, r, mine);
#if MUTATE == 4
		d_step { w = watched[n]; r = releasable(n) };
#else
		d_step { owed[n]--; w = watched[n]; r = releasable(n) };
#endif
		changedChild(n, w, r, mine)
	:: else -> skip
	fi
}

inline leaveChild(n, w, r, mine) {
#if MUTATE == 3  /* nobody is told that an operation has left */
	d_step { ops[n]--; w = false; r = releasable(n) };
#else
	d_step { assert(ops[n] > 0); ops[n]--; w = watched[n]; r = releasable(n) };
#endif
	changedChild(n, w, r, mine)
}

inline forceChild(n, to, was, ok, w, r, mine) {
	d_step {
		was = held(n);
		ok = (was || st[n] == Draining) && !claimed[n];
		if :: ok -> st[n] = to; owed[n]++ :: else -> skip fi
	};
	if
	:: ok ->
		if :: was -> childDone(ok, w, r, mine) :: else -> skip fi;
#if MUTATE != 5  /* operations are not woken */
		if :: ops[n] > 0 -> woken[n] = true :: else -> skip fi;
#endif
		d_step { owed[n]--; w = watched[n]; r = releasable(n) };
		changedChild(n, w, r, mine)
	:: else -> skip
	fi
}

/* The list of children, in the step that closes it to new ones. */
inline takeList() {
	snap[1] = listed[1];
#if N > 1
	snap[2] = listed[2];
#endif
#if N > 2
	snap[3] = listed[3];
#endif
}

/* force for the parent: what is in the list when the state has changed is what
   there will ever be. */
inline forceParent(to, was, ok, w, r, mine, i) {
	d_step {
		ok = (held(0) || st[0] == Draining) && !claimed[0];
		if :: ok -> st[0] = to; owed[0]++; takeList() :: else -> skip fi
	};
	if
	:: ok ->
		i = 1;
		do
		:: i <= N ->
			if :: snap[i] -> snap[i] = false; forceChild(i, to, was, ok, w, r, mine) :: else -> skip fi;
			i++
		:: else -> break
		od;
		skip;
		d_step { owed[0]--; w = watched[0]; r = releasable(0) };
		changedParent(w, r, mine)
	:: else -> skip
	fi
}

/* wait: until cond holds of the word. Who sees that it does not, waits for the
   channel that the next change closes. */
inline look(n, cond, through, seen) {
#if MUTATE == 6  /* look first, and ask to be woken after */
	through = (cond);
	d_step { watched[n] = true; if :: !through -> waits[n] = true; seen = closed[n] :: else -> skip fi }
#else
	d_step {
		watched[n] = true;
		through = (cond);
		if :: !through -> waits[n] = true; seen = closed[n] :: else -> skip fi
	}
#endif
}

inline waitFor(n, cond, through, seen) {
	do
	:: skip;
		look(n, cond, through, seen);
		if
		:: through -> break
		:: else -> atomic { closed[n] != seen -> seen = 0 }
		fi
	od;
	skip;
	d_step { through = false; seen = 0 }
}

inline waitOrGiveUp(n, cond, through, seen) {
	do
	:: skip;
		look(n, cond, through, seen);
		if
		:: through -> break
		:: else ->
			if
			:: atomic { closed[n] != seen -> seen = 0 }
			:: true -> break
			fi
		fi
	od;
	skip
}

proctype Drain(byte n) {
	bool w, r, mine, through; byte seen;
	waitFor(n, ops[n] == 0, through, seen);
	/* a shutdown may come now: the drain ends early, which is an end */
	d_step { owed[n]--; w = watched[n]; r = releasable(n) };
	if
	:: n == 0 -> changedParent(w, r, mine)
	:: else -> changedChild(n, w, r, mine)
	fi
}

/* One operation on a child: it ends by itself, or only when it is woken. */
proctype Operation(byte n) {
	bool ok, w, r, mine;
	d_step { ops[n]++; ok = usable(n); if :: ok -> inside[n]++ :: else -> skip fi };
	if
	:: ok ->
		assert(freed[n] == 0);
		if
#if SHUT > 0 || !defined(FINISH)       /* a finish alone lets operations end */
		:: true -> woken[n]            /* it waits until the hook is called */
#endif
		:: true
		fi;
		assert(freed[n] == 0);         /* what was entered stays */
		inside[n]--
	:: else -> skip
	fi;
	leaveChild(n, w, r, mine)
}

/* The owner of a child drops it, and its own operation is over then. */
proctype DropChild(byte n) {
	bool was, ok, w, r, mine, through; byte seen;
	d_step { ok = held(n) && own[n]; if :: ok -> own[n] = false :: else -> skip fi };
	if
	:: ok ->
		if :: ops[n] > 0 -> woken[n] = true :: else -> skip fi;
		retireChild(n, ok, w, r, mine);
		waitFor(n, ops[n] == 0, through, seen);
		assert(inside[n] == 0)
	:: else -> skip
	fi
}

/* The parent's owner drops it, under POLICY; what differs when the last child has
   gone is that it is a refcount drop. */
proctype DropParent() {
	bool was, ok, w, r, mine, through; byte i, seen; bool snap[NODES];
	d_step {
		ok = held(0) && own[0];
		if
		:: ok && (POLICY == 0 || POLICY == 2 || kids[0] == 0) -> own[0] = false; takeList()
		:: ok && POLICY == 3 && kids[0] > 0 -> st[0] = Dropping; waiters++
		:: else -> skip
		fi
	};
	if
	:: !ok -> skip
	:: ok && st[0] != Dropping && (POLICY == 0 || POLICY == 3) -> ok = false; retireParent(ok, w, r, mine)
	:: ok && POLICY == 1 ->
		if
		:: own[0] -> forceParent(Trapped, was, ok, w, r, mine, i)
		:: else -> retireParent(ok, w, r, mine)
		fi
	:: ok && POLICY == 2 ->
		i = 1;
		do
		:: i <= N ->
			if :: snap[i] && held(i) -> forceChild(i, Closing, was, ok, w, r, mine) :: else -> skip fi;
			snap[i] = false;
			i++
		:: else -> break
		od;
		retireParent(ok, w, r, mine);
		done[0]
	:: ok && POLICY == 3 && waiters > 0 ->
#ifdef GIVEUP
		waitOrGiveUp(0, st[0] != Dropping, through, seen);
#else
		waitFor(0, st[0] != Dropping, through, seen);
#endif
		d_step {
			waiters--;
			if
			:: waiters == 0 && st[0] == Dropping && kids[0] > 0 -> st[0] = Live
			:: else -> skip
			fi;
			was = held(0) && own[0]        /* it gave up, and the owner still owns */
		};
		if
		:: was -> skip
		:: else -> done[0]
		fi
	fi
}

proctype Shutdown() {
	bool was, ok, w, r, mine; byte i; bool snap[NODES];
	forceParent(Closing, was, ok, w, r, mine, i);
#if MUTATE != 7
	done[0];                               /* always comes */
#endif
	assert(freed[0] == 1)
}

#ifdef FINISH
proctype Finish() {
	bool ok, w, r, mine; byte i; bool snap[NODES];
	d_step {
		ok = held(0);
		if :: ok -> st[0] = Live; own[0] = false; w = watched[0]; takeList() :: else -> skip fi
	};
	if
	:: ok ->
		if :: w -> d_step { w = false; wake(0) } :: else -> skip fi;
		i = 1;
		do
		:: i <= N ->
			if
			:: snap[i] ->
				d_step {
					snap[i] = false;
					ok = held(i);
					if :: ok -> own[i] = false; w = watched[i] :: else -> skip fi
				};
				if :: ok && w -> d_step { w = false; wake(i) } :: else -> skip fi;
				if :: ok -> retireChild(i, ok, w, r, mine) :: else -> skip fi
			:: else -> skip
			fi;
			i++
		:: else -> break
		od;
		retireParent(ok, w, r, mine)
	:: else -> skip
	fi
}
#endif

/* The last child is made late: it joins whole, or not at all. */
inline acquire(n) {
#if MUTATE == 2  /* the child is counted, and listed later */
	d_step { if :: usable(0) -> kids[0]++; st[n] = Live; own[n] = true :: else -> skip fi };
	listed[n] = (st[n] != Unborn)
#else
	d_step {
		if :: usable(0) -> kids[0]++; listed[n] = true; st[n] = Live; own[n] = true :: else -> skip fi
	}
#endif
}

proctype Acquire(byte n) {
	acquire(n);
	if
	:: st[n] != Unborn ->
		run Operation(n);
		if
		:: run DropChild(n)
#if SHUT > 0
		:: skip                        /* its owner forgets it */
#endif
		fi
	:: else -> skip
	fi
}

init {
	byte i;
	atomic {
		i = 0;
		do
		:: i <= N -> st[i] = Unborn; i++
		:: else -> break
		od;
		st[0] = Live; own[0] = true;
		i = 1;
		do
#ifdef LATE
		:: i < N ->
#else
		:: i <= N ->
#endif
			st[i] = Live; own[i] = true; listed[i] = true; kids[0]++; i++
		:: else -> break
		od;
#ifdef LATE
		run Acquire(N);
#endif
		i = 1;
		do
#ifdef LATE
		:: i < N ->
#else
		:: i <= N ->
#endif
			run DropChild(i);
#ifndef NOOPS
			if :: i == 1 -> run Operation(i) :: else -> skip fi;
#endif
			i++
		:: else -> break
		od;
#ifndef NODROP
		run DropParent();
#ifdef TWODROPS
		run DropParent();
#endif
#endif
#ifdef FINISH
		run Finish();
#endif
#if SHUT > 0
		run Shutdown();
#endif
#if SHUT > 1
		run Shutdown();
#endif
	}
}

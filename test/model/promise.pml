/*
 * promise.pml: X changes its promise while it is fenced and dropped: unarming, a longer
 * T, a shorter T, arming again (PROTOCOL.md §4; claims 7 and 8).
 *
 *   here             PROTOCOL.md
 *   Promise          §4 steps 1 to 3 for what is harder to fence; "uses first and
 *                    publishes after" for what is easier
 *   NodeGuard        its write: slow, lost, or committed with the reply lost
 *   Controller       §6 steps 3 to 7, with the NodeGuard of step 4
 *
 * Checked: P1. An agent that restarts has given up its offer and kept its promise.
 */
#ifndef N
#define N 1
#endif
#ifndef D
#define D 2
#endif
#define LONGER 1 /* so much more the long T gives than the short one */
#define Unarmed 0
#define Short 1
#define Long 2
#define LIFE (use == Unarmed -> 100 : L + D + (use == Long -> LONGER : 0))
#define AGES (L + D + LONGER)
#define WAIT (L + D + (seen == Long -> LONGER : 0))
#define PETS (age < L || use == Unarmed)
byte use = Short;       /* the promise that X keeps */
byte published = Short; /* the promise that its NodeGuard shows */
byte seen;              /* the promise that the controller has read */
#include "roll.pml"

/* A harder promise on its way: offered, acknowledged, and called. */
mtype = { Nothing, Offered, Acknowledged, Called };
mtype stage = Nothing;
byte offer;

/* A write of the NodeGuard that the API server has not decided yet. Each write carries
 * the version it was derived from: the next one ends this one's chance. */
#define Silence 3
byte flight = Silence;
#ifdef BREAK_NODEGUARD_PRECONDITION
byte overtaken = Silence;
#endif
bool reply; /* that the offer was committed; on its way to X */

/* X's slow question to the API, and whether it was sent after this offer's acknowledgement. */
byte call = L;
byte call_answer;
bool call_after;

#ifdef BREAK_REUSE_ACK
bool acknowledged_once[3];
#endif

inline give_up() {
	stage = Nothing; offer = 0; reply = false; call_after = false
}

#ifdef BREAK_ADOPT_EXPIRED
#define MAY_PING true
#else
#define MAY_PING (age < L)
#endif
#if defined(BREAK_ADOPT_NO_ROLL)
#define MAY_ADOPT (stage == Acknowledged || stage == Called)
#else
#define MAY_ADOPT (stage == Called)
#endif

#ifdef BREAK_ADOPT_OLD_ROLL
#define CALLED_AFTER true
#else
#define CALLED_AFTER call_after
#endif

proctype Promise() {
end:	do
	:: d_step {
			x == Up && stage == Nothing && use != Unarmed -> stage = Offered; offer = Unarmed; flight = Unarmed; reply = false;
			SAY("X|offers to be unarmed|§4.1")
		}
	:: d_step {
			x == Up && stage == Nothing && use == Short -> stage = Offered; offer = Long; flight = Long; reply = false;
			SAY("X|offers the longer T|§4.1")
		}
	:: d_step {
			x == Up && stage == Offered && reply -> stage = Acknowledged; reply = false;
#ifdef BREAK_REUSE_ACK
			acknowledged_once[offer] = true;
#endif
			SAY("X|has the acknowledgement of its offer|§4.1")
		}
#ifdef BREAK_REUSE_ACK
	:: d_step {
			x == Up && stage == Nothing && use != Unarmed && acknowledged_once[Unarmed] -> stage = Acknowledged; offer = Unarmed;
			SAY("X|offers to be unarmed, as was acknowledged before|BROKEN §4")
		}
#endif
	:: d_step {
			x == Up && (call || call_answer != last || call_after != (stage == Acknowledged)) ->
			call = 0; call_answer = last; call_after = (stage == Acknowledged);
			SAY("X|asks the API; the answer of serial %d is slow|§4.2", serial[last])
		}
	:: d_step {
			x == Up && stage == Acknowledged && call < L && CALLED_AFTER && withholds[call_answer] == 0 && PETS ->
			stage = Called; take(call, call_answer);
			SAY("X|has called the roll of serial %d: not withheld|§4.2", serial[call_answer]);
			call = L; call_answer = 0; call_after = false
		}
#ifdef BREAK_ADOPT_WITNESS_ROLL
	:: d_step {
			x == Up && stage == Acknowledged && MAY_TAKE(0, memory[0]) && QUORUM(0, 1, 0) -> stage = Called; take(0, memory[0]);
			SAY("X|has called a witness roll of serial %d: not withheld|BROKEN §4.2", serial[memory[0]])
		}
#endif
	:: d_step {
			x == Up && MAY_ADOPT && MAY_PING ->
			use = offer; give_up();
			if
			:: age > L -> age = L /* a ping that no roll gated */
			:: else
			fi;
			SAY("X|adopts what it offered: %d (0 unarmed, 1 short, 2 long T)|§4.3", use)
		}
	:: d_step {
			stage != Nothing -> give_up();
			SAY("X|gives its offer up, or its agent restarts|§4")
		}
	:: d_step {
			x == Up && use == Unarmed && stage == Nothing && MAY_PING -> use = Short;
			SAY("X|arms again, with the short T|§4")
		}
	:: d_step {
			x == Up && use == Long && stage == Nothing && MAY_PING -> use = Short;
			SAY("X|uses the shorter T|§4")
		}
	:: d_step {
			x == Up && stage == Nothing && (published != use || flight != Silence) && flight != use -> flight = use;
			SAY("X|publishes the promise that it keeps: %d (0 unarmed, 1 short, 2 long T)|§4", use)
		}
#ifdef BREAK_ARM_PUBLISH_FIRST
	:: d_step {
			x == Up && use == Unarmed && stage == Nothing -> flight = Short;
			SAY("X|publishes that it is armed, which it is not yet|BROKEN §4")
		}
#endif
#ifdef BREAK_SHORTEN_PUBLISH_FIRST
	:: d_step {
			x == Up && use == Long && stage == Nothing -> flight = Short;
			SAY("X|publishes the shorter T, which it does not use yet|BROKEN §4")
		}
#endif
	od
}

proctype NodeGuard() {
end:	do
	:: d_step {
			flight != Silence -> published = flight; reply = (stage == Offered && flight == offer); flight = Silence;
			SAY("API|commits X's NodeGuard: %d (0 unarmed, 1 short, 2 long T)|§4.1", published)
		}
#ifdef BREAK_NODEGUARD_PRECONDITION
	:: d_step {
			flight != Silence && overtaken == Silence -> overtaken = flight; flight = Silence;
			SAY("API|is slow with a write of X's NodeGuard|§4.1")
		}
	:: d_step {
			overtaken != Silence -> published = overtaken; overtaken = Silence;
			SAY("API|commits that write after later ones: %d (0 unarmed, 1 short, 2 long T)|BROKEN §4.1", published)
		}
#endif
	:: d_step { flight != Silence -> flight = Silence; SAY("API|loses a write of X's NodeGuard|§4.1") }
	:: d_step { reply -> reply = false; SAY("API|loses the reply|§4.1") }
	od
}

mtype = { Idle, Suspected, Withheld, Read, Counting };
mtype phase = Idle;
byte c_age;

inline drop_fence() {
	append_roll(last, 0, 0); phase = Idle; seen = 0; c_age = 0
}

proctype Controller() {
end:	do
#ifdef BREAK_NODEGUARD_BEFORE
	:: d_step {
			phase == Idle && fences < FENCES && published != Unarmed -> seen = published; phase = Suspected;
			SAY("controller|reads X's NodeGuard: %d (1 short, 2 long T)|BROKEN §6.4", seen)
		}
	:: d_step {
			phase == Suspected -> fences++; append_roll(last, fences, 0); phase = Read;
			SAY("controller|withholds X: serial %d|§6.3", serial[last])
		}
#else
	:: d_step {
			phase == Idle && fences < FENCES -> fences++; append_roll(last, fences, 0); phase = Withheld;
			SAY("controller|withholds X: serial %d|§6.3", serial[last])
		}
	:: d_step {
			phase == Withheld && published != Unarmed -> seen = published; phase = Read;
			SAY("controller|reads X's NodeGuard: %d (1 short, 2 long T)|§6.4", seen)
		}
#endif
	:: d_step {
			phase == Withheld && published == Unarmed -> drop_fence();
			SAY("controller|reads that X is unarmed, and drops the fence: serial %d|§6.4", serial[last])
		}
	:: d_step {
			phase == Read && ACKNOWLEDGED(fences) -> phase = Counting; c_age = 0;
			SAY("controller|has the acknowledgements and reads c|§6.6")
		}
#ifdef BREAK_C_BEFORE_NODEGUARD
	:: d_step {
			phase == Counting && published != Unarmed -> seen = published;
			SAY("controller|reads X's NodeGuard again, after c: %d (1 short, 2 long T)|BROKEN §6.6", seen)
		}
	:: d_step {
			phase == Withheld && ACKNOWLEDGED(fences) -> phase = Suspected; c_age = 0;
			SAY("controller|has the acknowledgements and reads c, before X's NodeGuard|BROKEN §6.6")
		}
	:: d_step {
			phase == Suspected && published != Unarmed -> phase = Counting; seen = published;
			SAY("controller|reads X's NodeGuard: %d (1 short, 2 long T)|BROKEN §6.6", seen)
		}
#endif
	:: d_step {
			phase == Counting && c_age >= W ->
			SAY("controller|finds X withheld and silent at c + W, and taints|§6.7");
			assert(x == Down); drop_fence()
		}
	:: d_step {
			ENTRY != 0 -> drop_fence();
			SAY("controller|drops the fence: serial %d|§6", serial[last])
		}
	od
}

proctype Time() {
end:	do
	:: d_step {
			let_time_pass();
			OLDER(call, L);
			if
			:: call == L || x != Up -> call = L; call_answer = 0; call_after = false
			:: else
			fi;
			if
			:: x != Up -> use = Short; give_up()
			:: else
			fi;
			OLDER(c_age, L + D + LONGER)
		}
	od
}

init {
	atomic {
		run_agents();
		run Promise();
		run NodeGuard();
		run Controller();
		run Time()
	}
}

/*
 * gate.pml: suspicion, gate and refutation, in an API that goes away (PROTOCOL.md §6
 * steps 1 and 2, claim 11), and how long a dead X waits for its taint.
 *
 *   here             PROTOCOL.md
 *   Witness          §6.1 a read in every half roll interval, reported with its streak
 *   GATE             §6.2 r such reads by C witnesses, none older than two roll intervals
 *   X                A3: it polls every P reads, and refutes by the fence's ID
 *   Outage           of the API, or of the nodes' way to it
 *   Controller       §6 steps 1 to 7; claim 10 where it crashes
 *
 * One tick is half a roll interval. An answer is there within its tick, a write of X
 * within the next one, unless an outage begins before. An outage is one that everybody
 * notices: it ends after each witness has missed a read. (A request that is lost alone
 * is what r has its 3 reads more than P for.)
 *
 * Checked: X, which is alive and connected, is never withheld (P2): in an outage it
 * lives on what the witnesses remember, and afterwards too. With DIES: once X is dead,
 * and C witnesses answer, it is tainted within (CRASHES + 1) * (W + R + 4) ticks; here
 * the controller does at once what it may do.
 */
#ifndef FENCES
#define FENCES 2
#endif
#define STATES (3 * FENCES + 1)
#define PROMPT
#include "roll.pml"

/* X reads the Roll every P ticks; the gate takes R reads. */
#ifndef P
#define P 2
#endif
#ifndef R
#define R (P + 3)
#endif
#define FRESH 4 /* two roll intervals */
#ifndef OUTAGES
#define OUTAGES 1
#endif
#ifndef LEADERS
#define LEADERS 1
#endif
#define BOUND (LEADERS * (W + R + 4))

byte suspected; /* the fence that suspects X, as the Roll has it */

bool nodes_reach = true; /* the API, for the nodes and for the controller */
bool controller_reaches = true;
byte outages;

/* What a witness's NodeGuard shows: so many reads in a row, of which fence, how old. */
byte streak[AGENTS];
byte streak_of[AGENTS];
byte streak_age[AGENTS];
bool missed[AGENTS]; /* a read since */
bool done[AGENTS];   /* with this tick's read */

#ifdef BREAK_STREAK_CARRIED
#define SAME_STREAK(w) (streak_of[w] != 0)
#else
#define SAME_STREAK(w) (streak_of[w] == suspected)
#endif

proctype Reader(byte w) {
end:	do
	:: d_step {
			!done[w] && nodes_reach ->
			memory[w] = last;
			if
			:: suspected && SAME_STREAK(w) && !missed[w] -> OLDER(streak[w], R)
			:: suspected && !(SAME_STREAK(w) && !missed[w]) -> streak[w] = 1
			:: else -> streak[w] = 0
			fi;
			streak_of[w] = suspected; streak_age[w] = 0;
			missed[w] = false; done[w] = true;
			SAY("witness %d|reads the API, serial %d, and reports %d in a row|§6.1", w, serial[last], streak[w])
		}
	:: d_step {
			!done[w] && !nodes_reach -> missed[w] = true; done[w] = true;
			SAY("witness %d|cannot reach the API|§6.1", w)
		}
	:: d_step { /* at leisure, while nobody is suspected */
			!done[w] && nodes_reach && !suspected && memory[w] == last -> done[w] = true
		}
	od
}

#define PASSED(w, e, f) (streak_of[w] == f && streak[w] >= R && streak_age[w] <= FRESH)
#define READ_ONCE(w, e, f) (streak_of[w] == f && streak_age[w] <= FRESH)
#if defined(BREAK_GATE_NONE)
#define GATE true
#elif defined(BREAK_GATE_TIME)
#define GATE (waited >= R)
#elif defined(BREAK_GATE_ONE_READ)
#define GATE (COUNT(READ_ONCE, 1, suspected) >= C)
#else
#define GATE (COUNT(PASSED, 1, suspected) >= C)
#endif

/* X: the ticks until its next read, the fence it is refuting and since when, and what
 * its NodeGuard says. */
byte until;
byte refuting;
bool refuting_late;
byte refutes;

#ifdef BREAK_REFUTES_UNNAMED
#define REFUTED (refutes != 0)
#else
#define REFUTED (refutes == suspected)
#endif

inline learn() {
	if
	:: suspected && refutes != suspected && refuting != suspected -> refuting = suspected; refuting_late = false
	:: else
	fi
}

#define HEARD_OF(w, e, f) (streak_of[w] == suspected)
#define HEARD (suspected && refutes != suspected && refuting != suspected && COUNT(HEARD_OF, 0, 0) > 0)

proctype X() {
end:	do
	:: d_step {
			x == Up && until == 0 && nodes_reach -> until = P; learn();
			SAY("X|reads the API: suspected by fence %d|A3", suspected)
		}
#ifdef LEARNS
	:: d_step {
			x == Up && HEARD -> learn();
			SAY("X|hears from a witness that fence %d suspects it|A3", suspected)
		}
#endif
	:: d_step {
			x == Up && refuting && nodes_reach -> refutes = refuting; refuting = 0; refuting_late = false;
			SAY("API|commits that X refutes fence %d|A3", refutes)
		}
#ifdef DIES
	:: d_step { x == Up -> x = Down; until = 0; refuting = 0; refuting_late = false; SAY("X|dies|") }
#endif
	od
}
#define ALL_MISSED (COUNT(MISSED, 0, 0) == AGENTS)
#define MISSED(w, e, f) missed[w]

proctype Outage() {
end:	do
	:: d_step {
			nodes_reach && outages < OUTAGES -> outages++; nodes_reach = false;
			SAY("API|is out of the nodes' reach|P2")
		}
	:: d_step {
			nodes_reach && outages < OUTAGES -> outages++; nodes_reach = false; controller_reaches = false;
			SAY("API|is away|P2")
		}
	:: d_step {
			!nodes_reach && ALL_MISSED -> nodes_reach = true; controller_reaches = true;
			SAY("API|is back|P2")
		}
	od
}

mtype = { Idle, Waiting, Passed, Unrefuted, Withheld, Counting };
mtype phase = Idle;
byte waited; /* since Suspected, for BREAK_GATE_TIME */
byte c_age;
byte leaders = 1;
bool tainted;
byte k; /* counts witnesses */

/* The steps that a controller may take, so that the clock can wait for them. */
#define MAY_SUSPECT (phase == Idle && ENTRY == 0 && !suspected && !tainted && (x == Down -> fences < FENCES : fences + 1 < FENCES + ALIVE))
#define MAY_PASS (phase == Waiting && GATE)
#define MAY_DROP ((phase == Waiting || phase == Passed) && REFUTED)
#define MAY_ACCEPT (phase == Passed && !REFUTED)
#define MAY_WITHHOLD (phase == Unrefuted)
#define MAY_COUNT (phase == Withheld && ACKNOWLEDGED(fences))
#define MAY_TAINT (phase == Counting && c_age >= W && !tainted)
#ifdef DIES
#define ALIVE 0 /* the last fence is for the dead X */
#define BUSY (MAY_SUSPECT || MAY_PASS || MAY_DROP || MAY_ACCEPT || MAY_WITHHOLD || MAY_COUNT || MAY_TAINT)
#else
#define ALIVE 1
#define BUSY false
#endif

proctype Controller() {
end:	do
	:: d_step {
			controller_reaches && MAY_SUSPECT ->
			fences++; suspected = fences; phase = Waiting; append_roll(last, 0, 0);
			SAY("controller|suspects X by fence %d|§6.1", fences)
		}
	:: d_step {
			controller_reaches && MAY_PASS -> phase = Passed; waited = 0;
			SAY("controller|sees the gate passed|§6.2")
		}
	:: d_step {
			controller_reaches && MAY_DROP -> phase = Idle; suspected = 0; append_roll(last, 0, 0);
			SAY("controller|reads that X refutes the fence, and drops it|§6.2")
		}
	:: d_step {
			controller_reaches && MAY_ACCEPT -> phase = Unrefuted;
			SAY("controller|reads that X does not refute the fence|§6.2")
		}
	:: d_step {
			controller_reaches && MAY_WITHHOLD -> phase = Withheld; suspected = 0; append_roll(last, fences, 0);
			SAY("controller|withholds X|§6.3");
			assert(x == Down) /* P2, claim 11 */
		}
	:: d_step {
			controller_reaches && MAY_COUNT -> phase = Counting; c_age = 0;
			SAY("controller|reads c|§6.6")
		}
	:: d_step {
			controller_reaches && MAY_TAINT -> tainted = true; c_age = 0;
			SAY("controller|taints|§6.7")
		}
	:: d_step {
			leaders < LEADERS && !tainted && x == Down && phase != Idle ->
			leaders++; c_age = 0; waited = 0;
			phase = (suspected -> Waiting : (ENTRY -> Withheld : Idle));
			for (k : 0 .. AGENTS - 1) {
				streak[k] = 0
			}
			k = 0;
			SAY("controller|is replaced by a new leader|claim 10")
		}
	od
}
#define DONE(w, e, f) done[w]
#ifdef LEARNS /* a heartbeat's answer is there within its tick, too */
#define X_HEARS_LATE HEARD
#else
#define X_HEARS_LATE false
#endif
#define X_BUSY (x == Up && ((nodes_reach && (until == 0 || (refuting && refuting_late))) || X_HEARS_LATE))

#ifdef DIES
byte dead; /* since so many ticks, in which C witnesses answered */
#endif

proctype Time() {
end:	do
	:: d_step {
			!tainted && COUNT(DONE, 0, 0) == AGENTS && !X_BUSY && !(controller_reaches && BUSY) ->
			SAY("tick");
			if
			:: until > 0 -> until--
			:: else
			fi;
			refuting_late = (refuting != 0);
			for (k : 0 .. AGENTS - 1) {
				done[k] = false;
				OLDER(streak_age[k], FRESH + 1)
			}
			k = 0;
			if
			:: phase == Waiting -> OLDER(waited, R)
			:: phase == Counting -> OLDER(c_age, W)
			:: else
			fi;
#ifdef DIES
			if
			:: x == Down && nodes_reach -> dead++; assert(dead <= BOUND)
			:: else
			fi
#endif
		}
	od
}

init {
	byte w;
	atomic {
		for (w : 0 .. AGENTS - 1) {
			run Reader(w)
		}
		w = 0;
		if
		:: until = 0
		:: until = 1
		:: until = P
		fi;
		run X();
		run Outage();
		run Controller();
		run Time()
	}
}

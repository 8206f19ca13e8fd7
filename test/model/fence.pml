/*
 * fence.pml: one node is fenced, dropped and fenced again, by one controller or by more
 * that act at once (PROTOCOL.md §6 steps 3 to 7; claims 1 to 6, 9, 10, 13).
 *
 *   here            PROTOCOL.md
 *   withhold        step 3. Suspicion and gate serve P2 (gate.pml): here anybody may be
 *                   withheld at any moment, and a fence dropped at any moment (§6, (b))
 *   quarantine      C4, after step 4 (what step 4 reads is in promise.pml)
 *   take c          steps 5 and 6
 *   look, taint     step 7
 *   drop            claim 9: the quarantine first, the entry after
 *   new leader      claim 10
 *   restart_guard   C10
 *   Rejoin          §11: what a kubelet of a new boot reads and writes
 *
 * Checked: when the out-of-service taint is written, the fenced boot does not run, nor
 * does a later one that has not seen NoExecute (P1; claim 13 for the later one). And
 * where X is still withheld at c + W, it does not run any more (claim 8): the taint
 * comes a rejoin guard later, which would hide a W that is too short.
 */
#ifndef CONTROLLERS
#define CONTROLLERS 1
#endif
#include "roll.pml"

/* The Node: its quarantine, and the boot that its status names. */
mtype = { None, NoSchedule, NoExecute };
mtype quarantine = None;
byte quarantine_of;
bool new_boot;
bool tainted;

/*
 * A controller: the fence it works on, how far it has come, and the age of its c. A
 * precondition on the version of the Node holds as long as the Node was not written
 * since it was looked at: looked is taken away by each write.
 */
mtype = { Idle, Withheld, Counting, Guarding, Guarded, Looked, Dropping };
mtype phase[CONTROLLERS] = Idle;
byte fence[CONTROLLERS];
byte c_age[CONTROLLERS];
bool looked[CONTROLLERS];

inline node_written() {
	looked[0] = false;
#if CONTROLLERS > 1
	looked[1] = false
#endif
}

inline idle(i) {
	phase[i] = Idle; fence[i] = 0; c_age[i] = 0; looked[i] = false
}

/* C10: a controller that did not look when the guard had passed was paused. Whoever acted
 * meanwhile may have dropped the quarantine and set it again: its guard starts again. */
inline restart_guard(i) {
	phase[i] = (quarantine == NoExecute && quarantine_of == fence[i] -> Guarding : Withheld)
}

#ifdef BREAK_LOOK_BEFORE
#define STILL_WITHHELD(i) true /* the Roll was looked at when c was taken */
#else
#define STILL_WITHHELD(i) (ENTRY == fence[i])
#endif
#ifdef BREAK_BOOT_CHECK
#define BOOT_UNCHANGED true
#else
#define BOOT_UNCHANGED (!new_boot)
#endif
#ifdef BREAK_TAINT_PRECONDITION
#define VERSION_HOLDS(i) true
#else
#define VERSION_HOLDS(i) looked[i]
#endif

#ifdef BREAK_REJOIN_GUARD
#define GUARD_PASSED(i) (phase[i] == Guarding || phase[i] == Guarded)
#else
#define GUARD_PASSED(i) (phase[i] == Guarded)
#endif

#ifdef LATE_WRITES
/* A write of the Roll that some controller derived from the state late_from, on its way. */
bool late;
byte late_from;
#ifdef BREAK_CAS_ON_PHASE
#define ROLL_UNCHANGED ((ENTRY == 0) == (withholds[late_from] == 0))
#else
#define ROLL_UNCHANGED (last == late_from)
#endif
#endif

proctype Controller(byte i) {
end:	do
	:: d_step {
			phase[i] == Idle && !tainted && !new_boot && ENTRY == 0 && fences < FENCES ->
			fences++; append_roll(last, fences, 0);
			SAY("controller %d|withholds X: serial %d|§6.3", i, serial[last])
		}
	:: d_step {
			phase[i] == Idle && !tainted && ENTRY != 0 -> phase[i] = Withheld; fence[i] = ENTRY;
			SAY("controller %d|finds X withheld by fence %d|§6.4", i, ENTRY)
		}
	:: d_step {
			phase[i] == Withheld && quarantine_of != fence[i] && !tainted ->
			quarantine = NoSchedule; quarantine_of = fence[i]; node_written();
			SAY("controller %d|puts the quarantine of fence %d on the Node|C4", i, fence[i])
		}
	:: d_step {
			phase[i] == Withheld && quarantine_of == fence[i] && ACKNOWLEDGED(fence[i]) ->
			phase[i] = Counting; c_age[i] = 0;
			SAY("controller %d|has the acknowledgements of fence %d and reads c|§6.6", i, fence[i])
		}
	:: d_step {
			phase[i] == Counting && c_age[i] >= W && BOOT_UNCHANGED && !tainted && STILL_WITHHELD(i) ->
			phase[i] = Guarding; c_age[i] = 0;
			quarantine = NoExecute; quarantine_of = fence[i]; node_written();
			SAY("controller %d|finds no life at c + W; NoExecute for fence %d|§6.7", i, fence[i]);
			assert(x != Up || ENTRY != fence[i]) /* claim 8 */
		}
	:: d_step {
			GUARD_PASSED(i) && BOOT_UNCHANGED && !tainted && quarantine == NoExecute && quarantine_of == fence[i] && STILL_WITHHELD(i) ->
			phase[i] = Looked; looked[i] = true;
			SAY("controller %d|looks again: no life, still withheld|§6.7", i)
		}
	:: d_step {
			phase[i] == Looked && !tainted && VERSION_HOLDS(i) ->
			tainted = true;
			SAY("controller %d|taints the Node out-of-service|§6.7", i);
			assert(x == Down) /* P1 */
		}
	:: d_step {
			phase[i] == Looked && !tainted && !VERSION_HOLDS(i) -> idle(i);
			SAY("controller %d|may not taint: the Node was written since|claim 9", i)
		}
#ifdef BREAK_ENTRY_FIRST
	:: d_step {
			phase[i] != Idle && phase[i] != Dropping && !tainted && ENTRY == fence[i] ->
			append_roll(last, 0, 0); phase[i] = Dropping; c_age[i] = 0; looked[i] = false;
			SAY("controller %d|drops the fence: the entry goes, serial %d|BROKEN claim 9", i, serial[last])
		}
	:: d_step {
			phase[i] == Dropping && !tainted && quarantine != None && quarantine_of == fence[i] ->
			quarantine = None; quarantine_of = 0; node_written(); idle(i);
			SAY("controller %d|drops the fence: the quarantine goes|BROKEN claim 9", i)
		}
#else
	:: d_step {
			phase[i] != Idle && phase[i] != Dropping && !tainted && quarantine != None && quarantine_of == fence[i] ->
			idle(i); phase[i] = Dropping; fence[i] = quarantine_of;
			quarantine = None; quarantine_of = 0; node_written();
			SAY("controller %d|drops the fence: the quarantine goes|claim 9", i)
		}
#endif
	:: d_step {
			phase[i] == Withheld && quarantine == None && !tainted -> phase[i] = Dropping;
			SAY("controller %d|drops the fence, which has no quarantine|§6.4", i)
		}
	:: d_step {
			phase[i] == Dropping && ENTRY == fence[i] && !tainted -> append_roll(last, 0, 0); idle(i);
			SAY("controller %d|drops the fence: the entry goes, serial %d|claim 9", i, serial[last])
		}
	:: d_step {
			phase[i] != Idle && !tainted -> idle(i);
			SAY("controller %d|is replaced by a new leader|claim 10", i)
		}
#ifdef LATE_WRITES
	:: d_step {
			!late && !tainted && last < STATES - 1 && (ENTRY || fences < FENCES) -> late = true; late_from = last;
			SAY("controller %d|sends a write of the Roll, derived from serial %d|§6", i, serial[last])
		}
	:: d_step {
			late && !tainted && last < STATES - 1 && ROLL_UNCHANGED && (ENTRY || fences < FENCES) ->
			if
			:: ENTRY -> append_roll(late_from, 0, 0)
			:: else -> fences++; append_roll(late_from, fences, 0)
			fi;
			late = false; late_from = 0;
			SAY("somebody|writes the Roll with that write: serial %d, fence %d|§6", serial[last], ENTRY)
		}
	:: d_step { late && !ROLL_UNCHANGED -> late = false; late_from = 0 }
#endif
#ifdef BREAK_C_ACROSS_FENCES
	:: d_step {
			phase[i] == Counting && ENTRY != 0 && ENTRY != fence[i] && ACKNOWLEDGED(ENTRY) -> fence[i] = ENTRY;
			SAY("controller %d|goes on with fence %d and the c of the one before|BROKEN claim 10", i, ENTRY)
		}
#endif
#ifdef BREAK_C_OF_OTHER_CLOCK
	:: d_step {
			phase[i] == Withheld && phase[1 - i] == Counting && fence[i] == fence[1 - i] ->
			phase[i] = Counting; c_age[i] = W;
			SAY("controller %d|takes over c, as another host's clock read it|BROKEN claim 10", i)
		}
#endif
#ifdef BREAK_C_OF_SAME_FENCE
	:: d_step {
			phase[i] == Withheld && phase[1 - i] == Counting && fence[i] == fence[1 - i] ->
			phase[i] = Counting; c_age[i] = c_age[1 - i];
			SAY("controller %d|takes over c|BROKEN claim 10", i)
		}
#endif
	od
}

/* A later boot of X. What it starts before it reads NoExecute are the old pods. */
proctype Rejoin() {
end:	do
	:: d_step {
			x == Down && quarantine != NoExecute && !tainted -> x = Booting;
			SAY("X|boots again; its kubelet reads the Node and will start the old pods|§11")
		}
	:: d_step {
			x == Booting -> x = Running; new_boot = true; node_written();
			SAY("X|stores the status of its new boot; the old pods run|§11")
		}
	:: d_step {
			x == Down && quarantine != NoExecute && !tainted && !new_boot -> x = Running; new_boot = true; node_written();
			SAY("X|boots again; the gate answers the fence and lets the kubelet go|claim 13")
		}
	:: d_step {
			x == Down && quarantine == NoExecute && !tainted && !new_boot -> new_boot = true; node_written();
			SAY("X|boots again; its kubelet refuses the old pods and stores its status|§11")
		}
	od
}

/* A kubelet that has read its Node stores its status within the rejoin guard: one tick. */
proctype Time() {
	byte i;
end:	do
	:: d_step {
			x != Booting && !tainted -> let_time_pass();
			for (i : 0 .. CONTROLLERS - 1) {
				if
				:: phase[i] == Counting -> OLDER(c_age[i], W)
				:: phase[i] == Guarding -> phase[i] = Guarded
#ifndef BREAK_GAP
				:: phase[i] == Guarded -> restart_guard(i)
#endif
				:: else
				fi
			}
			i = 0
		}
	od
}

init {
	byte i;
	atomic {
		run_agents();
		run Rejoin();
		run Time();
		for (i : 0 .. CONTROLLERS - 1) {
			run Controller(i)
		}
		i = 0
	}
}

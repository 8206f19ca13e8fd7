/*
 * history.pml: the Roll is lost and begun anew under another ID, while X is fenced and
 * dropped (PROTOCOL.md §8; claim 12).
 *
 *   here             PROTOCOL.md
 *   begin anew       §8: another ID, a serial that starts again, undecided fences renamed
 *   X_HEARS          §8: X refuses statements of another history than the API showed it
 *   Controller       §6 steps 3 to 7 in short: what guards the Node is in fence.pml
 *
 * Checked: P1. A witness that reads the new history forgets the old one (roll.pml).
 */
#ifndef CHANGES
#define CHANGES 1
#endif
#define HISTORIES
#define PROMPT
#include "roll.pml"

#ifdef BREAK_HISTORY_UNPUBLISHED
#define PUBLISHED true
#else
#define PUBLISHED (history[x_read] == history[last]) /* step 4 */
#endif

byte fence; /* that the controller pursues */
bool counting;
byte c_age;

inline stop() {
	fence = 0; counting = false; c_age = 0
}

proctype Controller() {
end:	do
	:: d_step {
			ENTRY == 0 && fences < FENCES -> fences++; append_roll(last, fences, 0);
			SAY("controller|withholds X by fence %d: history %d, serial %d|§6.3", fences, history[last], serial[last])
		}
	:: d_step {
			ENTRY != 0 && fence != ENTRY && PUBLISHED -> stop(); fence = ENTRY;
			SAY("controller|reads that X follows history %d, and pursues fence %d|§6.4", history[x_read], fence)
		}
	:: d_step {
			fence != 0 && fence == ENTRY && !counting && ACKNOWLEDGED(fence) -> counting = true; c_age = 0;
			SAY("controller|has the acknowledgements of fence %d and reads c|§6.6", fence)
		}
	:: d_step {
			counting && c_age >= W && fence == ENTRY ->
			SAY("controller|finds X withheld and silent at c + W, and taints|§6.7");
			assert(x == Down); stop()
		}
	:: d_step {
			ENTRY != 0 -> append_roll(last, 0, 0); stop();
			SAY("controller|drops the fence: history %d, serial %d|§6", history[last], serial[last])
		}
	:: d_step {
			history[last] < CHANGES && (ENTRY == 0 || fences < FENCES) ->
			if
			:: ENTRY != 0 -> fences++; append_roll(last, fences, 0)
			:: else -> append_roll(last, 0, 0)
			fi;
			history[last]++; serial[last] = 0; stop();
			SAY("controller|begins the Roll anew: history %d, serial 0, fence %d|§8", history[last], ENTRY)
		}
	od
}

proctype Time() {
end:	do
	:: d_step {
			let_time_pass();
			if
			:: counting -> OLDER(c_age, W)
			:: else
			fi
		}
	od
}

init {
	atomic {
		run_agents();
		run Controller();
		run Time()
	}
}

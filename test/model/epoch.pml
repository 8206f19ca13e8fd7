/*
 * epoch.pml: the witnesses are exchanged, e1 for e2, while X is fenced and dropped
 * (PROTOCOL.md §7; claims 2, 4).
 *
 *   here             PROTOCOL.md
 *   Epochs           §7 (i) e2 active beside e1, (ii) e1 retiring, (iii) e1 gone
 *   Controller       §6 steps 3, 5, 6 and 7 in short: what guards the Node is in fence.pml
 *   Outage           P2: whenever the API goes, H statements of one epoch are to be had
 *
 * Checked: P1; with OUTAGE that no moment of the change leaves everybody without a
 * quorum. A witness publishes what it remembers at once: a later acknowledgement makes
 * the controller take c later, or take a step of the change later, and nothing else.
 */
#ifndef CHANGES
#define CHANGES 3
#endif
#ifndef FENCES
#define FENCES 1
#endif
#define PROMPT
#include "roll.pml"

byte fence;
bool counting;
byte c_age;
#ifdef BREAK_EPOCHS_BEFORE
byte list_read; /* the state of the Roll whose list of epochs the controller goes by */
#endif

proctype Controller() {
end:	do
	:: d_step {
			ENTRY == 0 && fences < FENCES ->
			fences++; fence = fences; append_roll(last, fence, epochs[last]);
			SAY("controller|withholds X: serial %d|§6.3", serial[last])
		}
#ifdef BREAK_EPOCHS_BEFORE
	:: d_step {
			ENTRY == 0 && list_read != last -> list_read = last;
			SAY("controller|reads the list of epochs at serial %d|BROKEN §6.6", serial[last])
		}
#endif
	:: d_step {
			ENTRY != 0 && !counting && ACKNOWLEDGED(fence) -> counting = true; c_age = 0;
			SAY("controller|has the acknowledgements of fence %d and reads c|§6.6", fence)
		}
	:: d_step {
			counting && c_age >= W ->
			counting = false; c_age = 0;
			SAY("controller|finds X withheld and silent at c + W, and taints|§6.7");
			assert(x == Down)
		}
	:: d_step {
			ENTRY != 0 -> append_roll(last, 0, epochs[last]); fence = 0; counting = false; c_age = 0;
			SAY("controller|drops the fence: serial %d|§6", serial[last])
		}
	od
}

/* Who has acknowledged a Roll in which the epochs are at step s or later. */
#define AT_STEP(w, e, s) (IN(w, e) && knows[w] && epochs[memory[w]] >= s)
#define X_AT_STEP(e, s) (x == Up && (e == 1 -> X1 : X2) && epochs[x_read] >= s)
#define HAVE(e, s) (COUNT(AT_STEP, e, s) + X_AT_STEP(e, s))

#if defined(BREAK_RETIRE_EARLY)
#define MAY_RETIRE true
#elif defined(OUTAGE)
#define MAY_RETIRE (HAVE(2, 1) == N) /* all of them live */
#else
#define MAY_RETIRE (HAVE(2, 1) >= H) /* the others may be dead */
#endif
#if defined(BREAK_REMOVE_UNACKED)
#define MAY_REMOVE true
#elif defined(BREAK_REMOVE_C)
#define MAY_REMOVE (HAVE(1, 2) >= C - 1)
#else
#define MAY_REMOVE (HAVE(1, 2) >= C)
#endif

proctype Epochs() {
end:	do
	:: d_step {
			epochs[last] == 0 -> append_roll(last, ENTRY, 1);
			SAY("controller|lists epoch 2 beside epoch 1: serial %d|§7 (i)", serial[last])
		}
	:: d_step {
			epochs[last] == 1 && MAY_RETIRE -> append_roll(last, ENTRY, 2);
			SAY("controller|has epoch 1 retire: serial %d|§7 (ii)", serial[last])
		}
	:: d_step {
			epochs[last] == 2 && MAY_REMOVE -> append_roll(last, ENTRY, 3);
			SAY("controller|removes epoch 1: serial %d|§7 (iii)", serial[last])
		}
	od
}

#ifdef OUTAGE
#define SPEAKING(w, e, i) SPEAKS(w, e)
#define QUORATE(e) (COUNT(SPEAKING, e, 0) + X_SPEAKS(e) >= H)
proctype Outage() {
end:	do
	:: d_step {
			x == Up && !QUORATE(1) && !QUORATE(2) ->
			SAY("API|goes; nobody can get H statements of any epoch|P2");
			assert(false)
		}
	od
}
#endif

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
		run Epochs();
#ifdef OUTAGE
		run Outage();
#endif
		run Time()
	}
}

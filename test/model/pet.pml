/*
 * pet.pml: the holder and the watchdog of X (PROTOCOL.md §5; claim 8). The other models
 * take from here that X is dead when its newest roll is L + D old, D = DELTA + (1+U)*KT.
 *
 *   here      PROTOCOL.md
 *   Rolls     A2, A6: a roll extends petUntil if that has not passed
 *   Holder    the check before a ping and the clock read again after it; A6
 *   Close     pings that no roll gates: at most U of them
 *   Time      the watchdog fires KT after the last ping
 *
 * Checked: at no moment X runs with a roll of age L + DELTA + (1+U)*KT. So an isolated X
 * resets itself in time, and c + W is late enough. The holder may be paused wherever it
 * is, but not between a late ping and the clock (§12): TWICE shows what that would do.
 */
#define L 2
#define DELTA 1
#define KT 4
#ifndef U
#define U 0
#endif
#ifdef BREAK_UNGATED
#define BOUND (L + DELTA + KT)
#else
#define BOUND (L + DELTA + (1 + U) * KT)
#endif
#define SAY(...) printf("@"); printf(__VA_ARGS__)

bool running = true;
byte age;    /* of the newest roll */
byte ping;   /* so long ago was the last one */
byte since;  /* the holder's check */
byte closes; /* so often was the device closed uncleanly */

mtype = { Looping, Checked, Pinged };
mtype holder = Looping;

inline reset() {
	running = false; age = 0; ping = 0; since = 0; holder = Looping; closes = 0
}

#ifdef BREAK_SECOND_CHECK
#define LATE false
#else
#define LATE (since > DELTA)
#endif

proctype Rolls() {
end:	do
	:: d_step { running && age > 0 && age < L -> age = 0; SAY("X|gets a roll|A2") }
	od
}

proctype Holder() {
end:	do
	:: d_step {
			running && holder == Looping && age < L && closes == 0 -> holder = Checked; since = 0;
			SAY("holder|checks that petUntil has not passed|A6")
		}
	:: d_step {
			running && holder == Looping && age >= L -> reset();
			SAY("holder|finds petUntil passed, and resets X|A6")
		}
	:: d_step {
			running && holder == Checked && closes == 0 -> ping = 0; holder = Pinged;
			SAY("holder|pings, %d ticks after its check|§5", since)
		}
	:: d_step {
			holder == Pinged && !LATE -> holder = Looping; since = 0
		}
	:: d_step {
			holder == Pinged && LATE -> reset();
			SAY("holder|reads the clock again: the ping was late; resets X|§5")
		}
	od
}

proctype Close() {
end:	do
	:: d_step {
			running && closes < U -> closes++; ping = 0; holder = Looping; since = 0;
			SAY("kernel|pings once more as the device is closed|§5")
		}
	od
}

#ifdef TWICE
#define PROMPT true
#else
#define PROMPT (holder != Pinged)
#endif

proctype Time() {
end:	do
	:: d_step {
			running && PROMPT -> SAY("tick");
			age++; ping++;
			if
			:: holder != Looping && since <= DELTA -> since++
			:: else
			fi;
			if
			:: ping >= KT -> reset(); SAY("watchdog|resets X|§5")
			:: else
			fi;
			assert(age < BOUND)
		}
	od
}

init {
	atomic {
		run Rolls();
		run Holder();
		run Close();
		run Time()
	}
}

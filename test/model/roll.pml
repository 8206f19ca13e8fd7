/*
 * roll.pml: the roll call of PROTOCOL.md, shared by the models beside it.
 *
 *   here                       PROTOCOL.md
 *   append_roll         §3 claim 1: one more serial with each write
 *   LISTED, ACTIVE      §7 epochs
 *   Witness             §3.2 statements, claim 3; §6.5 acknowledgements
 *   SPEAKS, QUORUM      §3.2 a witness roll; claims 2 and 4
 *   ACKNOWLEDGED        §6.5 C of every listed epoch
 *   MAY_TAKE, take      §3 freshness and content apart, claim 5; A1, A2, A6
 *   Asking              §3.2 who gets a witness roll: X, and the neighbour that relays
 *   Victim              §3.1 API rolls of X, §3.3 what it is relayed; claim 6
 *   let_time_pass       §3 age; §5: X is dead when its newest roll is LIFE old
 *
 * One node, X, of which one boot is fenced. X is an adversary: it pets as long as the
 * rules let it, learns what keeps it alive and nothing else. Whatever may happen may
 * happen at any moment: a read, an answer, a reboot of a witness, a write of the Roll.
 * So a link that is cut, in one direction or both, is a step that nobody takes.
 *
 * Time is a small integer, of which only differences are kept. What happens within one
 * tick happens in some order. X is dead when the tick comes at which its newest roll
 * is LIFE old; the controller may act from the tick on at which c is W old. So
 * s <= c in whole ticks is as good as s < c on real clocks.
 *
 * A reply that comes late is a roll with an age (`question`), and one that is lost
 * never comes. An answer is taken as given when it was asked for: given later it has
 * the same s, and a content that is at least as new. ROUNDS drops that short cut, and
 * collects the answers of the witnesses one by one.
 *
 * A macro BREAK_... switches one rule off; `-list` says what must come of it.
 */

/* N witnesses in an epoch; any H of them make a roll; C acknowledge a fence. */
#ifndef N
#define N 3
#endif
#define H (N / 2 + 1)
#ifdef BREAK_C
#define C (N - H)
#else
#define C (N + 1 - H)
#endif

/* L, and D = delta + (1+u)*(kappa*T + g): by how much X outlives a roll (pet.pml). */
#ifndef L
#define L 2
#endif
#ifndef D
#define D 1
#endif
#ifndef LIFE
#define LIFE (L + D)
#endif
#ifndef AGES
#define AGES LIFE /* the oldest that a roll of X can be */
#endif
#ifndef PETS
#define PETS (age < L) /* A6 */
#endif
#ifndef WAIT
#define WAIT (L + D)
#endif
#ifdef BREAK_W
#define W (WAIT - 1)
#else
#define W (WAIT)
#endif

/* The witnesses other than X are 0 ... AGENTS-1. E1 and E2 are the bit sets of the two
 * epochs' witnesses, X1 and X2 say whether X is one of them as well. */
#ifndef X1
#define X1 0
#endif
#ifndef X2
#define X2 0
#endif
#ifndef AGENTS
#define AGENTS (N - X1)
#endif
#ifndef E1
#define E1 255
#endif
#ifndef E2
#define E2 0
#endif
#define IN(w, e) (((e == 1 -> E1 : E2) >> (w)) & 1)

/* COUNT(P, a, b) says of how many witnesses w P(w, a, b) holds. */
#if AGENTS == 1
#define COUNT(P, a, b) (P(0, a, b))
#elif AGENTS == 2
#define COUNT(P, a, b) (P(0, a, b) + P(1, a, b))
#elif AGENTS == 3
#define COUNT(P, a, b) (P(0, a, b) + P(1, a, b) + P(2, a, b))
#elif AGENTS == 4
#define COUNT(P, a, b) (P(0, a, b) + P(1, a, b) + P(2, a, b) + P(3, a, b))
#elif AGENTS == 5
#define COUNT(P, a, b) (P(0, a, b) + P(1, a, b) + P(2, a, b) + P(3, a, b) + P(4, a, b))
#elif AGENTS == 6
#define COUNT(P, a, b) (P(0, a, b) + P(1, a, b) + P(2, a, b) + P(3, a, b) + P(4, a, b) + P(5, a, b))
#endif

/* A step says what it is, for the table that -trail prints: actor|step|rule. */
#define SAY(...) printf("@"); printf(__VA_ARGS__)

/*
 * The Roll, §3 and §7: every state that it had, of which the last one counts. By claim 1
 * a state is named by its serial; serial[] is there because a rule can be broken.
 */
#ifndef FENCES
#define FENCES 2 /* so many times may X be withheld */
#endif
#ifndef CHANGES
#define CHANGES 0 /* so many more writes change the epochs, or the history */
#endif
#ifndef STATES
#define STATES (2 * FENCES + 1 + CHANGES)
#endif
byte last;
byte serial[STATES];
byte withholds[STATES]; /* the fence that withholds X, or 0 */
byte epochs[STATES];    /* 0: e1. 1: e1 and e2. 2: e1 retiring, e2. 3: e2. */
byte fences;            /* the newest fence's ID */

#ifdef HISTORIES
byte history[STATES]; /* §8: counts the IDs; serials of two of them are not compared */
#define HISTORY(i) history[i]
#define NEWER(i, j) (history[i] > history[j] || (history[i] == history[j] && serial[i] > serial[j]))
#else
#define HISTORY(i) 0
#define NEWER(i, j) (serial[i] > serial[j])
#endif
#ifdef BREAK_OLD_HISTORY
#define NEWER_TO_X(i, j) (serial[i] > serial[j])
#define X_HEARS(w) true
#else
#define NEWER_TO_X(i, j) NEWER(i, j)
#define X_HEARS(w) (HISTORY(memory[w]) == HISTORY(x_read))
#endif
#define ENTRY (withholds[last])
#define LISTED_IN(e, i) (e == 1 -> epochs[i] != 3 : epochs[i] != 0)
#define LISTED(e) LISTED_IN(e, last)
#define ACTIVE_IN(e, i) (e == 1 -> epochs[i] < 2 : epochs[i] != 0)
#define ACTIVE(e) ACTIVE_IN(e, last)

/* append_roll writes what was derived from state i. */
inline append_roll(i, fence, e) {
	serial[last + 1] = serial[i] + 1;
	withholds[last + 1] = fence;
	epochs[last + 1] = e;
#ifdef HISTORIES
	history[last + 1] = history[i];
#endif
	last++
}

/*
 * Witnesses, §3.2. memory is the newest Roll that the witness has itself read in its
 * present boot, acked the newest one that its NodeGuard ever showed. A boot that has
 * read nothing makes no statement (knows is false); memory then is the Roll as it was
 * when the API server stored a status of this boot, and no read can show an older one.
 */
byte memory[AGENTS];
#ifdef PROMPT
#define acked memory /* whatever it remembers is published at once */
#else
byte acked[AGENTS];
#endif
bool knows[AGENTS] = true;

/* The neighbour that X hears from, §3.3: how old its best roll is (L: it has none), and
 * the state of the highest serial that was shown to it. */
byte relay_age;
byte relay_top;

#ifdef DEAD
/* The boot that the witness's NodeGuard shows is proven dead. A later one may be asking
 * already, but no status of it is stored. */
bool fenced[AGENTS];
#ifdef BREAK_DEAD_UNREAD
#define COUNTS_AS_DEAD(w) (!fenced[w] && !knows[w]) /* it was dead when last looked at */
#else
#define COUNTS_AS_DEAD(w) fenced[w]
#endif
#define READS(w) (!fenced[w])
#else
#define READS(w) true
#endif

/* remember stores a reply, before anything of it is stated or acknowledged. */
inline remember(w, i) {
	memory[w] = i;
	knows[w] = true;
	SAY("witness %d|reads the API: serial %d|§3.2", w, serial[i])
}

proctype Witness(byte w) {
end:	do
	:: d_step { READS(w) && NEWER(last, memory[w]) -> remember(w, last) }
	:: d_step { READS(w) && !knows[w] -> remember(w, memory[w]) }
	:: /* a slow reply: of what the Roll was, but not what is older than its memory */
		d_step { READS(w) && memory[w] + 1 < last && NEWER(memory[w] + 1, memory[w]) -> remember(w, memory[w] + 1) }
#ifndef PROMPT
	:: d_step {
			knows[w] && acked[w] != memory[w] -> acked[w] = memory[w];
			SAY("witness %d|publishes in its NodeGuard: acknowledges serial %d|§6.5", w, serial[acked[w]])
		}
#endif
#ifdef REBOOTS
	:: d_step {
			(knows[w] || memory[w] != last) -> knows[w] = false; memory[w] = last;
			SAY("witness %d|is in a new boot, whose status is stored; it has read nothing yet|claim 3", w)
		}
#endif
#ifdef DEAD
	:: d_step {
			!fenced[w] -> fenced[w] = true; knows[w] = false; memory[w] = last;
			SAY("witness %d|is fenced to the end; a new boot asks at serial %d|§6.5", w, serial[last])
		}
	:: d_step {
			COUNTS_AS_DEAD(w) && ENTRY != 0 && acked[w] != last -> acked[w] = last;
			SAY("controller|counts witness %d: no later boot than the one that is dead|§6.5", w)
		}
	:: d_step {
			fenced[w] -> fenced[w] = false;
#ifdef BREAK_ASKED_BEFORE_STATUS
			knows[w] = true;
			SAY("witness %d|has its new boot's status stored, and states what it asked for before: serial %d|BROKEN claim 3", w, serial[memory[w]])
#else
			memory[w] = last;
			SAY("witness %d|has its new boot's status stored; it has read nothing yet|claim 3", w)
#endif
		}
#endif
#ifdef BREAK_RESTART_EMPTY
	:: d_step {
			memory[w] != 0 -> memory[w] = 0; knows[w] = true;
			SAY("witness %d|restarts and answers with an empty Roll|BROKEN §3.2", w)
		}
#endif
#ifdef BREAK_RESTART_OLDER
	:: d_step {
			memory[w] > 0 && knows[w] -> memory[w]--;
			SAY("witness %d|restarts from an older file: serial %d|BROKEN §3.2", w, serial[memory[w]])
		}
#endif
#ifdef BREAK_RESTART_RELAYED
	:: d_step {
			!knows[w] -> memory[w] = relay_top; knows[w] = true;
			SAY("witness %d|takes a relayed roll for its own: serial %d|BROKEN §3.2", w, serial[memory[w]])
		}
#endif
#ifdef BREAK_GOES_BACK
	:: d_step {
			knows[w] && memory[w] > 0 -> memory[w]--;
			SAY("witness %d|stores a reply that was overtaken: serial %d|BROKEN claim 3", w, serial[memory[w]])
		}
#endif
#ifdef BREAK_WITNESS_CACHE
	:: d_step {
			!knows[w] && memory[w] > 0 -> memory[w]--;
			SAY("witness %d|will be answered from a cache: serial %d|BROKEN §3.1", w, serial[memory[w]])
		}
#endif
	od
}

/* Whether w speaks for epoch e, and says nothing newer than the Roll i. */
#if defined(BREAK_RETIRING_SPEAKS)
#define SPEAKS(w, e) (knows[w] && IN(w, e) && LISTED_IN(e, memory[w]))
#elif defined(BREAK_UNLISTED_SPEAKS)
#define SPEAKS(w, e) (knows[w] && IN(w, e) && !(e == 1 && epochs[memory[w]] >= 2))
#else
#define SPEAKS(w, e) (knows[w] && IN(w, e) && ACTIVE_IN(e, memory[w]))
#endif
#define SAYS_AT_MOST(w, e, i) (SPEAKS(w, e) && X_HEARS(w) && !NEWER_TO_X(memory[w], i))

/* Whether X counts itself: it has read the Roll, which has the epoch as active. */
#define X_SPEAKS(e) ((e == 1 -> X1 : X2) && ACTIVE_IN(e, x_read))
byte x_read; /* the newest Roll that X itself has read */

/* QUORUM(w, e, own): H statements for e, of which w's is the newest. */
#define QUORUM(w, e, own) (SPEAKS(w, e) && X_HEARS(w) && COUNT(SAYS_AT_MOST, e, memory[w]) + own >= H)

/* ACKNOWLEDGED(f): what step 5 asks for of fence f. */
#if defined(BREAK_ACK_SERIAL_ONLY)
/* Without epochs to change, fence f is withheld from the state 2f-1 on. */
#define ACK(w, e, f) (IN(w, e) && acked[w] >= 2 * (f) - 1)
#elif defined(BREAK_ACK_ANY_FENCE)
#define ACK(w, e, f) (IN(w, e) && withholds[acked[w]] != 0)
#else
#define ACK(w, e, f) (IN(w, e) && withholds[acked[w]] == f)
#endif
#if defined(BREAK_ACK_NONE)
#define ACKNOWLEDGED(f) true
#elif defined(BREAK_ACK_ACTIVE_ONLY)
#define ACKNOWLEDGED(f) ((!ACTIVE(1) || COUNT(ACK, 1, f) >= C) && (!ACTIVE(2) || COUNT(ACK, 2, f) >= C))
#elif defined(BREAK_EPOCHS_BEFORE)
#define ACKNOWLEDGED(f) ((!LISTED_IN(1, list_read) || COUNT(ACK, 1, f) >= C) && (!LISTED_IN(2, list_read) || COUNT(ACK, 2, f) >= C))
#else
#define ACKNOWLEDGED(f) ((!LISTED(1) || COUNT(ACK, 1, f) >= C) && (!LISTED(2) || COUNT(ACK, 2, f) >= C))
#endif

/*
 * X. age is how long ago its newest roll was asked for, top the state of the highest
 * serial that was shown to it. It is up in the boot that is fenced, down, or (in
 * fence.pml) up in a later boot.
 */
mtype = { Up, Down, Booting, Running };
mtype x = Up;
byte age;
byte top;

/* MAY_TAKE(a, i): a roll of age a and state i that a running X may extend its life with.
 * A content that withholds X, and is the newest, would latch it (A1); but then the
 * content of a higher serial may be used at the s of a lower one (claim 5). */
#define MAY_TAKE(a, i) (x == Up && PETS && (a) < L && (withholds[i] == 0 || NEWER_TO_X(top, i)) && ((a) < age || NEWER_TO_X(i, top)))

inline take(a, i) {
	if
	:: a < age -> age = a
	:: else
	fi;
	if
	:: NEWER_TO_X(i, top) -> top = i
	:: else
	fi
}

inline relay_has(i) {
	relay_age = 0;
	if
	:: NEWER(i, relay_top) -> relay_top = i
	:: else
	fi
}

/* X's question to the API, answered but still on its way; L: there is none. */
byte question = L;
byte answer;

#ifdef ROUNDS
/* X's question to the witnesses of an epoch: its age, who answered, the newest answer. */
byte round = L;
byte round_e;
byte answered;
byte answers;
byte round_top;

inline forget_round() {
	round = L; round_e = 0; answered = 0; answers = 0; round_top = 0
}
#endif

inline x_has_read(i) {
#if defined(HISTORIES) || (CHANGES && (X1 || X2))
	if
	:: NEWER(i, x_read) -> x_read = i
	:: else
	fi
#else
	skip
#endif
}

inline crash_x() {
	x = Down;
	age = 0; top = 0; x_read = 0;
	relay_age = L; relay_top = 0;
	question = L; answer = 0;
#ifdef ROUNDS
	forget_round()
#endif
}

/* Asking(w): X and its neighbour get a roll, of which w's statement is the newest one. */
proctype Asking(byte w) {
end:	do
#ifdef ROUNDS
	:: d_step {
			x == Up && round < L && SPEAKS(w, round_e) && !((answered >> w) & 1) ->
			answered = answered | (1 << w);
			answers++;
			if
			:: NEWER(memory[w], round_top) -> round_top = memory[w]
			:: else
			fi;
			SAY("witness %d|answers X: serial %d|§3.2", w, serial[memory[w]])
		}
#else
	:: d_step {
			MAY_TAKE(0, memory[w]) && QUORUM(w, 1, X_SPEAKS(1)) -> take(0, memory[w]);
			SAY("X|gets H statements of epoch 1, the newest of serial %d|A2", serial[memory[w]])
		}
#if E2
	:: d_step {
			MAY_TAKE(0, memory[w]) && QUORUM(w, 2, X_SPEAKS(2)) -> take(0, memory[w]);
			SAY("X|gets H statements of epoch 2, the newest of serial %d|A2", serial[memory[w]])
		}
#endif
#endif
#ifdef RELAYS
	:: d_step {
			x == Up && (relay_age || NEWER(memory[w], relay_top)) && QUORUM(w, 1, 0) -> relay_has(memory[w]);
			SAY("neighbour|gets H statements of epoch 1, the newest of serial %d|§3.2", serial[memory[w]])
		}
#if E2
	:: d_step {
			x == Up && (relay_age || NEWER(memory[w], relay_top)) && QUORUM(w, 2, 0) -> relay_has(memory[w]);
			SAY("neighbour|gets H statements of epoch 2, the newest of serial %d|§3.2", serial[memory[w]])
		}
#endif
#endif
	od
}

#ifdef BREAK_STAMP_AT_RECEIVE
#define QUESTION_AGE 0
#else
#define QUESTION_AGE question
#endif
#ifdef BREAK_RELAY_AGE
#define RELAY_AGE 0
#else
#define RELAY_AGE relay_age
#endif

proctype Victim() {
end:	do
	:: d_step {
			MAY_TAKE(0, last) -> take(0, last); x_has_read(last);
			SAY("X|reads the API: serial %d, not withheld|A2", serial[last])
		}
#ifdef BREAK_CACHED_READ
	:: d_step {
			last > 0 && MAY_TAKE(0, last - 1) -> take(0, last - 1);
			SAY("X|is answered from a cache: serial %d, not withheld|BROKEN §3.1", serial[last - 1])
		}
#endif
#ifdef SLOW
	:: d_step {
			x == Up && (question || answer != last) -> question = 0; answer = last;
			SAY("X|asks the API; the answer of serial %d is slow|§3.1", serial[last])
		}
	:: d_step {
			question < L && MAY_TAKE(QUESTION_AGE, answer) -> take(QUESTION_AGE, answer); x_has_read(answer);
			SAY("X|gets the API's answer of serial %d, asked for %d ticks ago|A2", serial[answer], question);
			question = L; answer = 0
		}
#endif
#ifdef ROUNDS
	:: d_step {
			x == Up && age < L -> forget_round(); round = 0; round_e = 1; answers = X_SPEAKS(1);
			SAY("X|asks the witnesses of epoch 1|§3.2")
		}
	:: d_step {
			answers >= H && MAY_TAKE(round, round_top) -> take(round, round_top);
			SAY("X|has H statements, the newest of serial %d|A2", serial[round_top]);
			forget_round()
		}
#endif
#ifdef RELAYS
	:: d_step {
			(relay_age || NEWER(last, relay_top)) && x == Up -> relay_has(last);
			SAY("neighbour|reads the API: serial %d|§3.1", serial[last])
		}
	:: d_step {
			relay_age < L && MAY_TAKE(RELAY_AGE, relay_top) -> take(RELAY_AGE, relay_top);
			SAY("X|is relayed serial %d, asked for %d ticks ago|§3.3", serial[relay_top], relay_age)
		}
#endif
#ifdef CRASHES
	:: d_step {
			x == Up -> crash_x();
			SAY("X|stops: a power cut, or a latch|A1")
		}
#endif
	od
}

/* older lets a saturate at limit. */
#define OLDER(a, limit) a = (a < limit -> a + 1 : limit)

/* let_time_pass is one tick of the clocks that count rolls, and of X's watchdog. */
inline let_time_pass() {
	SAY("tick");
	OLDER(relay_age, L);
	OLDER(question, L);
	if
	:: question == L -> answer = 0
	:: else
	fi;
#ifdef ROUNDS
	OLDER(round, L);
	if
	:: round == L -> forget_round()
	:: else
	fi;
#endif
	if
	:: x == Up ->
		OLDER(age, AGES);
		if
		:: age >= LIFE -> crash_x(); SAY("X|is reset by its watchdog|§5")
		:: else
		fi
	:: else
	fi
}

/* run_agents starts everybody but the controllers and the clock. */
inline run_agents() {
	byte w;
	for (w : 0 .. AGENTS - 1) {
		run Witness(w);
		run Asking(w)
	}
	run Victim();
	w = 0
}

package main

// A Verdict is what a search says of a property.
type Verdict string

// The verdicts: no reachable state breaks the property, or one does.
const (
	Safe     Verdict = "safe"
	Violated Verdict = "violated"
)

// The properties that the models assert.
const (
	p1      = "P1 (no write after the taint)"
	p2      = "P2 (no needless reset)"
	inTime  = "claim 8 (X is dead at its bound)"
	tainted = "liveness (a dead X is tainted in time)"
)

// A Case is a model with some of its switches, and what must come of it.
type Case struct {
	Name     string
	Model    string // the file without .pml
	Defines  []string
	Want     Verdict
	Property string // that the model asserts
	What     string // is in this case, or the rule that it breaks
	Claims   []int  // of PROTOCOL.md that the case checks
	Full     bool   // takes too long for make model
}

// switches are the case's macros as options of spin.
func (c Case) switches() []string {
	options := make([]string, len(c.Defines))
	for i, d := range c.Defines {
		options[i] = "-D" + d
	}
	return options
}

// Cases returns the whole table.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{fences(), witnesses(), controllers(), promises(), epochs(), histories(), gates(), pets(), large()} {
		all = append(all, part...)
	}
	return all
}

// fences are the roll call and one fence after another, by one controller.
func fences() []Case {
	safe := func(name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "fence", Defines: defines, Want: Safe, Property: p1, What: what, Claims: claims}
	}
	broken := func(name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "fence", Defines: defines, Want: Violated, Property: p1, What: what, Claims: claims}
	}
	return []Case{
		safe("fence-2", "2 witnesses that reboot, relays", []int{1, 2, 3, 4, 5, 6, 13}, "N=2", "REBOOTS", "RELAYS"),
		safe("fence-3", "3 witnesses that reboot", []int{1, 2, 3, 4, 5, 13}, "N=3", "REBOOTS"),
		safe("fence-3-x", "X is one of 3 witnesses, and may crash", []int{2, 4}, "N=3", "X1=1", "CRASHES", "REBOOTS"),
		safe("fence-3-relays", "3 witnesses, relays", []int{4, 6}, "N=3", "RELAYS"),
		safe("fence-4", "4 witnesses that reboot, one fence", []int{2, 3, 4}, "N=4", "FENCES=1", "REBOOTS"),
		safe("fence-2-slow", "slow replies of the API", []int{4}, "N=2", "SLOW"),
		safe("fence-2-rounds", "slow answers of witnesses, one by one", []int{2, 4}, "N=2", "ROUNDS", "REBOOTS"),
		safe("fence-3-rounds", "slow answers of 3 witnesses, one by one", []int{2, 4}, "N=3", "ROUNDS", "FENCES=1"),
		safe("fence-2-dead", "witnesses that are fenced themselves count as acknowledged", []int{3, 4}, "N=2", "DEAD"),
		safe("fence-2-late", "a write of the Roll comes late", []int{1}, "N=2", "LATE_WRITES"),

		broken("break-c", "C is one too small", []int{2, 4}, "N=3", "BREAK_C"),
		broken("break-w", "W is one tick too short", []int{8}, "N=3", "BREAK_W"),
		broken("break-ack-none", "no acknowledgements", []int{4}, "N=3", "BREAK_ACK_NONE"),
		broken("break-ack-any-fence", "an acknowledgement counts that says only that X is withheld, by whichever fence",
			[]int{4}, "N=3", "BREAK_ACK_ANY_FENCE"),
		broken("break-stamp-at-receive", "an API roll counts from its receipt", []int{4}, "N=2", "SLOW", "BREAK_STAMP_AT_RECEIVE"),
		broken("break-relay-age", "the age of a relay is ignored", []int{6}, "N=2", "RELAYS", "BREAK_RELAY_AGE"),
		broken("break-cached-read", "X's GET is not linearizable", []int{4}, "N=2", "BREAK_CACHED_READ"),
		broken("break-rejoin-guard", "no rejoin guard between NoExecute and the last look", []int{13}, "N=2", "BREAK_REJOIN_GUARD"),
		broken("break-boot-check", "step 7 does not look for a new boot ID", []int{13}, "N=2", "BREAK_BOOT_CHECK"),
		broken("break-cas-on-phase", "a write of the Roll is preconditioned on the entry's phase, not on the version",
			[]int{1}, "N=2", "LATE_WRITES", "BREAK_CAS_ON_PHASE"),

		safe("harmless-ack-serial", "acknowledgements by serial only", nil, "N=3", "BREAK_ACK_SERIAL_ONLY"),
	}
}

// witnesses are the rules of a witness's memory.
func witnesses() []Case {
	broken := func(name, what string, defines ...string) Case {
		return Case{Name: name, Model: "fence", Defines: defines, Want: Violated, Property: p1, What: what, Claims: []int{3}}
	}
	return []Case{
		broken("break-restart-empty", "a restarted witness answers with an empty Roll", "N=2", "BREAK_RESTART_EMPTY"),
		broken("break-restart-older", "a restarted witness answers from an older file", "N=2", "BREAK_RESTART_OLDER"),
		broken("break-restart-relayed", "a new boot states a roll that was relayed to it", "N=2", "REBOOTS", "RELAYS", "BREAK_RESTART_RELAYED"),
		broken("break-goes-back", "a reply that was overtaken replaces a newer memory", "N=2", "BREAK_GOES_BACK"),
		broken("break-witness-cache", "a new boot's GET is not linearizable", "N=2", "REBOOTS", "BREAK_WITNESS_CACHE"),
		broken("break-asked-before-status", "a new boot states what it asked for before its status was stored", "N=2", "DEAD", "BREAK_ASKED_BEFORE_STATUS"),
		broken("break-dead-unread", "a dead witness counts without a look for a later boot", "N=2", "DEAD", "BREAK_DEAD_UNREAD"),
	}
}

// controllers are leaders, new and stale, of which two act at once.
func controllers() []Case {
	of := func(want Verdict, name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "fence", Defines: append([]string{"CONTROLLERS=2", "N=2"}, defines...),
			Want: want, Property: p1, What: what, Claims: claims}
	}
	return []Case{
		of(Safe, "leaders-2", "two controllers act at once", []int{1, 9, 10, 13}),
		of(Violated, "break-taint-precondition", "the taint has no precondition: it comes late, or its reply was lost",
			[]int{9, 13}, "BREAK_TAINT_PRECONDITION"),
		of(Violated, "break-look-before", "the Roll is read again before c + W instead of after", []int{9}, "BREAK_LOOK_BEFORE"),
		of(Violated, "break-gap", "a controller that was paused goes on with its rejoin guard (C10)", []int{9}, "BREAK_GAP"),
		of(Violated, "break-c-across-fences", "c of one fence is used for the next", []int{10}, "BREAK_C_ACROSS_FENCES"),
		of(Violated, "break-c-of-other-clock", "a new leader takes over c, which another host's clock gave", []int{10}, "BREAK_C_OF_OTHER_CLOCK"),
		of(Safe, "harmless-entry-first", "a fence is dropped by removing its entry first, its quarantine after", nil, "BREAK_ENTRY_FIRST"),
		of(Safe, "harmless-c-of-same-fence", "a new leader takes over c of the same fence, on one ideal clock", nil, "BREAK_C_OF_SAME_FENCE"),
	}
}

// promises are changes of the promise.
func promises() []Case {
	of := func(want Verdict, name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "promise", Defines: defines, Want: want, Property: p1, What: what, Claims: claims}
	}
	return []Case{
		of(Safe, "promise", "unarming, a longer and a shorter T, arming again", []int{7, 8}, "N=1"),
		of(Violated, "break-nodeguard-before", "X's NodeGuard is read before Withheld is committed", []int{7}, "BREAK_NODEGUARD_BEFORE"),
		of(Violated, "break-adopt-no-roll", "a harder promise is used without the later roll", []int{7}, "BREAK_ADOPT_NO_ROLL"),
		of(Violated, "break-adopt-old-roll", "the later roll was sent before the acknowledgement", []int{7}, "BREAK_ADOPT_OLD_ROLL"),
		of(Violated, "break-adopt-witness-roll", "the later roll is one of witnesses", []int{7}, "BREAK_ADOPT_WITNESS_ROLL"),
		of(Violated, "break-adopt-expired", "a longer T is set by a ping without a valid roll", []int{7, 8}, "BREAK_ADOPT_EXPIRED"),
		of(Violated, "break-nodeguard-precondition", "a write of X's NodeGuard has no precondition: it may come after later ones",
			[]int{7}, "BREAK_NODEGUARD_PRECONDITION"),
		of(Violated, "break-reuse-ack", "an acknowledgement of the same promise, but an earlier offer, is used", []int{7}, "BREAK_REUSE_ACK"),
		of(Violated, "break-arm-publish-first", "arming is published before it is done", []int{7}, "BREAK_ARM_PUBLISH_FIRST"),
		of(Violated, "break-shorten-publish-first", "a shorter T is published before it is used", []int{7}, "BREAK_SHORTEN_PUBLISH_FIRST"),
		of(Safe, "harmless-c-before-nodeguard", "c is read before X's NodeGuard", nil, "BREAK_C_BEFORE_NODEGUARD"),
	}
}

// epochs are exchanges of the witnesses. Sets are bit masks.
func epochs() []Case {
	of := func(want Verdict, property, name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "epoch", Defines: defines, Want: want, Property: property, What: what, Claims: claims}
	}
	two := func(more ...string) []string { return append([]string{"N=2", "AGENTS=3", "E1=3", "E2=6"}, more...) }
	three := func(more ...string) []string { return append([]string{"N=3", "AGENTS=4", "E1=7", "E2=14"}, more...) }
	return []Case{
		of(Safe, p1, "epoch-2-disjoint", "2 witnesses for 2 others", []int{2, 4}, "N=2", "AGENTS=4", "E1=3", "E2=12"),
		of(Safe, p1, "epoch-2-overlap", "2 witnesses, one of which stays", []int{2, 4}, two()...),
		of(Safe, p1, "epoch-2-x-leaves", "X is a witness of the old epoch", []int{2, 4}, "N=2", "AGENTS=3", "X1=1", "E1=1", "E2=6"),
		of(Safe, p1, "epoch-2-x-joins", "X is a witness of the new epoch", []int{2, 4}, "N=2", "AGENTS=3", "X2=1", "E1=3", "E2=4"),
		of(Safe, p1, "epoch-3-overlap", "3 witnesses, two of which stay", []int{2, 4}, three()...),
		of(Safe, p1, "epoch-2-twice", "X is fenced twice meanwhile", []int{2, 4, 5}, two("FENCES=2")...),
		of(Safe, p1, "epoch-2-reboots", "witnesses reboot meanwhile", []int{2, 3, 4}, two("REBOOTS")...),
		of(Safe, p1, "epoch-2-relays", "a neighbour relays what it got from either epoch", []int{4, 6}, two("RELAYS")...),
		of(Safe, p2, "epoch-3-outage", "an API outage finds H statements of one epoch at any moment", nil, three("OUTAGE")...),
		of(Violated, p2, "break-retire-early", "e1 retires before e2's witnesses have acknowledged", nil, three("OUTAGE", "BREAK_RETIRE_EARLY")...),
		of(Violated, p1, "break-ack-active-only", "acknowledgements are asked for in active epochs only", []int{4}, two("BREAK_ACK_ACTIVE_ONLY")...),
		of(Violated, p1, "break-remove-unacked", "e1 goes without acknowledgements", []int{4}, three("BREAK_REMOVE_UNACKED")...),
		of(Violated, p1, "break-remove-c", "e1 goes after C-1 acknowledgements", []int{2, 4}, three("BREAK_REMOVE_C")...),
		of(Violated, p1, "break-retiring-speaks", "a retiring epoch is still spoken for", []int{4}, three("BREAK_RETIRING_SPEAKS")...),
		of(Violated, p1, "break-unlisted-speaks", "a witness speaks for an epoch that its own roll does not list", []int{4}, three("BREAK_UNLISTED_SPEAKS")...),
		of(Violated, p1, "break-epochs-before", "the list of epochs is read before Withheld is committed", []int{4}, two("BREAK_EPOCHS_BEFORE")...),
	}
}

// histories are Rolls that were lost and begun anew.
func histories() []Case {
	of := func(want Verdict, name, what string, defines ...string) Case {
		return Case{Name: name, Model: "history", Defines: append([]string{"N=3"}, defines...),
			Want: want, Property: p1, What: what, Claims: []int{12}}
	}
	return []Case{
		of(Safe, "history", "the Roll is begun anew under another ID while X is fenced"),
		of(Safe, "history-reboots", "the same with witnesses that reboot", "REBOOTS"),
		of(Violated, "break-old-history", "X still hears statements of the old history, and goes by their serials", "BREAK_OLD_HISTORY"),
		of(Safe, "harmless-history-unpublished", "X is fenced though it has not published under this history", "BREAK_HISTORY_UNPUBLISHED"),
	}
}

// gates are suspicions in an API that comes and goes.
func gates() []Case {
	of := func(want Verdict, property, name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: "gate", Defines: defines, Want: want, Property: property, What: what, Claims: claims}
	}
	return []Case{
		of(Safe, p2, "gate-2", "an outage at any moment, 2 witnesses; X may be suspected again at once", []int{11}, "N=2"),
		of(Safe, p2, "gate-3", "an outage at any moment, 3 witnesses", []int{11}, "N=3", "FENCES=1"),
		of(Safe, p2, "gate-2-slow-x", "X polls every third gate read, r is 6", []int{11}, "N=2", "P=3"),
		of(Safe, p2, "gate-2-outages", "two outages", []int{11}, "N=2", "OUTAGES=2"),
		of(Safe, p2, "gate-2-learns", "r is 3 where X learns of suspicions from witnesses, too", []int{11}, "N=2", "R=3", "LEARNS"),
		of(Safe, tainted, "gate-2-dies", "X dies at any moment; the controller crashes twice", []int{10}, "N=2", "DIES", "LEADERS=3", "OUTAGES=0"),
		of(Safe, tainted, "gate-3-dies", "the same with 3 witnesses", []int{10}, "N=3", "DIES", "LEADERS=2", "OUTAGES=0"),
		of(Violated, p2, "break-r", "r is P + 2", []int{11}, "N=2", "R=P+2"),
		of(Violated, p2, "break-r-learns", "r is 2 where X learns of suspicions from witnesses, too", []int{11}, "N=2", "R=2", "LEARNS"),
		of(Violated, p2, "break-gate-none", "no gate", []int{11}, "N=2", "BREAK_GATE_NONE"),
		of(Violated, p2, "break-gate-time", "a gate of time only", []int{11}, "N=2", "BREAK_GATE_TIME"),
		of(Violated, p2, "break-gate-one-read", "one fresh read, acknowledged by C witnesses, passes the gate", []int{11}, "N=2", "BREAK_GATE_ONE_READ"),
		of(Violated, p2, "break-streak-carried", "the streak of one suspicion counts for the next", []int{11}, "N=2", "BREAK_STREAK_CARRIED"),
		of(Violated, tainted, "break-refutes-unnamed", "a refutation does not name the fence", nil, "N=2", "DIES", "OUTAGES=0", "BREAK_REFUTES_UNNAMED"),
	}
}

// pets are the holder and the watchdog.
func pets() []Case {
	of := func(want Verdict, name, what string, defines ...string) Case {
		return Case{Name: name, Model: "pet", Defines: defines, Want: want, Property: inTime, What: what, Claims: []int{8}}
	}
	return []Case{
		of(Safe, "pet", "a holder that outlives its agent; pauses anywhere but behind a late ping"),
		of(Safe, "pet-close", "the device is closed uncleanly, u = 1", "U=1"),
		of(Safe, "pet-close-twice", "the device is closed uncleanly, u = 2", "U=2"),
		of(Violated, "break-second-check", "the holder does not read the clock again after a ping", "BREAK_SECOND_CHECK"),
		of(Violated, "break-ungated", "the bound has no term for pings that no roll gates", "U=1", "BREAK_UNGATED"),
		of(Violated, "assume-one-pause", "the holder is paused behind a late ping, too: an assumption that no rule replaces", "TWICE"),
	}
}

// large are the cases of make model-full.
func large() []Case {
	of := func(model, name, what string, claims []int, defines ...string) Case {
		return Case{Name: name, Model: model, Defines: defines, Want: Safe, Property: p1, What: what, Claims: claims, Full: true}
	}
	return []Case{
		of("fence", "full-fence-4", "4 witnesses", []int{2, 4, 5}, "N=4"),
		of("fence", "full-fence-3", "3 witnesses that reboot, relays, X may crash", []int{2, 3, 4, 5, 6},
			"N=3", "REBOOTS", "RELAYS", "CRASHES"),
		of("fence", "full-fence-2-long", "2 witnesses, all that may happen to rolls, L is 3 and the rest of W is 2",
			[]int{2, 3, 4, 5, 6}, "N=2", "L=3", "D=2", "REBOOTS", "RELAYS", "SLOW"),
		of("fence", "full-fence-5", "5 witnesses, one fence", []int{2, 4}, "N=5", "FENCES=1"),
		of("fence", "full-leaders-3", "two controllers, 3 witnesses", []int{1, 9, 10}, "N=3", "CONTROLLERS=2"),
		of("promise", "full-promise-2", "changes of the promise with 2 witnesses", []int{7, 8}, "N=2"),
		of("epoch", "full-epoch-3-disjoint", "3 witnesses for 3 others", []int{2, 4}, "N=3", "AGENTS=6", "E1=7", "E2=56"),
		of("epoch", "full-epoch-3-twice", "3 witnesses, X is fenced twice meanwhile", []int{2, 4, 5},
			"N=3", "AGENTS=4", "E1=7", "E2=14", "FENCES=2"),
		of("epoch", "full-epoch-4-overlap", "4 witnesses, two of which stay", []int{2, 4}, "N=4", "AGENTS=6", "E1=15", "E2=60"),
	}
}

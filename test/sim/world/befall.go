package world

// A spell is a fault of the network while it lasts.
type spell struct {
	*World
	ends []func()
}

// ail makes something ill until the spell ends.
func (s *spell) ail(x *illness) {
	x.begin(s.now)
	s.ends = append(s.ends, func() { x.end(s.now) })
}

// raise raises a level of trouble until the spell ends.
func (s *spell) raise(level *int) {
	*level++
	s.ends = append(s.ends, func() { *level-- })
}

// cut cuts one way.
func (s *spell) cut(from, to int) {
	if from == to {
		return
	}
	s.raise(&s.net.cut[from][to])
	switch api := s.api(); {
	case from == api:
		s.ail(&s.judge.api[to])
	case to == api:
		s.ail(&s.judge.api[from])
	default:
		s.ail(&s.judge.peer[from][to])
	}
}

// part cuts a machine off from the API and from all but one peer.
func (s *spell) part(i, peer int) {
	s.cut(i, s.api())
	s.cut(s.api(), i)
	for k := range s.machines {
		if k != peer {
			s.cut(i, k)
			s.cut(k, i)
		}
	}
}

// befall lets a fault befall the network.
func (w *World) befall(f Fault) {
	w.ail()
	s := &spell{World: w}
	n, j := &w.net, &w.judge
	switch f.Kind {
	case Isolate:
		s.part(f.Node, f.Node)
	case Island:
		s.part(f.Node, f.Peer)
		s.part(f.Peer, f.Node)
	case Tardy:
		s.raise(&n.tardy[f.Node])
		s.ail(&j.busy[f.Node])
	case Mute:
		s.raise(&n.mute[f.Node])
		s.ail(&j.busy[f.Node])
	case Silence:
		s.raise(&n.deaf[f.Node])
	case CutOut:
		s.cut(f.Node, w.api())
	case CutIn:
		s.cut(w.api(), f.Node)
	case CutPeer:
		s.cut(f.Node, f.Peer)
	case Blockade:
		for i := range w.machines {
			for k := range w.machines {
				s.cut(i, k)
			}
		}
	case APIDown, APIRefuse:
		s.raise(&n.down)
		s.ail(&j.whole)
		if f.Kind == APIRefuse {
			s.raise(&n.refusing)
		}
	case APIApart:
		s.raise(&n.apart)
		s.ail(&j.whole)
	case APISlow:
		s.raise(&n.slow)
		s.ail(&j.whole)
	case Lossy:
		s.raise(&n.lossy)
		s.ail(&j.whole)
		for i := range w.machines {
			for k := range w.machines {
				s.ail(&j.peer[i][k])
			}
		}
	case Twice:
		s.raise(&n.twice)
	default:
	}
	w.after(f.For, func() {
		if w.healed {
			return // that ended every spell
		}
		for _, end := range s.ends {
			end()
		}
	})
}

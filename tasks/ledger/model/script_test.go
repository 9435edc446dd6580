package model_test

// What the scripts do, one function for each.

// mark is lua/mark.lua.
func (p Protocol) mark(s State, v uint8) State {
	s.Marked[v-1] = true
	if v == s.Version || (v < s.Version && p.Fault != OldMarkWins) {
		return s
	}
	s.Touched = p.Timed && s.Version > 0 && s.Status != Succeeded && (s.Touched || s.Claim != Unclaimed)
	s.Version, s.Status = v, Waiting
	if p.Fault == MarkClearsClaim {
		s.Claim, s.Calls, s.Revoked = Unclaimed, NoOp, false
	}
	if s.Claim == Unclaimed || p.Fault == ClaimInFlight {
		s.Place = Line
	}
	return s
}

// endBlock is lua/ends.lua.
func (p Protocol) endBlock(s State) State {
	if s.Version == 0 || s.Marked[1] {
		return s
	}
	s.Marked[1] = true
	if s.Version != 1 && p.Fault != EndWins {
		return s
	}
	called := s.Status == Succeeded || s.Claim != Unclaimed || s.Touched && p.Fault != EndForgetsCalls
	s.Version, s.Status = 2, Waiting
	switch {
	case s.Claim != Unclaimed:
	case called:
		s.Place = Line
	default:
		s.Status, s.Place = Succeeded, Nowhere
	}
	return s
}

// sweep is the beginning of lua/claim.lua.
func (p Protocol) sweep(s State) State {
	if s.Place != Due {
		return s
	}
	s.Place = Nowhere
	if s.Status == Waiting || s.Status == InFlight {
		s.Touched = s.Touched || p.Timed && s.Claim != Unclaimed
		s.Status, s.Claim, s.Calls, s.Revoked = Waiting, Unclaimed, NoOp, false
		s.Place = Line
		if p.Fault == SweepLoses {
			s.Place = Nowhere
		}
	}
	return s
}

// claim is the rest of lua/claim.lua.
func (p Protocol) claim(s State, i int) State {
	s = p.sweep(s)
	if s.Place != Line || s.Status != Waiting {
		return s
	}
	if s.Claim != Unclaimed && p.Fault != ClaimInFlight {
		return s
	}
	if p.keepsBack(s) {
		s.Place = Later
		return s
	}
	s.Status, s.Claim, s.Revoked, s.Place = InFlight, uint8(i+1), false, Later
	s.Calls = p.op(s.Version)
	s.Workers[i] = Worker{Phase: Holding, Version: s.Version, Taken: s.Workers[i].Taken}
	return s
}

// keepsBack reports whether a claim lets the user, who waits in line, wait for the end of a call whose claim was taken over.
func (p Protocol) keepsBack(s State) bool {
	return s.Place == Line && s.Claim == Unclaimed && s.Taken != NoOp && s.Taken != p.op(s.Version) && p.Fault != TakenIsForgotten
}

// takeOver is lua/take_over.lua. The claim's worker may be dead or not.
func (p Protocol) takeOver(s State) State {
	if s.Claim == Unclaimed || s.Revoked || s.Place != Later || s.Taken != NoOp {
		return s
	}
	if s.Claim != Orphan {
		s.Workers[s.Claim-1].Taken = true
	}
	s.Taken, s.Touched = s.Calls, s.Touched || p.Timed
	s.Status, s.Claim, s.Calls, s.Place = Waiting, Unclaimed, NoOp, Line
	return s
}

// claimAgain is lua/claim.lua for a claim that was made already. It changes nothing but what its
// worker knows.
func (p Protocol) claimAgain(s State, i int) State {
	if s.holds(i) && s.Status == InFlight && s.Place == Later {
		s.Workers[i].Phase = Holding
		return s
	}
	return crash(s, i) // without its users, whose claim will not be settled
}

// holds reports whether worker i's claim still counts.
func (s State) holds(i int) bool { return int(s.Claim) == i+1 && !s.Revoked }

// renew is lua/renew.lua, and what the worker does about its answer.
func (p Protocol) renew(s State, i int) State {
	w := &s.Workers[i]
	switch {
	case !s.holds(i):
		s = leave(p.undone(s, i), i)
	case s.Version == w.Version:
		s.Place, s.Touched = Later, s.Touched || p.effect(*w)
		w.Phase = Holding
	default:
		s.Touched = s.Touched || p.effect(*w)
		*w = Worker{Phase: Idle}
		s.Claim, s.Calls, s.Place = Unclaimed, NoOp, Line
	}
	return s
}

// settle is lua/settle.lua.
func (p Protocol) settle(s State, i int, verdict Kind) State {
	if !s.holds(i) && p.Fault != SettleUnclaimed {
		return p.undone(s, i)
	}
	s.Claim, s.Calls, s.Revoked, s.Place = Unclaimed, NoOp, false, Nowhere
	if s.Version != s.Workers[i].Version && p.Fault != SettleOldVersion {
		s.Touched = s.Touched || p.effect(s.Workers[i])
		s.Place = Line
		if p.Fault == SettleLoses {
			s.Place = Nowhere
		}
		return s
	}
	switch verdict {
	case SettleOK:
		s.Status, s.Touched = Succeeded, false
	case SettleDead:
		s.Status, s.Touched = Dead, s.Touched || p.effect(s.Workers[i])
	case SettleNow:
		s.Status, s.Place, s.Touched = Waiting, Line, s.Touched || p.effect(s.Workers[i])
	case SettleLater:
		s.Status, s.Place, s.Touched = Waiting, Later, s.Touched || p.effect(s.Workers[i])
	default: // no verdict
	}
	return s
}

// undone does as lua/record.lua under a claim that was lost.
func (p Protocol) undone(s State, i int) State {
	w := s.Workers[i]
	if p.Fault == LateIsForgotten || w.Phase != Heard && w.Phase != Unsure {
		return s
	}
	if p.Blocks[s.Version-1] == p.Blocks[w.Version-1] {
		s.Touched = s.Touched || p.Timed && s.Status != Succeeded
		return s
	}
	switch {
	case s.Status == Succeeded && s.Claim == Unclaimed:
		s.Status, s.Place, s.Touched = Waiting, Line, p.Timed
	case s.Status == InFlight && p.Fault != LateBesideCall:
		s.Revoked = true
	}
	return s
}

// whenUnsure returns the verdicts on a call that was cut: it is repeated.
func (p Protocol) whenUnsure() []Kind {
	if p.Fault == UnsureIsSuccess {
		return []Kind{SettleOK}
	}
	return []Kind{SettleNow, SettleLater, SettleDead}
}

// effect reports whether a timed block's end must know that the worker's call may have been carried out.
func (p Protocol) effect(w Worker) bool {
	return p.Timed && (w.Phase == Heard || w.Phase == Unsure)
}

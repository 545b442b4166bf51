package node

import "millrace/internal/handover"

// expects tells whether a frame of the predecessor may come now: whether that is here which it
// needs. All else would be a fault of a program that this one does not know, and must not crash
// a process that has connections already.
func (s *successor) expects(kind handover.Kind) bool {
	switch kind {
	case handover.KindClock:
		return s.public == nil
	case handover.KindListener:
		return !s.loaded
	case handover.KindSettle:
		return s.loaded && s.backplane != nil
	case handover.KindSwitch:
		return s.loaded && s.order == nil
	case handover.KindOps:
		return s.ops != nil
	case handover.KindAdmin, handover.KindAdminRest:
		return s.admin != nil
	case handover.KindBye:
		return s.serving
	}
	return s.public != nil
}

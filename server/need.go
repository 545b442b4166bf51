package server

// need is the loop's last word to the broker on a channel: which messages its readers need
// (Inbox.Need).
// Only channels with readers that are behind have one.
type need struct {
	from     uint64 // the sequence, 0 for none
	awaited  bool   // publishers wait for that to change
	surveyed bool   // the channel is in loop.surveys
}

// setNeed keeps the last word to the broker on a channel.
func (l *loop) setNeed(ch *loopChannel, n need) {
	if n == (need{}) {
		l.needs.remove(ch)
		return
	}
	l.needs.set(ch, n)
}

// needLess has the loop tell the needs of a fast stream's channels anew, if publishers wait
// for that and it is one of the readers that they wait for.
func (l *loop) needLess(s *stream) {
	if s.channel != multiChannel {
		l.survey(l.channels[s.channel], s.cursor)
		return
	}
	for _, sub := range l.multi.m[s.id()] {
		l.survey(l.channels[sub.channel], s.cursor)
	}
}

// survey is needLess for one channel, of a stream with that cursor.
func (l *loop) survey(ch *loopChannel, cursor uint64) {
	if n := l.needs.m[ch]; n.awaited && cursor < n.from && !n.surveyed {
		n.surveyed = true
		l.setNeed(ch, n)
		l.surveys = append(l.surveys, ch)
		l.wakeAgain()
	}
}

// surveyNew has the loop tell the needs of a fast stream's channels, of which the broker does not
// know: the stream was taken over.
func (l *loop) surveyNew(s *stream) {
	tell := func(ch *loopChannel) {
		if n := l.needs.m[ch]; !n.surveyed {
			n.surveyed = true
			l.setNeed(ch, n)
			l.surveys = append(l.surveys, ch)
		}
	}
	if s.channel != multiChannel {
		tell(l.channels[s.channel])
		return
	}
	for _, sub := range l.multi.m[s.id()] {
		tell(l.channels[sub.channel])
	}
}

// addSurveys has the turn visit the subscribers of the channels whose needs have to be told.
func (l *loop) addSurveys() {
	l.asked = l.inbox.TakeAsked(l.asked)
	for _, channel := range l.asked {
		if i, ok := l.byChannel.m[channel]; ok {
			n := l.needs.m[l.channels[i]]
			n.awaited = true
			l.setNeed(l.channels[i], n)
			l.turn.groupFor(l.channels[i])
		}
	}
	for _, ch := range l.surveys {
		n := l.needs.m[ch]
		n.surveyed = false
		l.setNeed(ch, n)
		l.turn.groupFor(ch)
	}
	clear(l.surveys)
	l.surveys = l.surveys[:0]
}

// tellNeed tells the broker which messages the readers of a channel need, whose subscribers
// have all been visited, if these are others than before or a publisher waits for that.
func (l *loop) tellNeed(g *group) {
	if len(g.channel.subscribers) == 0 { // the last has left, which the broker knows
		return
	}
	n := l.needs.m[g.channel]
	if g.need == n.from && !n.awaited {
		return
	}
	n.from = g.need
	n.awaited = l.inbox.Need(g.channel.shared, g.need)
	l.setNeed(g.channel, n)
}

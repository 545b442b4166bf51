package link

import (
	"errors"
	"log/slog"
)

// ErrRefused is wrapped by errors of an engine that concern the channels asked for,
// one or more of them, and not the session.
var ErrRefused = errors.New("the engine refuses")

// Refuse tells why the engine has refused a batch of channels, all of it in one answer.
// [follow.Set.Next] returns the halves of it; a single channel's subscribers begin with a
// gap, and it is asked for again once a minute. So a refusal concerns that channel only.
func (l *Link) Refuse(why error, batch ...string) {
	l.halt("")
	if !l.Set.Refuse(batch...) || l.holds("") {
		return
	}
	l.Feed.Refused(batch[0])
	l.refused.Log(l.Log, slog.LevelWarn, l.engine+" refuses a channel: its subscribers are told of a gap, and it is asked for again in a minute",
		"channel", batch[0], "error", why)
}

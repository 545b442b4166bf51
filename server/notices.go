package server

import (
	"context"
	"log/slog"
	"time"
)

// noticeInterval is the time between two lines with one message, of those that
// clients can cause as often as they like.
const noticeInterval = time.Second

// mayNotice tells whether such a line may be logged, and takes it as done.
func (l *loop) mayNotice(msg string) bool {
	if l.now < l.nextNotice[msg] {
		return false
	}
	l.nextNotice[msg] = l.now + noticeInterval
	return true
}

// log logs a line for a loop, without looking for the caller's place in the source.
func (s *Server) log(level slog.Level, msg string, args ...any) {
	if !s.cfg.Logger.Enabled(context.Background(), level) {
		return
	}
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.Add(args...)
	s.cfg.Logger.Handler().Handle(context.Background(), r) // whose errors are the log's business
}

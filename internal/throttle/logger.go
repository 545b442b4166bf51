package throttle

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
)

// Logger returns a logger that treats each message as a Line. Messages must be
// constants: the logger remembers them all. Safe for concurrent use.
func Logger(to *slog.Logger) *slog.Logger {
	return slog.New(handler{to.Handler(), new(sync.Map)})
}

// ErrorLog returns what a net/http server logs to. Its lines become the error of one
// Line, msg: most of them are about what a client has done.
func ErrorLog(to *slog.Logger, msg string) *log.Logger {
	return log.New(&errorLines{to: to, msg: msg}, "", 0)
}

// handler is that of a Logger.
type handler struct {
	slog.Handler
	lines *sync.Map // a *Line by its message
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	line, _ := h.lines.LoadOrStore(r.Message, new(Line))
	unsaid, due := line.(*Line).take(r.Time)
	if !due {
		return nil
	}
	if unsaid > 0 {
		r = r.Clone()
		r.Add(leftOut, unsaid)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.lines}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.lines}
}

// errorLines logs each line that is written to it.
type errorLines struct {
	to   *slog.Logger
	msg  string
	line Line
}

func (l *errorLines) Write(line []byte) (int, error) {
	l.line.Log(l.to, slog.LevelWarn, l.msg, "error", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

package acme

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// certmagic's lock files log to a logger that it does not let one choose, and which writes to
// stderr, where nothing may but the log's queue. That logger is also the one that Default has:
// one object, whose content is replaced here.
func init() { *certmagic.Default.Logger = *zap.New(bridge{slog.Default}) }

// newLogger returns what certmagic logs to, so that log gets it.
func newLogger(log *slog.Logger) *zap.Logger {
	return zap.New(bridge{func() *slog.Logger { return log }})
}

// bridge hands what is logged by zap to slog.
type bridge struct{ log func() *slog.Logger }

// levelOf returns slog's level. certmagic's info is each step of an order, and its errors are
// what has led to one of which Manager.note tells.
func levelOf(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.WarnLevel:
		return slog.LevelWarn
	case level == zapcore.InfoLevel:
		return slog.LevelDebug
	}
	return slog.LevelDebug - 4
}

func (b bridge) Enabled(level zapcore.Level) bool {
	return b.log().Enabled(context.Background(), levelOf(level))
}

func (b bridge) With(fields []zapcore.Field) zapcore.Core {
	args := attrs(fields)
	return bridge{func() *slog.Logger { return slog.New(b.log().Handler().WithAttrs(args)) }}
}

func (b bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return ce.AddCore(e, b)
	}
	return ce
}

func (b bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b.log().LogAttrs(context.Background(), levelOf(e.Level), "ACME: "+e.Message, attrs(fields)...)
	return nil
}

func (b bridge) Sync() error { return nil }

// attrs returns what zap's fields say, in the order of their names.
func attrs(fields []zapcore.Field) (attrs []slog.Attr) {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		attrs = append(attrs, slog.Any(name, values.Fields[name]))
	}
	return attrs
}

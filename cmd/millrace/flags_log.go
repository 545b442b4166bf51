package main

import (
	"io"
	"log/slog"

	"millrace/internal/node"
)

// logFlags are about the log.
type logFlags struct {
	LogFormat      string     `default:"text" enum:"text,json" placeholder:"FORMAT" help:"Form of the log on stderr: text or json. [${default}]"`
	LogLevel       slog.Level `default:"info" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. [${default}]"`
	LogConnections bool       `help:"Log the beginning and the end of every stream. [off]"`
}

func (f *logFlags) set(o *node.Options) error {
	o.Public.LogConnections = f.LogConnections
	return nil
}

// handler returns the handler of --log-format and --log-level, which writes to w.
func (f *logFlags) handler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

func parseLevel(text string) (level slog.Level, err error) {
	return level, level.UnmarshalText([]byte(text))
}

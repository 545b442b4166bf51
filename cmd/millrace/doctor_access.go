package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"millrace/internal/doctor"
	"millrace/internal/node"
)

// examineAccess says who may listen, and reads the keys by which that is decided. ok tells
// that it could read all of them.
func (c *doctorCommand) examineAccess() (settings []doctor.Setting, ok bool, err error) {
	f := c.accessFlags
	if err := resolve([]secretSource{{flag: "ticket-key", value: &f.TicketKey, file: f.TicketKeyFile}}); err != nil {
		return nil, false, err
	}
	if err := f.resolveKeys(); err != nil {
		return nil, false, err
	}
	o := node.Options{Logger: slog.New(slog.DiscardHandler)}
	if err := f.set(&o); err != nil {
		return nil, false, err
	}
	tell := func(name, value, note string) {
		settings = append(settings, doctor.Setting{Name: "access: " + name, Value: value, Note: note})
	}
	who := "by grant"
	if o.Access.IsOpen() {
		who = "anybody"
	}
	tell("who", who, o.Access.String())
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	keys, err := o.ExamineAccess(ctx)
	if len(keys) > 0 {
		tell("keys of tokens", fmt.Sprint(len(keys)), strings.Join(keys, ", "))
	}
	if err != nil {
		tell("keys", "missing", err.Error())
	}
	return settings, err == nil, nil
}

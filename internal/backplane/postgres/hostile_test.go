package postgres

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"millrace/channels"
)

// hostile is a PostgreSQL server that says what a test wants. It answers each query with
// a line of its script: "R 20,20 1,- 3,4" is rows of columns with these types, "-" for
// null, "E 42501" an error, and anything else success. Lines before it, "N name payload" and
// "> hex", are a notification and bytes as they are. When there is nothing left it ends
// the connection.
func hostile(conn net.Conn, script []string) {
	defer conn.Close()
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	for {
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
		if _, err := b.Receive(); err != nil {
			return
		}
		var ok bool
		if script, ok = answer(b, conn, script); !ok {
			return
		}
	}
}

// answer sends an answer, and what stands before it, and returns the rest of the script.
func answer(b *pgproto3.Backend, conn net.Conn, script []string) (rest []string, ok bool) {
	for i, line := range script {
		f := strings.SplitN(line, " ", 3)
		switch kind := f[0]; {
		case kind == "N" && len(f) == 3:
			b.Send(&pgproto3.NotificationResponse{Channel: f[1], Payload: f[2]})
			continue
		case kind == ">" && len(f) > 1:
			raw, _ := hex.DecodeString(f[1])
			if b.Flush() != nil {
				return nil, false
			}
			if _, err := conn.Write(raw); err != nil {
				return nil, false
			}
			continue
		case kind == "R" && len(strings.Fields(line)) > 1:
			sendRows(b, strings.Fields(line)[1:])
		case kind == "E" && len(f) > 1:
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: f[1], Message: "x"})
		default:
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
		return script[i+1:], true
	}
	return nil, false
}

// sendRows sends rows: the first text has the types of columns.
func sendRows(b *pgproto3.Backend, texts []string) {
	var columns []pgproto3.FieldDescription
	for _, oid := range strings.Split(texts[0], ",") {
		n := map[string]uint32{"16": 16, "17": 17, "20": 20}[oid] // bool, bytea, int8
		columns = append(columns, pgproto3.FieldDescription{Name: []byte("c"), DataTypeOID: n, DataTypeSize: 8, TypeModifier: -1})
	}
	b.Send(&pgproto3.RowDescription{Fields: columns})
	for _, text := range texts[1:] {
		var values [][]byte
		for _, value := range strings.Split(text, ",") {
			if value == "-" {
				values = append(values, nil)
			} else {
				values = append(values, []byte(value))
			}
		}
		b.Send(&pgproto3.DataRow{Values: values})
	}
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

// FuzzHostile has a session hear whatever a database sends. It has to end, and the node to
// live.
func FuzzHostile(f *testing.F) {
	const ids, readings, rows = "R 20,20 1,9", "R 20,20,20,20,20,20 9,10,2,2,7660865432161832061,3", "R 20,17,17 2,\\x2f61,\\x787978"
	for _, script := range [][]string{
		{"C", "N /a x", "C"}, {"N /b x", "C", "E 22021", "E 22021"}, {"E 57P01"}, {"> 5a00000005", "C"}, {"> 41ffffffff"}, {"> 440000000affff"},
		{"> 417fffffff", "C"}, {"R 16 f", ids, readings, rows, readings}, {"R 16 f", ids, readings, "R 20,17,17 3,-,-"}, {"R 16 t", "C", ids, "R 20,20,20,20,20,20"},
		{"R 16 f", ids, "R 20,20,20,20,20,20 9,10,2,2,-,-"}, {"R 16 f", ids, "R 20,20,20,20,20,20 9,10,-5,-5,1,-1"},
		{"R 16 f", ids, "R 20,20,20,20,20,20 1,9223372036854775807,9223372036854775807,9223372036854775807,1,9223372036854775807", readings},
		{"R 16 f", ids, "R 20 1"}, {"R 20 x"}, {"R 16"}, {"R 16 f", "R 20,20 -,-"}, {"N /a m1:x", "N  ", "C", "N /a \xff", "C"},
	} {
		f.Add(strings.Join(script, "\n"))
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 4096 {
			t.Skip("more than enough")
		}
		for _, form := range []string{"", "&table=t"} {
			u, _ := url.Parse("postgres://x@127.0.0.1/x?sslmode=disable" + form)
			b, err := Open(u, Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			config := b.cfg.ConnConfig
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // one answer a query
			config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				time.AfterFunc(50*time.Millisecond, func() { theirs.Close() }) // should nothing be asked
				go hostile(theirs, strings.Split(script, "\n"))
				return ours, nil
			}
			broker := channels.NewBroker(channels.Options{Backplane: b})
			b.Feed = broker.Feed()
			broker.NewInbox(func() {}).Attach(nil, []byte("/a"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			begun := time.Now()
			err = b.session(ctx)
			late := ctx.Err() != nil
			cancel()
			if err == nil || late {
				t.Errorf("postgres%s: a session has ended after %v: %v, want soon, and an error", form, time.Since(begun), err)
			}
			b.Close()
		}
	})
}

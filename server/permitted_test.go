package server

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/dialect"
	"millrace/internal/testenv"
	"millrace/internal/turbo"
)

// signed returns a name as Rails signs it with "key", escaped for a query.
func signed(name string) string {
	message := base64.StdEncoding.EncodeToString(strconv.AppendQuote(nil, name))
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(message))
	return url.QueryEscape(message + "--" + hex.EncodeToString(mac.Sum(nil)))
}

// Ensure that signed names, and they only, open the channels that do not begin with
// /, and that a refusal says why.
func TestSignedNames(t *testing.T) {
	var log bytes.Buffer
	verifier := turbo.NewVerifier("key")
	cfg := Config{
		Logger:     slog.New(slog.NewTextHandler(&log, nil)),
		Aliases:    map[string]string{"/alias": "by alias"},
		Dialects:   []dialect.Dialect{dialect.Turbo{}},
		Authorizer: auth.Turbo{Verifier: func() *turbo.Verifier { return verifier }},
	}
	s, b := start(t, cfg, channels.Options{})
	const malformed = "forbidden: signed_stream_name: not of the form base64--hex"
	for _, tt := range []struct{ target, status, names string }{
		{"/turbo?signed_stream_name=" + signed("room"), "200", "room"},
		{"/turbo?signed_stream_name=" + signed("a") + "&channel=/c&signed_stream_name=" + signed("b") + "&signed_stream_name=" + signed("a"), "200", "a /c b"},
		{"/turbo?signed_stream_name=room", "403", malformed},
		{"/turbo?signed_stream_name=" + signed("a") + "&signed_stream_name=b", "403", malformed},
		{"/turbo?signed_stream_name=" + signed("a") + "&channel=b", "403", `forbidden: the channel "b" does not begin with /, so it takes a signed name: /turbo?signed_stream_name=`},
		{"/x?channel=room", "403", `forbidden: the channel "room" does not begin with /, so it takes a signed name: /turbo?signed_stream_name=`},
		{"/x?signed_stream_name=room&channel=/y", "200", "/x /y"},
		{"/alias", "200", "by alias"},
		{"/turbo", "400", "/turbo without the parameter signed_stream_name"},
		{"/turbo?signed_stream_name=" + signed(""), "400", "bad channel name: it is empty, want 1 to 255 bytes"},
		{"/turbo?signed_stream_name=%zz", "400", ""},
	} {
		c := dial(t, s)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", tt.target)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil || strings.Fields(line)[1] != tt.status {
			t.Errorf("GET %s: %q, %v, want %s", tt.target, line, err, tt.status)
			continue
		}
		if tt.status != "200" {
			body, _ := io.ReadAll(r)
			if !strings.HasSuffix(string(body), tt.names+"\n") {
				t.Errorf("GET %s: %q, want %q", tt.target, body, tt.names)
			}
			continue
		}
		want := sorted(strings.Split(tt.names, " "))
		if tt.names == "by alias" {
			want = []string{tt.names}
		}
		testenv.Eventually(t, tt.target, func() bool { return fmt.Sprint(b.Ports().Channels()) == fmt.Sprint(want) })
		c.Close()
		testenv.Eventually(t, "the end of "+tt.target, func() bool { return len(b.Ports().Channels()) == 0 })
	}
	s.Close()
	if n := s.Stats().RefusedBy[403]; n != 4 {
		t.Errorf("%d refused with 403, want 4", n)
	}
	if !strings.Contains(log.String(), `msg="a stream was refused" peer=127.0.0.1:`) ||
		!strings.Contains(log.String(), `reason="`+malformed+`"`) {
		t.Errorf("logged %s", log.String())
	}
}

// Ensure that without Turbo's dialect its path is a channel like any.
func TestTurboIsAChannel(t *testing.T) {
	s, b := start(t, Config{}, channels.Options{})
	subscribe(t, s, "/turbo?channel=room&signed_stream_name=x")
	if got := fmt.Sprint(b.Ports().Channels()); got != "[/turbo room]" {
		t.Errorf("channels %s, want /turbo and room", got)
	}
}

// Ensure that a channel which no stream can have is refused, alone and beside others.
func TestUnstreamedChannels(t *testing.T) {
	s, b := start(t, Config{}, channels.Options{Payload: func(channel string) channels.Payload {
		if strings.HasPrefix(channel, "/none") {
			return channels.Unstreamed
		}
		return channels.Binary
	}})
	const unstreamed = "no stream can have this channel: "
	for target, why := range map[string]string{
		"/none": unstreamed, "/%6eone/1": unstreamed, "/a?channel=/none": unstreamed,
		"/a?channel=" + channels.ShardPrefix + "x": "the channel \"__shard:x\" is kept for engines and frameworks\n",
	} {
		resp, err := http.Get("http://" + s.Addr().String() + target)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 403 || !strings.HasPrefix(string(body), "forbidden: "+why) {
			t.Errorf("%s: %s %q", target, resp.Status, body)
		}
	}
	if names := b.Ports().Channels(); len(names) != 0 {
		t.Errorf("the channels %q are there", names)
	}
}

package ops

import (
	"testing"

	"millrace/channels"
	"millrace/server"
)

// Ensure that the token is asked for wherever something is told of the node, and
// nowhere else.
func TestToken(t *testing.T) {
	n := start(t, Config{Token: "secret"}, channels.Options{}, server.Config{Loops: 1})
	n.ops.guard.guesses.Delay = 1
	n.subscribe("/a")
	for _, target := range []string{
		"/channels", "/channels//a", "/connections", "/metrics", "/debug/pprof/", "/debug/pprof/symbol",
	} {
		for _, authorization := range []string{
			"", "secret", "Bearer", "Bearer ", "Bearer wrong", "Bearer secret2", "Basic secret", "Bearer secret secret",
		} {
			n.want("GET", target, "", 401, "Authorization: Bearer TOKEN", "Authorization: "+authorization)
		}
		n.want("GET", target, "", 200, "", "Authorization: Bearer secret")
		n.want("GET", target, "", 200, "", "Authorization: bearer secret")
	}
	n.want("GET", "/debug/pprof/cmdline", "", 404, "", "Authorization: Bearer secret") // which may have keys
	n.want("POST", "/publish?channel=/a", "x", 401, "")
	n.want("POST", "/publish?channel=/a", "x", 200, "", "Authorization: Bearer secret")
	n.want("GET", "/healthz", "", 200, "ok")
	n.want("GET", "/metrics", "", 200, "", "Authorization: Bearer secret", "Host: ops.example.org")
}

// Ensure that pages of other sites cannot use a browser on this host to get at
// what has no token.
func TestForeignPages(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	for _, tt := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Host: localhost"}, 200},
		{[]string{"Host: LOCALHOST:8081"}, 200},
		{[]string{"Host: 127.0.0.2:8081"}, 200},
		{[]string{"Host: [::1]:8081"}, 200},
		{[]string{"Host: [::1]"}, 200},
		{[]string{"Host: evil.example:8081"}, 421},
		{[]string{"Host: 192.0.2.1"}, 421},
		{[]string{"Host: localhost.evil.example"}, 421},
		{[]string{"Sec-Fetch-Site: same-origin"}, 200},
		{[]string{"Sec-Fetch-Site: none"}, 200},
		{[]string{"Sec-Fetch-Site: cross-site"}, 403},
		{[]string{"Sec-Fetch-Site: same-site"}, 403}, // another port of the same host
		{[]string{"Origin: http://evil.example"}, 403},
		{[]string{"Host: localhost:8081", "Origin: http://localhost:8081"}, 200},
	} {
		n.want("POST", "/publish?channel=/a", "x", tt.status, "", tt.headers...)
		for _, target := range []string{"/metrics", "/channels", "/channels//a", "/debug/pprof/symbol", "/healthz"} {
			status := tt.status
			if status == 200 && target == "/channels//a" {
				status = 404 // nobody is there
			}
			n.want("GET", target, "", status, "", tt.headers...)
		}
	}
	for _, target := range []string{"/", "/dashboard/style.css"} { // a link leads there
		n.want("GET", target, "", 200, "", "Sec-Fetch-Site: cross-site")
	}
	n.want("GET", "/metrics", "", 421, "want localhost or a loopback address", "Host: evil.example")
}

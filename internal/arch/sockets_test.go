package arch

import (
	"go/ast"
	"testing"
)

// socketFiles know the descriptors of the server's clients, each for a reason. What is to
// stand between a stream and its socket has to be in socket.go alone.
var socketFiles = map[string]string{
	"server/socket.go": "reads, writes, shuts and closes them",
	"server/conn.go":   "has the field",
	"server/table.go":  "finds slots by them",
}

// socketCalls are how a program reads from a socket and writes to it.
var socketCalls = map[string]bool{"Read": true, "Write": true, "Writev": true, "Shutdown": true, "Send": true, "Sendto": true, "Sendmsg": true, "Recvfrom": true}

// Ensure that one file of the server reads from the sockets of clients and writes to them.
func TestSocketsInOneFile(t *testing.T) {
	for _, f := range parse(t) {
		if f.test || f.pkg() != "server" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name := selector.Sel.Name
			if name == "fd" && socketFiles[f.name] == "" {
				t.Errorf("%s: a client's descriptor, which only server/socket.go is to know", f.at(n))
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == "unix" && socketCalls[name] && f.name != "server/socket.go" {
				t.Errorf("%s: unix.%s, which only server/socket.go is to call", f.at(n), name)
			}
			return true
		})
	}
}

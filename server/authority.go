package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"millrace/httpparse"
)

// noCertificate stands for the number of a certificate where a connection has none: it is in
// the clear.
const noCertificate = -1

// misaddressed tells with which status a request is refused for the host that it is addressed
// to, and why; a status of 0 is none. r.Host is what the target or :authority says, else the
// Host header. certificate is the number of the one that the client has got for the name of
// its handshake, or noCertificate.
//
// A client may send requests for several hosts over one connection if one certificate names
// them all and they have one address (RFC 9113, 9.1.1). Where hosts have nodes of their own,
// told apart by the name of the handshake, such a request comes to the wrong one: 421 has
// clients ask again on a connection of its own (RFC 9110, 15.5.20).
//
// It depends on nothing else: HTTP/1.1 and HTTP/2 are judged alike.
func (cfg *Config) misaddressed(r *httpparse.Request, certificate int32) (status int, why string) {
	if host, ok := r.Get("Host"); ok && !sameAuthority(host, r.Host, certificate != noCertificate) {
		return http.StatusBadRequest, fmt.Sprintf("the target is of the host %.64q and the Host header says %.64q, want the same", r.Host, host)
	}
	if string(r.Path) == healthPath {
		return 0, "" // which balancers ask for by whatever name
	}
	if !hosts(cfg.Hosts).match(r.Host) {
		return http.StatusMisdirectedRequest, fmt.Sprintf("this server does not answer for the host %.64q", r.Host)
	}
	if certificate != noCertificate && cfg.CertificateOf != nil && len(r.Host) > 0 && cfg.CertificateOf(hostName(r.Host)) != certificate {
		return http.StatusMisdirectedRequest, fmt.Sprintf("the host %.64q has another certificate than this connection: ask on one of its own", r.Host)
	}
	return 0, ""
}

// hostName returns the name or address in a Host or :authority: in lower case, without the
// port, the brackets of an IPv6 address, and the dot that may end a name.
func hostName(authority []byte) string {
	name, _ := cutPort(authority)
	return strings.TrimSuffix(strings.Trim(string(bytes.ToLower(name)), "[]"), ".")
}

// cutPort takes the port off an authority.
func cutPort(authority []byte) (name, port []byte) {
	if i := bytes.LastIndexByte(authority, ':'); i >= 0 && !bytes.HasSuffix(authority, []byte("]")) {
		return authority[:i], authority[i+1:]
	}
	return authority, nil
}

// sameAuthority tells whether two authorities are the same for clients of a scheme, which may
// leave out its port (RFC 3986, 6.2.3).
func sameAuthority(a, b []byte, secure bool) bool {
	if bytes.Equal(a, b) {
		return true
	}
	port := func(authority []byte) string {
		_, port := cutPort(authority)
		switch {
		case len(port) > 0:
			return string(port)
		case secure:
			return "443"
		}
		return "80"
	}
	return hostName(a) == hostName(b) && port(a) == port(b)
}

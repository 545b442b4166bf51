package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
)

// haproxyConfig has as many threads as millrace has loops. Nothing is closed for silence: how
// often millrace pings is up to the scenario.
const haproxyConfig = `
global
	nbthread %d
defaults
	mode http
	option http-no-delay
	timeout connect 5s
	timeout client 24h
	timeout server 24h
	timeout http-request 1m
frontend public
	bind %s
	default_backend millrace
backend millrace
	server millrace %s
`

// nginxProxy is a server of nginx that passes events on as they come.
const nginxProxy = `
	upstream millrace { server %s; }
	server {
		listen %s
		location / {
			proxy_pass http://millrace;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			gzip on;
			gzip_types text/event-stream;
			gzip_proxied any;
			proxy_set_header Accept-Encoding "";
			proxy_read_timeout 24h;
			send_timeout 24h;
		}
	}
`

// StartProxied starts a millrace in the clear, and before it HAProxy or nginx, with TLS if
// there is a certificate. Processor time and memory are those of both.
func StartProxied(proxy string, o MillraceOptions, certificate *Certificate) (*Server, error) {
	program, err := exec.LookPath(proxy)
	if err != nil {
		return nil, fmt.Errorf("%w: %s (on Debian: apt-get install %s)", ErrNotInstalled, proxy, proxy)
	}
	millrace, err := StartMillrace(o, nil)
	if err != nil {
		return nil, err
	}
	var s *Server
	if proxy == NameNginx {
		s, err = startNginx(nil, func(addr string) string {
			return fmt.Sprintf(nginxProxy, millrace.Addr, nginxListen(addr, certificate))
		})
	} else {
		s, err = startHAProxy(program, millrace.Addr, certificate)
	}
	if err != nil {
		millrace.Close()
		return nil, err
	}
	endProxy := s.close
	s.Version = proxyVersion(program) + " before millrace " + millrace.Version
	s.Target, s.pings, s.pauses, s.publisher = millrace.Target, true, millrace.pauses, millrace.publisher
	s.pids = append(s.pids, millrace.pids...)
	s.close = func() { // the publisher is closed already
		endProxy()
		millrace.close()
	}
	return s, nil
}

func startHAProxy(program, millrace string, certificate *Certificate) (*Server, error) {
	return startConfigured(func(dir, addr string) (*exec.Cmd, error) {
		bind := addr + " backlog 4096"
		if certificate != nil {
			bind += " ssl crt " + certificate.Both + " alpn h2,http/1.1 ssl-min-ver TLSv1.3"
		}
		file := filepath.Join(dir, "haproxy.cfg")
		text := fmt.Sprintf(haproxyConfig, runtime.GOMAXPROCS(0), bind, millrace)
		return exec.Command(program, "-db", "-f", file), os.WriteFile(file, []byte(text), 0o600)
	})
}

// proxyVersion is what the program says that it is, empty if that is not understood.
func proxyVersion(program string) string {
	out, err := exec.Command(program, "-v").CombinedOutput()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`[0-9]+(\.[0-9]+)+`).FindString(string(out))
}

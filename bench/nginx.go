package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// nginxConfig is a configuration with as many workers as millrace has loops, and room for the
// streams.
const nginxConfig = `
%[1]sdaemon off;
pid %[2]s/pid;
error_log stderr error;
worker_processes %[3]d;
worker_rlimit_nofile %[4]d;
events { worker_connections %[4]d; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	keepalive_requests 1000000000;
	%[5]s
}
`

// nginxListen is what follows the word "listen" in a server of streams.
func nginxListen(addr string, certificate *Certificate) string {
	if certificate == nil {
		return addr + " reuseport backlog=4096;"
	}
	return fmt.Sprintf("%s reuseport backlog=4096 ssl http2;\n\t\tssl_certificate %s;\n\t\tssl_certificate_key %s;\n\t\tssl_protocols TLSv1.3;",
		addr, certificate.File, certificate.Key)
}

// startNginx starts an nginx with modules and servers; these are told the address that
// streams are at.
func startNginx(modules []string, servers func(addr string) string) (*Server, error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return nil, fmt.Errorf("%w: nginx (on Debian: apt-get install nginx)", ErrNotInstalled)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	var first strings.Builder
	for _, module := range modules {
		fmt.Fprintf(&first, "load_module %s;\n", module)
	}
	if os.Geteuid() == 0 { // in a namespace there may be no other user
		first.WriteString("user root;\n")
	}
	return startConfigured(func(dir, addr string) (*exec.Cmd, error) {
		file := filepath.Join(dir, "nginx.conf")
		text := fmt.Sprintf(nginxConfig, first.String(), dir, runtime.GOMAXPROCS(0), min(limit.Cur, 1<<20), servers(addr))
		return exec.Command(nginx, "-c", file, "-p", dir, "-e", "stderr"), os.WriteFile(file, []byte(text), 0o600)
	})
}

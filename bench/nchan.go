package bench

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoNchan says that there is no nginx with nchan on this host.
var ErrNoNchan = errors.New("nchan is not installed (on Debian: apt-get install nginx libnginx-mod-nchan)")

// nchanModule is where Debian puts it.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nchanConfig is a configuration with one channel, as nchan's documentation has
// it, with as many workers as millrace has loops and room for the streams.
const nchanConfig = `
load_module %[1]s;
%[6]sdaemon off;
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
	server {
		listen %[5]s reuseport backlog=4096;
		keepalive_requests 1000000000;
		location = /sub { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
		location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 128; }
	}
}
`

// StartNchan starts an nginx with nchan.
func StartNchan() (*Server, error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return nil, ErrNoNchan
	}
	if _, err := os.Stat(nchanModule); err != nil {
		return nil, ErrNoNchan
	}
	dir, err := os.MkdirTemp("", "nchan")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 { // in a namespace there may be no other user
		user = "user root;\n"
	}
	text := fmt.Sprintf(nchanConfig, nchanModule, dir, runtime.GOMAXPROCS(0), min(limit.Cur, 1<<20), addr, user)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(nginx, "-c", file, "-p", dir, "-e", "stderr")
	cmd.Stderr = os.Stderr
	ended, err := startOwned(cmd, func() {})
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "nchan", Version: nchanVersion(), Addr: addr, Target: "/sub", publisher: newPoster("http://" + addr + "/pub")}
	s.close = func() {
		cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		os.RemoveAll(dir)
	}
	if err := awaitHTTP("http://"+addr+"/pub", ended); err != nil {
		s.close()
		return nil, err
	}
	s.pids = family(cmd.Process.Pid)
	return s, nil
}

// nchanVersion is that of Debian's package.
func nchanVersion() string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// freeAddr returns a loopback address with a port that was free a moment ago.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// awaitHTTP returns when url is answered, with any status.
func awaitHTTP(url string, ended <-chan struct{}) error {
	deadline := time.Now().Add(startTimeout)
	for {
		answer, err := http.Get(url)
		if err == nil {
			return answer.Body.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("the server at %s has ended: %w", url, err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w after %v: %w", url, ErrTimeout, startTimeout, err)
		}
	}
}

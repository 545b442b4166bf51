package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// nchanModule is where Debian puts it.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nchanServer is a server with one channel, as nchan's documentation has it, that publishes
// on a port of its own.
const nchanServer = `
	server {
		listen %s
		listen %s;
		location = /sub { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
		location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 128; }
	}
`

// StartNchan starts an nginx with nchan, with TLS if there is a certificate.
func StartNchan(certificate *Certificate) (*Server, error) {
	if _, err := os.Stat(nchanModule); err != nil {
		return nil, fmt.Errorf("%w: nchan (on Debian: apt-get install nginx libnginx-mod-nchan)", ErrNotInstalled)
	}
	publish, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s, err := startNginx([]string{nchanModule}, func(addr string) string {
		return fmt.Sprintf(nchanServer, nginxListen(addr, certificate), publish)
	})
	if err != nil {
		return nil, err
	}
	s.Name, s.Version, s.Target = NameNchan, nchanVersion(), "/sub"
	s.publisher = newPoster("http://" + publish + "/pub")
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

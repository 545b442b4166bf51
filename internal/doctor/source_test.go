package doctor

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// files makes a file system of name and content.
func files(content map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range content {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

// locked is a file system that lets nobody read the files it names.
type locked struct {
	fs.FS
	names []string
}

func (l locked) Open(name string) (fs.File, error) {
	if slices.Contains(l.names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.FS.Open(name)
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		word string
		want int64
		err  error
	}{
		{"0", 0, nil},
		{"20000", 20000, nil},
		{"max", Unlimited, nil},
		{"unlimited", Unlimited, nil},
		{"9223372036854775807", math.MaxInt64, nil},
		{"18446744073709551615", Unlimited, nil},
		{"99999999999999999999999", Unlimited, nil},
		{"-1", Unknown, ErrFormat},
		{"", Unknown, ErrFormat},
		{"12k", Unknown, ErrFormat},
		{"Max", Unknown, ErrFormat},
	} {
		if got, err := parse(c.word); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("parse(%q) = %d, %v, want %d, %v", c.word, got, err, c.want, c.err)
		}
	}
}

func TestSysctl(t *testing.T) {
	const file = "proc/sys/net/ipv4/tcp_mem"
	for _, c := range []struct {
		name   string
		files  fs.FS
		want   []int64
		reason string // contained in why it could not be read
	}{
		{"numbers", files(map[string]string{file: "1\t2\t3\n"}), []int64{1, 2, 3}, ""},
		{"huge", files(map[string]string{file: "1 2 18446744073709551615"}), []int64{1, 2, Unlimited}, ""},
		{"too few", files(map[string]string{file: "1 2\n"}), []int64{Unknown, Unknown, Unknown}, "want 3 numbers"},
		{"too many", files(map[string]string{file: "1 2 3 4\n"}), []int64{Unknown, Unknown, Unknown}, "want 3 numbers"},
		{"empty", files(map[string]string{file: ""}), []int64{Unknown, Unknown, Unknown}, `""`},
		{"a word", files(map[string]string{file: "1 two 3"}), []int64{Unknown, Unknown, Unknown}, `"two"`},
		{"missing", files(nil), []int64{Unknown, Unknown, Unknown}, "not exist"},
		{"no permission", locked{files(map[string]string{file: "1 2 3"}), []string{file}}, []int64{Unknown, Unknown, Unknown}, "permission denied"},
		{"a directory", files(map[string]string{file + "/x": ""}), []int64{Unknown, Unknown, Unknown}, "invalid"},
	} {
		s := &source{files: c.files}
		if got := s.sysctl("net.ipv4.tcp_mem", 3); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
		switch {
		case c.reason == "" && len(s.unread) > 0:
			t.Errorf("%s: unread %v, want none", c.name, s.unread)
		case c.reason != "" && (len(s.unread) != 1 || !strings.Contains(s.unread[0].Reason, c.reason)):
			t.Errorf("%s: unread %v, want one with %q", c.name, s.unread, c.reason)
		}
	}
}

func TestDescriptors(t *testing.T) {
	const limits, status = "proc/self/limits", "proc/self/status"
	for _, c := range []struct {
		limits, capabilities string
		want                 Descriptors
		unread               int
	}{
		{"Max open files            1024                 524288               files     \n", "CapEff:\t0000000000000000\n", Descriptors{1024, 524288, false}, 0},
		{"Max files\nMax open files  20000  20000  files\nMax locks 1 1 locks\n", "CapEff:\t000001fffeffffff\n", Descriptors{20000, 20000, false}, 0},
		{"Max open files 5 unlimited files\n", "CapPrm:\t0\nCapEff:\t000001ffffffffff\n", Descriptors{5, Unlimited, true}, 0},
		{"Max open files 5 6 files\n", "CapEff:\t0000000001000000\n", Descriptors{5, 6, true}, 0},
		{"Max open files 5\n", "CapEff:\t0\n", Descriptors{Unknown, Unknown, false}, 1},
		{"Max open files\n", "CapEff:\t0\n", Descriptors{Unknown, Unknown, false}, 1},
		{"Max open files some more files\n", "CapEff:\t0\n", Descriptors{Unknown, Unknown, false}, 1},
		{"", "CapEff:\tall\n", Descriptors{Unknown, Unknown, false}, 2},
	} {
		s := &source{files: files(map[string]string{limits: c.limits, status: c.capabilities})}
		if got := s.descriptors(); got != c.want || len(s.unread) != c.unread {
			t.Errorf("limits %q, status %q: got %+v, unread %v, want %+v and %d unread", c.limits, c.capabilities, got, s.unread, c.want, c.unread)
		}
	}
}

func TestThreads(t *testing.T) {
	for _, c := range []struct {
		loadavg string
		want    int64
	}{
		{"3.38 3.03 2.73 6/156 32154\n", 156},
		{"0 0 0 1/2", 2},
		{"0 0 0 12 5", Unknown},
		{"0 0 0", Unknown},
		{"", Unknown},
	} {
		s := &source{files: files(map[string]string{"proc/loadavg": c.loadavg})}
		if got := s.threads(); got != c.want || (c.want == Unknown) != (len(s.unread) == 1) {
			t.Errorf("loadavg %q: %d, unread %v, want %d", c.loadavg, got, s.unread, c.want)
		}
	}
}

// Ensure that a file that is missing, or that we may not read, is named and not counted,
// and that the rest is.
func TestUnread(t *testing.T) {
	empty := Examine(Read(files(nil)), Plan{Target: 1})
	if empty.Holds != Unlimited || empty.First != "" || len(empty.Limits) != 0 || len(empty.Unread) < 10 {
		t.Errorf("nothing to read: %+v, want no limit and everything unread", empty)
	}
	if want := "no limit found on the streams that this host holds"; empty.Verdict() != want {
		t.Errorf("nothing to read: verdict %q, want %q", empty.Verdict(), want)
	}
	h := Read(locked{files(map[string]string{
		"proc/self/limits":     "Max open files 20000 20000 files\n",
		"proc/sys/fs/nr_open":  "1048576\n",
		"proc/sys/fs/file-max": "5\n",
	}), []string{"proc/sys/fs/file-max"}})
	r := Examine(h, Plan{})
	if r.Holds != 18750 || r.First != "descriptors" || len(r.Limits) != 2 {
		t.Errorf("got %d by %q of %d limits, want 18750 by descriptors of 2", r.Holds, r.First, len(r.Limits))
	}
	if !slices.Contains(r.Unread, Unread{"fs.file-max", "permission denied"}) {
		t.Errorf("unread: %v, want fs.file-max among them", r.Unread)
	}
}

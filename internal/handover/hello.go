package handover

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Setting is one that both processes must have alike, as text: `history`, `1000`.
type Setting struct{ Name, Value string }

// secret is what the digest of a secret begins with.
const secret = "secret "

// Secret returns a setting of which only a digest travels, and nothing is shown: of a password
// that somebody could think of, a digest is enough to try.
func Secret(name, value string) Setting {
	if value == "" {
		return Setting{name, ""}
	}
	sum := sha256.Sum256([]byte(name + "\x00" + value))
	return Setting{name, secret + hex.EncodeToString(sum[:8])}
}

// Settings are those that must agree. One that is empty is as good as one that is not there: so a
// program may have settings that an earlier one does not know, while they are not used.
type Settings []Setting

// Digest returns a hash of the settings, whatever their order.
func (s Settings) Digest() [sha256.Size]byte {
	sorted := slices.SortedFunc(slices.Values(s), func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	w := Writer{Version: Oldest}
	for _, setting := range sorted {
		w.String(setting.Name)
		w.String(setting.Value)
	}
	return sha256.Sum256(w.Bytes())
}

// Value returns the value of a setting, "" if there is none.
func (s Settings) Value(name string) string {
	i := slices.IndexFunc(s, func(setting Setting) bool { return setting.Name == name })
	if i < 0 {
		return ""
	}
	return s[i].Value
}

// Hello is the first frame each way. Its form is the same in all versions: what comes later
// is an optional extra.
type Hello struct {
	Oldest, Newest  uint16 // versions that the process knows
	Binary          string // version of the program
	Loops           uint32 // 0 of a successor that takes what the predecessor has
	DescriptorLimit uint64 // RLIMIT_NOFILE, the soft limit
	Memory          uint64 // bytes that the process may take; 0 if there is no limit
	Settings        Settings
}

// Append implements Record.
func (h *Hello) Append(w *Writer) {
	w.U16(h.Oldest)
	w.U16(h.Newest)
	w.String(h.Binary)
	w.U32(h.Loops)
	w.U64(h.DescriptorLimit)
	w.U64(h.Memory)
	digest := h.Settings.Digest()
	w.Raw(digest[:])
	appendList(w, h.Settings, func(s *Setting) {
		w.String(s.Name)
		w.String(s.Value)
	})
	w.EndExtras()
}

// Parse implements Record.
func (h *Hello) Parse(r *Reader) {
	h.Oldest, h.Newest = r.U16(), r.U16()
	h.Binary = r.String()
	h.Loops, h.DescriptorLimit, h.Memory = r.U32(), r.U64(), r.U64()
	digest := r.Raw(sha256.Size)
	h.Settings = parseList(r, 8, func(s *Setting) { *s = Setting{r.String(), r.String()} })
	r.NoExtras()
	if want := h.Settings.Digest(); r.Err() == nil && string(digest) != string(want[:]) {
		r.Fail(fmt.Errorf("settings with the digest %x, want %x", digest, want))
	}
}

// Agree returns the version that both processes know, or a *Refusal that names what differs.
// h is the predecessor's.
func (h *Hello) Agree(successor *Hello) (version int, err error) {
	var why []string
	newest := min(h.Newest, successor.Newest)
	if newest < max(h.Oldest, successor.Oldest) {
		why = append(why, fmt.Sprintf("the running process (%s) hands over by versions %d to %d, the new one (%s) takes over by %d to %d: restart instead",
			h.Binary, h.Oldest, h.Newest, successor.Binary, successor.Oldest, successor.Newest))
	}
	if successor.Loops != 0 && h.Loops != successor.Loops {
		why = append(why, fmt.Sprintf("event loops: %d in the running process, %d in the new one", h.Loops, successor.Loops))
	}
	if successor.DescriptorLimit < h.DescriptorLimit {
		why = append(why, fmt.Sprintf("descriptor limit: %d in the running process, %d in the new one, which has no room for all its sockets", h.DescriptorLimit, successor.DescriptorLimit))
	}
	if successor.Memory != 0 && (h.Memory == 0 || successor.Memory < h.Memory) {
		why = append(why, fmt.Sprintf("memory limit: %s in the running process, %d bytes in the new one", bytesOrNone(h.Memory), successor.Memory))
	}
	why = append(why, differences(h.Settings, successor.Settings)...)
	if len(why) > 0 {
		return 0, &Refusal{why}
	}
	return int(newest), nil
}

// bytesOrNone shows a limit of memory.
func bytesOrNone(limit uint64) string {
	if limit == 0 {
		return "none"
	}
	return fmt.Sprintf("%d bytes", limit)
}

// differences names the settings in which the two differ.
func differences(running, next Settings) (why []string) {
	for _, s := range slices.Concat(running, next) {
		a, b := running.shown(s.Name), next.shown(s.Name)
		line := fmt.Sprintf("%s: %s in the running process, %s in the new one", s.Name, a, b)
		if a == secretSet && b == secretSet {
			line = s.Name + ": not the same in the running process and in the new one"
		}
		if running.Value(s.Name) != next.Value(s.Name) && !slices.Contains(why, line) {
			why = append(why, line)
		}
	}
	return why
}

// secretSet is shown of a secret.
const secretSet = "set to a secret"

// shown returns what is said of a setting to people.
func (s Settings) shown(name string) string {
	value := s.Value(name)
	switch {
	case value == "":
		return "not set"
	case strings.HasPrefix(value, secret):
		return secretSet
	}
	return value
}

// Refusal says why there is no upgrade. It is an error, and a Record that is the same in all
// versions.
type Refusal struct{ Why []string }

func (r *Refusal) Error() string { return strings.Join(r.Why, "; ") }

// Append implements Record.
func (r *Refusal) Append(w *Writer) {
	w.Strings(r.Why)
}

// Parse implements Record.
func (r *Refusal) Parse(reader *Reader) {
	r.Why = reader.Strings()
}

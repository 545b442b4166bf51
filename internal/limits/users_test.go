package limits

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Ensure that users are counted as a map of counts would, as streams come and go.
func TestUsersModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 3
		u := NewUsers(most)
		counts := make(map[string]int)
		var refs []UserRef
		var names []string
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				name := fmt.Sprint(rapid.IntRange(0, 300).Draw(t, "user"))
				ref, ok := u.Join(name)
				if ok != (counts[name] < most) {
					t.Fatalf("user %s with %d streams may have one more: %v", name, counts[name], ok)
				}
				if ok {
					counts[name]++
					refs, names = append(refs, ref), append(names, name)
				}
			},
			"leave": func(t *rapid.T) {
				if len(refs) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(refs)-1).Draw(t, "stream")
				u.Leave(refs[i])
				if counts[names[i]]--; counts[names[i]] == 0 {
					delete(counts, names[i])
				}
				last := len(refs) - 1
				refs[i], names[i] = refs[last], names[last]
				refs, names = refs[:last], names[:last]
			},
			"": func(t *rapid.T) {
				for i, ref := range refs {
					found, streams := u.Find(names[i])
					if found != ref || streams != counts[names[i]] || u.Name(ref) != names[i] {
						t.Fatalf("user %s: ref %d, %d streams, want %d, %d", names[i], found, streams, ref, counts[names[i]])
					}
				}
				known := 0
				for i := range u.shards {
					known += len(u.shards[i].index)
				}
				if known != len(counts) {
					t.Fatalf("%d users are known, want %d", known, len(counts))
				}
			},
		})
	})
}

// Ensure that streams of a process before count, however many they are.
func TestUsersRestore(t *testing.T) {
	u := NewUsers(2)
	var refs []UserRef
	for range 3 {
		refs = append(refs, u.Restore("ann"))
	}
	if ref, n := u.Find("ann"); ref != refs[0] || n != 3 || refs[1] != ref || u.Name(ref) != "ann" {
		t.Errorf("the user has the refs %v and %d streams, want one ref and 3 streams", refs, n)
	}
	if _, ok := u.Join("ann"); ok {
		t.Error("a user with 3 streams may have one more, want at most 2")
	}
	for _, ref := range refs[:2] {
		u.Leave(ref)
	}
	if _, ok := u.Join("ann"); !ok {
		t.Error("a user with 1 stream may have no more, want 2")
	}
}

// Ensure that a user costs no more than 100 bytes beside the name, and a name no more than
// itself, also as part of a long text.
func TestMemoryOfUsers(t *testing.T) {
	const users = 50_000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	token := strings.Repeat("x", 1000)
	before := heap()
	u := NewUsers(0)
	for i := range users {
		u.Join(fmt.Sprintf("%08d%s", i, token)[:8])
	}
	each := float64(heap()-before)/users - 8
	t.Logf("%.1f bytes a user beside a name of 8", each)
	if each > 100 {
		t.Errorf("%.1f bytes a user beside the name, want at most 100", each)
	}
	for i := range users {
		ref, _ := u.Find(fmt.Sprintf("%08d", i))
		u.Leave(ref)
	}
	if left := heap() - before; left > 4*users {
		t.Errorf("%d bytes are left of %d users who have left", left, users)
	}
	runtime.KeepAlive(u)
}

package server

// fewLeft is how many entries a table may have for a loop to make it anew, since it does
// so at once: some 0.3 ms.
const fewLeft = 4096

// peaked is a map that gives memory back, which a map by itself does not: once it has
// shrunk to an eighth of its peak, and to fewLeft, it is made anew.
type peaked[K comparable, V any] struct {
	m    map[K]V
	peak int // the most entries since it was made
}

func newPeaked[K comparable, V any]() peaked[K, V] { return peaked[K, V]{m: make(map[K]V)} }

func (p *peaked[K, V]) set(key K, value V) {
	p.m[key] = value
	p.peak = max(p.peak, len(p.m))
}

func (p *peaked[K, V]) remove(key K) {
	delete(p.m, key)
	if n := len(p.m); n > fewLeft || p.peak < 64 || n > p.peak/8 {
		return
	}
	before := p.m
	p.m, p.peak = make(map[K]V, len(before)), len(before)
	for key, value := range before {
		p.m[key] = value
	}
}

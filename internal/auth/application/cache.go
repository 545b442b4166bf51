package application

import "time"

// maxKept is how many answers are kept, and maxKeptBytes how much memory their texts may
// take.
const (
	maxKept      = 1 << 16
	maxKeptBytes = 16 << 20
)

// slack is how far before the time of an answer a time may be at which it is kept.
const slack = time.Minute

// cache is the answers that are kept: those that were asked for of late, in two parts.
// When the young one is full it becomes the old one, and what was in that is forgotten;
// an answer that is asked for moves into the young part. The zero value is ready.
type cache struct {
	young, old map[key]kept
	bytes      int // of the young part's texts
	most       int // 0: maxKept
}

// kept is an answer with its end.
type kept struct {
	answer
	until time.Time
}

// get returns the answer that is kept for k.
func (c *cache) get(k key, now time.Time) (answer, bool) {
	found, ok := c.young[k]
	if !ok {
		if found, ok = c.old[k]; ok {
			delete(c.old, k)
			c.put(k, found.answer, found.until)
		}
	}
	if !ok {
		return answer{}, false
	}
	// A loop's now may be from before the answer came. One that is long before it tells that
	// the clock has been put back.
	if !now.Before(found.until) || found.issued.Sub(now) > slack {
		c.forget(k)
		return answer{}, false
	}
	return found.answer, true
}

// put keeps an answer.
func (c *cache) put(k key, a answer, until time.Time) {
	most := c.most
	if most == 0 {
		most = maxKept
	}
	if len(c.young) >= most/2 || c.bytes >= maxKeptBytes/2 {
		c.old, c.young, c.bytes = c.young, nil, 0
	}
	if c.young == nil {
		c.young = make(map[key]kept)
	}
	c.young[k] = kept{a, until}
	c.bytes += a.size()
}

// forget forgets an answer.
func (c *cache) forget(k key) {
	delete(c.young, k)
	delete(c.old, k)
}

// len returns how many answers are kept, those that are over included.
func (c *cache) len() int { return len(c.young) + len(c.old) }

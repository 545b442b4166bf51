package link

// Fact is something about an engine that `millrace doctor` tells people.
type Fact struct {
	Name, Value string
	Note        string // what it means for millrace
}

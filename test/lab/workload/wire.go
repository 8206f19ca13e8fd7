package workload

// A Writer is one run of the pod on one boot.
type Writer struct {
	Node string `json:"node"`
	Boot string `json:"boot"` // boot ID
	Pod  string `json:"pod"`  // UID
	Run  string `json:"run"`  // of the container: a random word
}

// A start is what a Writer reports first, on startPath.
type start struct {
	Writer
	Found  uint64 `json:"found"`  // records
	Torn   int    `json:"torn"`   // bytes cut off
	Damage string `json:"damage"` // why it will not write; empty if it does
}

// An ack says, on ackPath, that this Writer's records From to To are durable.
type ack struct {
	Writer
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Where the collector listens.
const (
	startPath = "/start"
	ackPath   = "/ack"
)

package daemon

// A mailbox holds the newest value of something desired: a reader that was busy
// finds only that.
type mailbox[T any] chan T

func newMailbox[T any]() mailbox[T] { return make(mailbox[T], 1) }

// put replaces what is in the mailbox. Only one goroutine may put.
func (m mailbox[T]) put(v T) {
	select {
	case <-m:
	default:
	}
	m <- v
}

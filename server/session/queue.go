package session

import "sync"

// queue hands items from one goroutine to another, in order, and holds at most a number of bytes. The consumer runs only
// while there is something to consume, so that an idle connection keeps one goroutine.
type queue[T any] struct {
	consume func(*queue[T]) // runs until next returns false
	limit   int             // bytes held before push waits

	mu      sync.Mutex
	room    sync.Cond
	items   []T
	sizes   []int
	held    int
	running bool
	closed  bool
	drained chan struct{} // closed when a closed queue's consumer has ended
}

func newQueue[T any](limit int, consume func(*queue[T])) *queue[T] {
	q := &queue[T]{consume: consume, limit: limit, drained: make(chan struct{})}
	q.room.L = &q.mu
	return q
}

// push adds an item of so many bytes, waiting for room. It returns false when the queue is closed.
func (q *queue[T]) push(item T, size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait(size)
	if q.closed {
		return false
	}
	q.items, q.sizes, q.held = append(q.items, item), append(q.sizes, size), q.held+size
	if !q.running {
		q.running = true
		go q.consume(q)
	}
	return true
}

// await returns when an item of so many bytes has room, or the queue is closed. Who waits before the item is made holds one buffer less.
func (q *queue[T]) await(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait(size)
}

// wait is await for who holds q.mu.
func (q *queue[T]) wait(size int) {
	for !q.closed && len(q.items) > 0 && (q.held+size > q.limit || len(q.items) >= maxUnanswered) {
		q.room.Wait()
	}
}

// next removes the oldest item. With none left it returns false; the consumer must then return, after it has looked
// once more with done.
func (q *queue[T]) next() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return item, false
	}
	item = q.items[0]
	var zero T
	q.items[0] = zero
	q.held -= q.sizes[0]
	q.items, q.sizes = q.items[1:], q.sizes[1:]
	if len(q.items) == 0 {
		q.items, q.sizes = nil, nil
	}
	q.room.Broadcast()
	return item, true
}

// done ends the consumer unless something came in meanwhile.
func (q *queue[T]) done() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 {
		return false
	}
	q.running = false
	if q.closed {
		close(q.drained)
	}
	return true
}

// close refuses further items; those held are still consumed. drained is closed when that is done.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	q.room.Broadcast()
	if !q.running {
		close(q.drained)
	}
}

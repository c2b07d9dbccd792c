package guard

import (
	"container/list"
	"iter"
)

// table holds values by key, and at most so many. One more takes the place of the least harmful among those that were not
// touched for longest, so that neither a flood of newcomers nor a patient enemy pushes the worst ones out.
type table[K comparable, V any] struct {
	most  int
	harm  func(*V) int
	items map[K]*list.Element // of *item[K, V]
	order *list.List          // longest untouched first
}

type item[K comparable, V any] struct {
	key   K
	value V
}

// choice is among how many the one to go is chosen.
const choice = 8

func newTable[K comparable, V any](most int, harm func(*V) int) *table[K, V] {
	return &table[K, V]{most: most, harm: harm, items: map[K]*list.Element{}, order: list.New()}
}

// get returns the value of a key, nil if there is none.
func (t *table[K, V]) get(k K) *V {
	e := t.items[k]
	if e == nil {
		return nil
	}
	return &e.Value.(*item[K, V]).value
}

// touch returns the value of a key, the zero one if there was none, as the youngest of all.
func (t *table[K, V]) touch(k K) *V {
	e := t.items[k]
	if e == nil {
		if len(t.items) >= t.most {
			t.evict()
		}
		e = t.order.PushBack(&item[K, V]{key: k})
		t.items[k] = e
	}
	t.order.MoveToBack(e)
	return &e.Value.(*item[K, V]).value
}

func (t *table[K, V]) evict() {
	least := t.order.Front()
	harm := t.harm(&least.Value.(*item[K, V]).value)
	e := least
	for range choice - 1 {
		if e = e.Next(); e == nil {
			break
		}
		if h := t.harm(&e.Value.(*item[K, V]).value); h < harm {
			least, harm = e, h
		}
	}
	t.remove(least.Value.(*item[K, V]).key)
}

func (t *table[K, V]) remove(k K) {
	if e := t.items[k]; e != nil {
		t.order.Remove(e)
		delete(t.items, k)
	}
}

// all yields everything, longest untouched first. What it yields may be removed meanwhile.
func (t *table[K, V]) all() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for e, next := t.order.Front(), (*list.Element)(nil); e != nil; e = next {
			next = e.Next()
			i := e.Value.(*item[K, V])
			if !yield(i.key, &i.value) {
				return
			}
		}
	}
}

package loops

import (
	"context"
	"time"

	"usersync/internal/queue"
	"usersync/internal/store"
)

func methods(ctx context.Context, s *store.Store, o *store.Org, q *queue.Client, ids []string) error {
	for _, id := range ids { // want `each turn of this loop asks the database or Redis, at line 13 with o.Drop: ask once for all`
		if err := o.Drop(ctx, id); err != nil {
			return err
		}
	}
	for range ids { // want `with s.Tx`
		_ = s.Tx(ctx, func(tx *store.Tx) error { return nil })
	}
	for range ids { // want `with q.Slots`
		_, _ = q.Slots()
	}
	for _, id := range ids {
		_ = s.Org(id) // asks nothing
		_ = q.Name()
		_ = q.Close()
	}
	return s.Tx(ctx, func(tx *store.Tx) error { return tx.Save(ctx, ids...) })
}

// Save is a function that takes a transaction.
func Save(ctx context.Context, tx *store.Tx, id string) error { return other(ctx, id, tx) }

func other(ctx context.Context, id string, tx *store.Tx) error { return nil }

func third(ctx context.Context, a, b string, tx *store.Tx) error { return nil }

func pure(tx *store.Tx) string { return "" }

func functions(ctx context.Context, tx *store.Tx, ids []string) {
	for _, id := range ids { // want `with Save`
		_ = Save(ctx, tx, id)
	}
	for _, id := range ids { // want `with other`
		_ = other(ctx, id, tx)
	}
	for _, id := range ids {
		_ = third(ctx, id, id, tx)
		_ = pure(tx)
	}
}

type worker struct{ org *store.Org }

func (w worker) one(ctx context.Context, id string) { w.two(ctx, id) }

func (w worker) two(ctx context.Context, id string) { _ = w.org.Drop(ctx, id) }

func throughThePackage(ctx context.Context, w worker, ids []string) {
	for _, id := range ids { // want `with w.one`
		w.one(ctx, id)
	}
	for _, id := range ids { // want `with w.one`
		go func() { w.one(ctx, id) }()
	}
}

func nested(ctx context.Context, o *store.Org, ids [][]string) {
	for _, some := range ids { // want `with o.Drop`
		for _, id := range some { //lint:loop two at most
			_ = o.Drop(ctx, id)
		}
	}
}

func ofTheHead(ctx context.Context, o *store.Org) {
	for o.Drop(ctx, "") == nil { // want `with o.Drop`
	}
	for err := o.Drop(ctx, ""); err == nil; { // once
		break
	}
	for err := error(nil); err == nil; err = o.Drop(ctx, "") { // want `with o.Drop`
	}
}

func leaving(ctx context.Context, o *store.Org, ids []string) error {
	for _, id := range ids {
		if id != "" {
			return o.Drop(ctx, id)
		}
	}
	for _, id := range ids { // want `with o.Drop`
		func() error { return o.Drop(ctx, id) }()
	}
	return nil
}

func events(ctx context.Context, o *store.Org, ids <-chan string) {
	for {
		select {
		case id := <-ids:
			_ = o.Drop(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

func allowed(ctx context.Context, o *store.Org) {
	for o.Drop(ctx, "") != nil { //lint:loop tries again while the database does not answer
		time.Sleep(time.Second)
	}
	//lint:loop tries again while the database does not answer
	for o.Drop(ctx, "") != nil {
		time.Sleep(time.Second)
	}
	for o.Drop(ctx, "") != nil { //lint:loop // want `needs a reason`
	}
	//lint:loop nothing is asked here // want `allows nothing here`
	for range 3 {
	}
}

// Package redis has the shape of the real one.
package redis

import "context"

type Cmdable interface {
	Pipeline() Pipeliner
	LLen(ctx context.Context, key string)
}

type UniversalClient interface{ Cmdable }

type Pipeliner interface {
	Cmdable
	Exec(ctx context.Context)
}

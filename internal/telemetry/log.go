package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes one JSON object per line to w, times in UTC,
// and adds the attributes that With put into the context. Structs are written in
// their printed form, so that secrets and e-mail addresses inside them stay hidden.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: safe}
	return slog.New(handler{slog.NewJSONHandler(w, options)})
}

// safe returns a in the form in which it is logged. Values that are made for a
// caller's JSON show e-mail addresses in JSON, but not when they are printed.
func safe(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case slog.KindAny:
		a.Value = safeAny(a.Value)
	}
	return a
}

func safeAny(v slog.Value) slog.Value {
	switch v.Any().(type) {
	case slog.Level, error, []string, nil:
		return v
	default:
		return slog.StringValue(fmt.Sprintf("%+v", v.Any()))
	}
}

type attrsKey struct{}

// With returns a context whose log lines carry attrs. An attribute replaces an
// earlier one of the same key.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	earlier := attrsOf(ctx)
	all := make([]slog.Attr, len(earlier), len(earlier)+len(attrs))
	copy(all, earlier)
	return context.WithValue(ctx, attrsKey{}, merge(all, attrs))
}

func attrsOf(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

// merge adds more to attrs and returns the result. It replaces equal keys, because a
// JSON object should have each key once.
func merge(attrs, more []slog.Attr) []slog.Attr {
	for _, a := range more {
		attrs = put(attrs, a)
	}
	return attrs
}

func put(attrs []slog.Attr, a slog.Attr) []slog.Attr {
	for i := range attrs {
		if attrs[i].Key == a.Key {
			attrs[i] = a
			return attrs
		}
	}
	return append(attrs, a)
}

// handler adds the attributes of the context to every record.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := attrsOf(ctx); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

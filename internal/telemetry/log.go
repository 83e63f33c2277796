package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes one JSON object per line to w, times in UTC,
// and adds the attributes that With put into the context. Structs are written in
// their printed form, so that secrets and e-mail addresses inside them stay hidden.
// When w is an Output, warnings and errors are written at once.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	output, _ := w.(*Output)
	return slog.New(handler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}), output})
}

// NewTextLogger is NewLogger for people: lines of key=value, written at once.
func NewTextLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(handler{slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}), nil})
}

// plain reports whether a is logged as it is: text, a number, a truth, a duration.
func plain(a slog.Attr) bool {
	switch a.Value.Kind() {
	case slog.KindString, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool, slog.KindDuration:
		return true
	}
	return false
}

// safe returns a in the form in which it is logged. Values that are made for a
// caller's JSON show e-mail addresses in JSON, but not when they are printed.
func safe(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case slog.KindGroup:
		a.Value = slog.GroupValue(allSafe(a.Value.Group())...)
	case slog.KindAny:
		a.Value = safeAny(a.Value)
	}
	return a
}

func allSafe(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = safe(a)
	}
	return out
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

// handler adds the attributes of the context to every record, and writes all
// attributes in their safe form.
type handler struct {
	slog.Handler
	output *Output // nil when lines do not wait
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	if !allPlain(r) {
		r = safeRecord(r)
	}
	if attrs := attrsOf(ctx); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(allSafe(attrs)...)
	}
	err := h.Handler.Handle(ctx, r)
	if h.output == nil || r.Level < slog.LevelWarn {
		return err
	}
	return errors.Join(err, h.output.Flush())
}

func allPlain(r slog.Record) bool {
	all := true
	r.Attrs(func(a slog.Attr) bool {
		all = plain(a)
		return all
	})
	return all
}

func safeRecord(r slog.Record) slog.Record {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(safe(a))
		return true
	})
	return out
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(allSafe(attrs)), h.output}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.output}
}

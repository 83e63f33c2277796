package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
)

// Trace is the place of one operation in a distributed trace, as the header
// traceparent carries it (W3C Trace Context, version 00).
type Trace struct {
	// TraceID names the whole trace. It is never all zero.
	TraceID [16]byte
	// SpanID names the operation within it. It is never all zero.
	SpanID [8]byte
	// Sampled says that the caller may have recorded the trace.
	Sampled bool
}

// traceparentSize is the length of a version 00 header, which has 2 + 32 + 16 + 2 hex
// digits and three dashes.
const traceparentSize = 55

// sampledFlag is the only bit of the flags that version 00 gives a meaning.
const sampledFlag = 1

// ParseTraceparent reads a traceparent header. It reports false for a header that the
// W3C rules say to ignore: one with upper case letters, zero ids or version ff, and a
// version 00 header of another length. It reads only the first four fields of a
// higher version.
func ParseTraceparent(header string) (Trace, bool) {
	if len(header) < traceparentSize || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Trace{}, false
	}
	var version, flags [1]byte
	var t Trace
	ok := readHex(version[:], header[:2]) && readHex(t.TraceID[:], header[3:35]) &&
		readHex(t.SpanID[:], header[36:52]) && readHex(flags[:], header[53:55])
	if !ok || !mayFollow(version[0], header[traceparentSize:]) || t.TraceID == [16]byte{} || t.SpanID == [8]byte{} {
		return Trace{}, false
	}
	t.Sampled = flags[0]&sampledFlag != 0
	return t, true
}

// mayFollow reports whether rest may stand behind the four fields. Nothing may follow
// in version 00. Further fields may follow behind a dash in a later version.
func mayFollow(version byte, rest string) bool {
	switch version {
	case 0xff:
		return false
	case 0:
		return rest == ""
	default:
		return rest == "" || rest[0] == '-'
	}
}

func readHex(to []byte, text string) bool {
	if strings.ContainsAny(text, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(to, []byte(text))
	return err == nil
}

// NewTrace returns the beginning of a trace with random ids.
func NewTrace() Trace {
	t := Trace{Sampled: true}
	for t.TraceID == [16]byte{} {
		_, _ = rand.Read(t.TraceID[:]) // crypto/rand.Read never fails
	}
	return t.Child()
}

// Child returns an operation of the same trace with a new span id.
func (t Trace) Child() Trace {
	t.SpanID = [8]byte{}
	for t.SpanID == [8]byte{} {
		_, _ = rand.Read(t.SpanID[:])
	}
	return t
}

// String returns t as a traceparent header of version 00; "" for the zero Trace.
func (t Trace) String() string {
	if t == (Trace{}) {
		return ""
	}
	text := append(make([]byte, 0, traceparentSize), "00-"...)
	text = append(hex.AppendEncode(text, t.TraceID[:]), '-')
	text = append(hex.AppendEncode(text, t.SpanID[:]), "-00"...)
	if t.Sampled {
		text[len(text)-1] = '1'
	}
	return string(text)
}

type traceKey struct{}

// WithTrace returns a context that carries t and whose log lines name it.
func WithTrace(ctx context.Context, t Trace) context.Context {
	ctx = context.WithValue(ctx, traceKey{}, t)
	var text [2 * (16 + 8)]byte
	hex.Encode(text[:], t.TraceID[:])
	hex.Encode(text[32:], t.SpanID[:])
	ids := string(text[:])
	return With(ctx, slog.String("trace_id", ids[:32]), slog.String("span_id", ids[32:]))
}

// TraceFrom returns the trace that ctx carries, if any.
func TraceFrom(ctx context.Context) (Trace, bool) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	return t, ok
}

package hostile

import (
	"bytes"
	"io"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2s are the answers in HTTP/2.
func http2s() []Server {
	list := http2Servers()
	for i := range list {
		list[i].over = overH2
	}
	return list
}

// http2Servers are the same before it is said how they are reached.
func http2Servers() []Server {
	answer := headers(":status", "200")
	hints := headers(":status", "103", "link", "</x>")
	return []Server{
		{Name: "HTTP/2 that says nothing", serve: (*conn).keep},
		{Name: "HTTP/2 without a window for the body", serve: framed(func(c *conn, f *http2.Framer, _ uint32) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.keep()
		})},
		{Name: "HTTP/2 with 103 in a flood", serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			c.repeat(func() error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: hints, EndHeaders: true})
			})
		})},
		{Name: "HTTP/2 with 101", serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headers(":status", "101"), EndHeaders: true})
			c.keep()
		})},
		{Name: "HTTP/2 with headers without end", serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answer})
			more := headers("x-many", "x")
			c.repeat(func() error { return f.WriteContinuation(stream, false, more) })
		})},
		{Name: "HTTP/2 with a body that does not come", Answered: true, serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answer, EndHeaders: true})
			c.keep()
		})},
		{Name: "HTTP/2 with a body of nothing without end", Answered: true, serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answer, EndHeaders: true})
			c.repeat(func() error { return f.WriteData(stream, false, nil) })
		})},
		{Name: "HTTP/2 with pings in a flood", serve: framed(func(c *conn, f *http2.Framer, _ uint32) {
			c.repeat(func() error { return f.WritePing(false, [8]byte{}) })
		})},
		{Name: "HTTP/2 with settings in a flood", serve: framed(func(c *conn, f *http2.Framer, _ uint32) {
			c.repeat(func() error { return f.WriteSettings() })
		})},
		{Name: "HTTP/2 that floods and reads nothing", Answered: true, serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answer, EndHeaders: true})
			_ = f.WriteData(stream, false, make([]byte, 1<<14))
			for f.WritePing(false, [8]byte{}) == nil { // until neither side can write
				select {
				case <-c.asked:
					c.keep()
					return
				default:
				}
			}
		})},
		{Name: "HTTP/2 that goes away and stays", serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			c.keep()
		})},
		{Name: "HTTP/2 that refuses every stream", serve: framed(func(c *conn, f *http2.Framer, stream uint32) {
			_ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			c.refuse(f)
		})},
	}
}

// framed does the beginning of HTTP/2 and reads until the headers of a call.
func framed(then func(c *conn, f *http2.Framer, stream uint32)) func(*conn) {
	return func(c *conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		if f.WriteSettings() != nil {
			return
		}
		if stream, ok := nextStream(f); ok {
			then(c, f, stream)
		}
	}
}

// nextStream reads until the headers of a call, and acknowledges settings.
func nextStream(f *http2.Framer) (stream uint32, ok bool) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0, false
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			return frame.StreamID, true
		case *http2.SettingsFrame:
			if !frame.IsAck() && f.WriteSettingsAck() != nil {
				return 0, false
			}
		}
	}
}

// refuse refuses all further calls on the connection.
func (c *conn) refuse(f *http2.Framer) {
	for {
		stream, ok := nextStream(f)
		if !ok || f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) != nil {
			return
		}
	}
}

// repeat writes a frame again and again until the client has gone.
func (c *conn) repeat(write func() error) {
	go c.keep() // ends with the connection
	for write() == nil {
	}
}

// headers encodes pairs of names and values.
func headers(pairs ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for pair := range slices.Chunk(pairs, 2) {
		_ = encoder.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]}) // a buffer takes everything
	}
	return block.Bytes()
}

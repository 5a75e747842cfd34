package socket

// An outbox is bytes that wait, buf[from:to], in a buffer that is held only while
// there are any.
type outbox struct {
	buf      *buffer
	from, to int
}

func (o *outbox) bytes() []byte {
	if o.buf == nil {
		return nil
	}
	return o.buf[o.from:o.to]
}

// add reports whether there was room for b.
func (o *outbox) add(b []byte) bool {
	if len(b) > bufferSize-o.to {
		return false
	}
	if o.buf == nil {
		o.buf = buffers.get()
	}
	o.to += copy(o.buf[o.to:], b)
	return true
}

// took forgets the first n bytes.
func (o *outbox) took(n int) {
	if o.from += n; o.from == o.to && o.buf != nil {
		buffers.put(o.buf)
		*o = outbox{}
	}
}

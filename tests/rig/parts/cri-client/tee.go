package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// How long the runtime may take to close its end of the connection.
const closing = 30 * time.Second

// tee keeps what passes over the one connection that it dials.
type tee struct {
	lock                 sync.Mutex
	toRuntime, toKubelet []byte
	ended                chan struct{}
}

func (t *tee) dial(ctx context.Context, socket string) (net.Conn, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.ended != nil {
		return nil, errors.New("the connection broke; another one would be compared with the first")
	}
	inner, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	t.ended = make(chan struct{})
	return &copied{inner.(*net.UnixConn), t, &sync.Once{}}, nil
}

func (t *tee) lengths() (int, int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	return len(t.toRuntime), len(t.toKubelet)
}

// bytes are complete once the runtime has closed its end.
func (t *tee) bytes() ([]byte, []byte, error) {
	select {
	case <-t.ended:
		t.lock.Lock()
		defer t.lock.Unlock()
		return t.toRuntime, t.toKubelet, nil
	case <-time.After(closing):
		return nil, nil, errors.New("the runtime does not close the connection")
	}
}

type copied struct {
	*net.UnixConn
	tee *tee
	end *sync.Once
}

func (c *copied) Write(bytes []byte) (int, error) {
	n, err := c.UnixConn.Write(bytes)
	c.tee.lock.Lock()
	defer c.tee.lock.Unlock()
	c.tee.toRuntime = append(c.tee.toRuntime, bytes[:n]...)
	return n, err
}

func (c *copied) Read(bytes []byte) (int, error) {
	n, err := c.UnixConn.Read(bytes)
	c.tee.lock.Lock()
	defer c.tee.lock.Unlock()
	c.tee.toKubelet = append(c.tee.toKubelet, bytes[:n]...)
	if err != nil {
		c.end.Do(func() { close(c.tee.ended) })
	}
	return n, err
}

// Close only says that nothing more will be asked: what the runtime still says belongs to the
// comparison. gRPC reads until the runtime has closed its end.
func (c *copied) Close() error {
	return c.CloseWrite()
}

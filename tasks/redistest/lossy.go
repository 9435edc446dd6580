package redistest

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
)

// Lossy breaks connections where replies to commands that name a key were due: the command ran,
// and its client can't know. Unlike with Hook, the client tries again by itself.
type Lossy struct {
	// Key is the text that the commands contain.
	Key string
	// Lose is the number of replies that still get lost.
	Lose atomic.Int32
}

// Dial is the Dialer of a client whose replies get lost.
func (l *Lossy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &lossyConn{Conn: c, lossy: l}, err
}

type lossyConn struct {
	net.Conn
	lossy *Lossy
	due   atomic.Bool // the last command names the key
}

func (c *lossyConn) Write(b []byte) (int, error) {
	c.due.Store(bytes.Contains(b, []byte(c.lossy.Key)))
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.due.Load() && c.lossy.Lose.Load() > 0 {
		c.lossy.Lose.Add(-1)
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

package session

// readBody reads a body as fast as the account may send. The answers to what came before leave meanwhile, and the client is
// told that the server lives.
func (c *conn) readBody(b []byte) error {
	up := &c.home.up
	if !up.Limited() {
		return c.wire.ReadBody(b)
	}
	c.mu.Lock()
	c.expect()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.owed--
		c.mu.Unlock()
	}()
	for len(b) > 0 {
		n := up.Part(len(b))
		c.pacing(true)
		err := up.Wait(c.ctx, n)
		c.pacing(false)
		if err != nil {
			return err
		}
		if err := c.wire.ReadBody(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *conn) pacing(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paced = on
}

// write writes an answer as fast as the account may receive. When the connection is coming to its end that is not waited for.
func (c *conn) write(a answer) error {
	down := &c.home.down
	if !down.Limited() || len(a.body) == 0 {
		return c.wire.Write(a.header, a.body)
	}
	err := c.wire.Write(a.header, nil)
	for b := a.body; len(b) > 0 && err == nil; {
		n := down.Part(len(b))
		down.Wait(c.ctx, n)
		if err = c.wire.WriteBody(b[:n]); err == nil {
			err = c.wire.Flush()
		}
		b = b[n:]
	}
	return err
}

// Package bare is what Go moves with nothing around it: copy loops from a file over TLS or TCP to a file. They run as processes
// of their own, so that they are measured like any other tool.
//
// A client sends one line, "put PATH OFFSET LENGTH" or "get PATH OFFSET LENGTH". For put the bytes follow, and one byte comes
// back when they are in the file; for get the bytes come back.
package bare

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

const copySize = 128 << 10

// Serve is the server's process: it answers clients until it is killed. The bound address is written to a file.
func Serve(args []string) error {
	f := flag.NewFlagSet("bare-serve", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "address")
	addrFile := f.String("addr-file", "", "file for the bound address")
	encrypt := f.Bool("tls", false, "encrypt")
	if err := f.Parse(args); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *encrypt {
		cert, err := Certificate()
		if err != nil {
			return err
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	}
	if err := os.WriteFile(*addrFile+".new", []byte(ln.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(*addrFile+".new", *addrFile); err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := answer(c); err != nil {
				fmt.Fprintln(os.Stderr, "bare:", err)
			}
		}()
	}
}

func answer(c net.Conn) error {
	in := bufio.NewReaderSize(c, 4096)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	var verb, path string
	var offset, length int64
	if _, err := fmt.Sscanf(line, "%s %q %d %d\n", &verb, &path, &offset, &length); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	if verb == "put" {
		early := io.LimitReader(in, int64(in.Buffered())) // then without the small buffer
		if err := receive(io.MultiReader(early, c), path, offset, length); err != nil {
			return err
		}
		_, err = c.Write([]byte{1})
		return err
	}
	return send(c, path, offset, length)
}

// Move is the client's process: it sends or fetches a file over one or several connections.
func Move(args []string) error {
	f := flag.NewFlagSet("bare-move", flag.ContinueOnError)
	addr := f.String("addr", "", "address of the server")
	encrypt := f.Bool("tls", false, "encrypt")
	streams := f.Int64("streams", 1, "connections")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 4 {
		return errors.New("usage: put|get FROM TO LENGTH")
	}
	verb, from, to := f.Arg(0), f.Arg(1), f.Arg(2)
	var length int64
	if _, err := fmt.Sscan(f.Arg(3), &length); err != nil {
		return err
	}
	var group errgroup.Group
	for i := range *streams {
		begin, end := length*i / *streams, length*(i+1) / *streams
		group.Go(func() error {
			c, err := dial(*addr, *encrypt)
			if err != nil {
				return err
			}
			defer c.Close()
			return part(c, verb, from, to, begin, end-begin)
		})
	}
	return group.Wait()
}

func dial(addr string, encrypt bool) (net.Conn, error) {
	if !encrypt {
		return net.Dial("tcp", addr)
	}
	return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) // it moves noise between two ends of one machine
}

// part moves one range of the file over a connection of its own.
func part(c net.Conn, verb, from, to string, offset, length int64) error {
	there := to
	if verb == "get" {
		there = from
	}
	if _, err := fmt.Fprintf(c, "%s %q %d %d\n", verb, there, offset, length); err != nil {
		return err
	}
	if verb == "get" {
		return receive(c, to, offset, length)
	}
	if err := send(c, from, offset, length); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func send(c net.Conn, path string, offset, length int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return copyLoop(c, io.NewSectionReader(f, offset, length), length)
}

func receive(r io.Reader, path string, offset, length int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = copyLoop(io.NewOffsetWriter(f, offset), io.LimitReader(r, length), length)
	return errors.Join(err, f.Close())
}

// copyLoop reads and writes; it hides what would let io.Copy hand the work to the kernel.
func copyLoop(w io.Writer, r io.Reader, length int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, copySize))
	if err == nil && n != length {
		err = fmt.Errorf("%d of %d bytes", n, length)
	}
	return err
}

// Certificate makes a self-signed certificate.
func Certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Fsync is a process that makes small files durable one after the other, in a directory and for a time, and prints how many
// it managed in a second.
func Fsync(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: DIR TIME")
	}
	period, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(args[0], "fsync-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := make([]byte, 4096)
	begin, n := time.Now(), 0
	for ; time.Since(begin) < period; n++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	fmt.Println(float64(n) / time.Since(begin).Seconds())
	return nil
}

package servertest

import (
	"net"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// TestRestartWaits: a server whose port somebody else got while it was down comes back when that one has gone.
func TestRestartWaits(t *testing.T) {
	p := Exec(t)
	addr := p.Addr()
	p.Kill()
	other, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	met := make(chan bool, 1)
	go func() {
		defer other.Close()
		met <- p.Log.reaches(1, portTaken, nil)
	}()
	p.Start()
	if !<-met || p.Addr() != addr {
		t.Fatalf("it listens at %s, before at %s", p.Addr(), addr)
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

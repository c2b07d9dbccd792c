package link

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestLink: packets cross, not earlier than the delay allows, and nothing is left behind. Needs root, TUN and ip.
func TestLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, tool := range []string{"ip", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, err := Open(ctx, fmt.Sprintf("ferrylink%d", os.Getpid()), Quality{Delay: 20 * time.Millisecond})
	if err != nil {
		t.Skip(err) // no TUN here, or not allowed
	}
	// Nobody listens there: the refusal has crossed the line twice.
	args := append(l.Client(), "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/9", l.Address()))
	begin := time.Now()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	took := time.Since(begin)
	if err == nil || !strings.Contains(string(out), "refused") {
		t.Errorf("connecting: %v, %s", err, out)
	}
	if took < 40*time.Millisecond {
		t.Errorf("there and back in %v", took)
	}
	if bytes, _, err := l.Carried(); bytes < 80 || err != nil {
		t.Errorf("%d bytes carried, %v", bytes, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, namespace := range []string{l.client, l.server} {
		if _, err := os.Stat("/run/netns/" + namespace); err == nil {
			t.Errorf("%s is still there", namespace)
		}
	}
}

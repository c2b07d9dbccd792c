package remote_test
import ("testing";"context";"time";"ferry/client/remote";"ferry/internal/faultproxy")
func TestSpin(t *testing.T) {
	r := newRig(t); o := r.options(); o.ReconnectFor=time.Second
	c := r.login(o)
	for range 5000 { r.proxy.Cut(faultproxy.Down, 1900, faultproxy.FIN) }
	r.proxy.CutNow(faultproxy.FIN)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second); defer cancel()
	_, err := c.Put(ctx, "/f", source(noise(4<<20,1)), remote.PutOptions{Job: remote.NewID()})
	t.Log(err, r.proxy.Stats())
}

package register

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"ferry/server/account"
)

const (
	maxInvites = 10000   // open at the same time
	maxFile    = 8 << 20 // bytes of the file
)

// Invites are the open invites: a file of the data directory that several programs may use at once. It holds no codes, only
// their hashes. An invite that was used is gone from it.
type Invites struct {
	Path string
	// Write replaces the file, durably; nil: account.WriteFile. Tests make it fail.
	Write func(path string, text []byte) error
}

// Ticket is an invite that was not used yet.
type Ticket struct {
	ID      string    // 8 hexadecimal digits, to name it
	Made    time.Time //
	Expires time.Time //
}

// saved is an invite as it is kept.
type saved struct {
	Hash    string    `json:"hash"` // SHA-256 of the code, hexadecimal: a code is random enough for that
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	// Claimed is who is to get an account by it. It is written before the account and taken off with the invite after
	// that: whichever step a kill comes between, the account file tells afterwards whether the invite was used.
	Claimed string `json:"claimed,omitempty"`
}

func (s saved) id() string { return s.Hash[:8] }

func hash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// Make makes n invites that are good for a time and returns their codes, which are nowhere else.
func (i Invites) Make(n int, good time.Duration, now time.Time) ([]string, error) {
	var codes []string
	err := i.edit(now, func(list []saved) ([]saved, error) {
		if len(list)+n > maxInvites {
			return nil, fmt.Errorf("there would be more than %d open invites", maxInvites)
		}
		for range n {
			code := rand.Text() // 130 bits
			codes = append(codes, code)
			list = append(list, saved{Hash: hash(code), Made: now.UTC().Round(0), Expires: now.Add(good).UTC().Round(0)})
		}
		return list, nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// List returns the open invites, oldest first.
func (i Invites) List(now time.Time) ([]Ticket, error) {
	list, err := i.load()
	var tickets []Ticket
	for _, s := range list {
		if now.Before(s.Expires) {
			tickets = append(tickets, Ticket{s.id(), s.Made, s.Expires})
		}
	}
	return tickets, err
}

// ErrNoInvite says that there is no invite of an ID.
var ErrNoInvite = errors.New("no such invite")

// Revoke takes the invites with the IDs back, or none of them if one is missing (ErrNoInvite).
func (i Invites) Revoke(now time.Time, ids ...string) error {
	return i.edit(now, func(list []saved) ([]saved, error) {
		for _, id := range ids {
			n := len(list)
			if list = slices.DeleteFunc(list, func(s saved) bool { return s.id() == id }); len(list) == n {
				return nil, fmt.Errorf("%q: %w", id, ErrNoInvite)
			}
		}
		return list, nil
	})
}

// Check returns ErrInvite unless the code is that of an open invite.
func (i Invites) Check(code string, now time.Time) error {
	list, err := i.load()
	if err == nil && find(list, code, now) < 0 {
		err = ErrInvite
	}
	return err
}

// find returns where the invite of a code is, -1 if there is none or it has expired.
func find(list []saved, code string, now time.Time) int {
	return slices.IndexFunc(list, func(s saved) bool { return s.Hash == hash(code) && now.Before(s.Expires) })
}

// use lets do make the account of name, for the invite of the code, which is spent exactly if it does. known tells whether the
// account file has an account. It holds the lock throughout, so that nobody else uses the invite meanwhile.
func (i Invites) use(code, name string, now time.Time, known func(name string) (bool, error), do func() error) error {
	lock, err := account.Lock(i.Path)
	if err != nil {
		return err
	}
	defer lock.Close()
	list, err := i.settled(now, known)
	if err != nil {
		return err
	}
	at := find(list, code, now)
	if at < 0 {
		return ErrInvite
	}
	// A claim for a name that somebody else has would look used after a kill.
	used, err := known(name)
	if err == nil && used {
		err = ErrTaken
	}
	if err != nil {
		return err
	}
	list[at].Claimed = name
	if err := i.save(list); err != nil {
		return err
	}
	err = do()
	switch {
	case errors.Is(err, ErrTaken): // somebody was faster; nothing was made
		list[at].Claimed = ""
	case err != nil: // it may have been made all the same: the account file will tell
		return err
	default:
		list = slices.Delete(list, at, at+1)
	}
	if serr := i.save(list); err == nil && serr != nil {
		return nil // there is the account; the claim stays until the next use
	}
	return err
}

// settle is settled with the lock, and saves.
func (i Invites) settle(now time.Time, known func(name string) (bool, error)) error {
	lock, err := account.Lock(i.Path)
	if err != nil {
		return err
	}
	defer lock.Close()
	before, err := i.load()
	if err != nil || len(before) == 0 {
		return err
	}
	list, err := i.settled(now, known)
	if err != nil || slices.Equal(list, before) {
		return err
	}
	return i.save(list)
}

// settled returns the open invites: of those that were being used when somebody was killed, those whose account was not made.
func (i Invites) settled(now time.Time, known func(name string) (bool, error)) ([]saved, error) {
	list, err := i.load()
	var open []saved
	for _, s := range list {
		if err != nil || !now.Before(s.Expires) {
			continue
		}
		made := false
		if s.Claimed != "" {
			made, err = known(s.Claimed)
			s.Claimed = ""
		}
		if !made {
			open = append(open, s)
		}
	}
	return open, err
}

// edit changes the list under the lock; invites that have expired are dropped.
func (i Invites) edit(now time.Time, change func([]saved) ([]saved, error)) error {
	lock, err := account.Lock(i.Path)
	if err != nil {
		return err
	}
	defer lock.Close()
	list, err := i.load()
	if err == nil {
		list, err = change(slices.DeleteFunc(list, func(s saved) bool { return !now.Before(s.Expires) }))
	}
	if err != nil {
		return err
	}
	return i.save(list)
}

// load reads the file; there are no invites if it is missing.
func (i Invites) load() ([]saved, error) {
	f, err := os.Open(i.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the invites: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read the invites: %w", err)
	}
	var list []saved
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", i.Path, err)
	}
	for _, s := range list {
		if len(s.Hash) != 2*sha256.Size {
			return nil, fmt.Errorf("%s is damaged: a hash is not one", i.Path)
		}
	}
	return list, nil
}

func (i Invites) save(list []saved) error {
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	write := i.Write
	if write == nil {
		write = account.WriteFile
	}
	if err := write(i.Path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the invites: %w", err)
	}
	return nil
}

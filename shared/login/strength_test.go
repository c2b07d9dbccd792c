package login

import (
	"crypto/rand"
	"strings"
	"testing"
)

func TestCheckStrength(t *testing.T) {
	for _, tt := range []struct{ user, password, want string }{
		{"alice", "", "password is empty"},
		{"alice", "tr0ub4dor", "password is too short: 9 characters, at least 10 are needed"},
		{"alice", "äöüßäöüßä", "password is too short: 9 characters, at least 10 are needed"},
		{"alice", "a\x00bcdefghijk", "password holds a character that is not allowed (control or unassigned)"},
		{"alice", "Alice2026!", "password is little more than the user's name"},
		{"alice.long", "alice.long", "password is little more than the user's name"},
		{"alice", "alicealicealice", "password is little more than the user's name"},
		{"alice", "aaaaaaaaaaaaaaaaaaaa", "password is too easy to guess"},
		{"alice", "1234567890", "password is too easy to guess"},
		{"alice", "qwertyuiop12", "password is too easy to guess"},
		{"alice", "Password1234", "password is too easy to guess"},
		{"alice", "Summer2026!", "password is too easy to guess"},
		{"alice", "hunter2hunter2", "password is too easy to guess"},
		{"alice", "abcabcabcabcabc", "password is too easy to guess"},
		{"alice", "welcomewelcome", "password is too easy to guess"},
		{"alice", strings.Repeat("aä7 ", 200), "password is too easy to guess"},
		{"", "correct horse battery", ""},
		{"alice", "correct horse battery staple", ""},
		{"al", "k2 tall zebra moon", ""},
		{"alice", "lkjfdsa98qwe", ""},
		{"alice", "x7$Qm2!pLw", ""},
		{"alice", "Сорок тысяч обезьян", ""},
	} {
		got := ""
		if err := CheckStrength(tt.user, tt.password); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s, %q: %q, want %q", tt.user, tt.password, got, tt.want)
		}
	}
	for range 100 { // what --generate makes
		if err := CheckStrength("alice", rand.Text()); err != nil {
			t.Error(err)
		}
	}
}

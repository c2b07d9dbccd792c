package login

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	passwordvalidator "github.com/wagslane/go-password-validator"
)

const (
	minLength = 10 // characters of a new password
	// minEntropy is far above what can be tried against an Argon2id record and far below what ten random letters have.
	minEntropy = 40 // bits, as estimated
	// maxEstimated is how much of a password is looked at: more cannot make it worse.
	maxEstimated = 100 // characters
)

// CheckStrength refuses a new password that somebody could guess. The error says what is wrong with it and never quotes it.
// Only whoever knows the password can ask: the client, or the administrator's command line.
func CheckStrength(user, password string) error {
	if _, err := prepare(password); err != nil {
		return err
	}
	n := utf8.RuneCountInString(password)
	if n < minLength {
		return fmt.Errorf("password is too short: %d characters, at least %d are needed", n, minLength)
	}
	rest := strings.ToLower(string([]rune(password)[:min(n, maxEstimated)]))
	if user != "" && strings.Contains(rest, strings.ToLower(user)) {
		rest = strings.ReplaceAll(rest, strings.ToLower(user), "")
		if utf8.RuneCountInString(rest) <= minLength/2 {
			return errors.New("password is little more than the user's name")
		}
	}
	for word := range strings.FieldsSeq(commonWords) {
		rest = strings.ReplaceAll(rest, word, "")
	}
	if passwordvalidator.GetEntropy(once(rest)) < minEntropy {
		return errors.New("password is too easy to guess")
	}
	return nil
}

// StrengthHint is advice for somebody whose password was refused.
const StrengthHint = "three or four unrelated words make a good one"

// commonWords are in too many passwords to count for anything.
const commonWords = `password passwort passw0rd welcome willkommen letmein iloveyou changeme secret geheim admin root user guest
	login master monkey dragon football baseball sunshine princess superman batman starwars trustno1 hello hallo
	test demo default server ferry qwertz azerty hunter2 spring summer autumn winter january february october november december`

// once returns the part that a text repeats, or the text.
func once(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n == 0 && s == strings.Repeat(s[:n], len(s)/n) {
			return s[:n]
		}
	}
	return s
}

package guard

// Reason is why a login was refused: one stable word, for the log and for programs.
type Reason string

// The reasons.
const (
	WrongPassword Reason = "wrong_password" // or unknown user: nothing tells them apart
	WrongKey      Reason = "wrong_key"      // or unknown user
	Malformed     Reason = "malformed"      // no login at all
	Changed       Reason = "changed"        // the account changed between its two messages
	RateLimited   Reason = "rate_limited"   // after too many others; it was not looked at
	Locked        Reason = "locked"         // this and what follows is told to those who proved to be the user
	Expired       Reason = "expired"        //
	BadAddress    Reason = "bad_address"    // not one that the account may come from
	TooMany       Reason = "too_many"       // sessions
	NoHome        Reason = "no_home"        // its directory cannot be opened
)

// row is what there is to know of a reason: what such a refusal costs, in points, at the name and at the address, and what it is in
// words.
type row struct {
	reason        Reason
	name, address int
	words         string
}

// rows is every reason. Keys cannot be guessed, and an agent that offers several is no enemy: they cost little. To go on while one
// has to wait costs the address.
func rows() []row {
	return []row{
		{WrongPassword, 10, 10, "wrong password"},
		{Malformed, 10, 10, "no valid login"},
		{WrongKey, 2, 2, "not a key of the account"},
		{Changed, 0, 0, "the account changed during the login"},
		{RateLimited, 0, 1, "too many failed logins before"},
		{Locked, 0, 0, "the account is locked"},
		{Expired, 0, 0, "the account has expired"},
		{BadAddress, 0, 0, "not from this address"},
		{TooMany, 0, 0, "as many sessions as it may have"},
		{NoHome, 0, 0, "the home directory cannot be opened"},
	}
}

// row returns the reason's row, the zero one for what is no reason.
func (r Reason) row() row {
	for _, x := range rows() {
		if x.reason == r {
			return x
		}
	}
	return row{}
}

// Words says it for people.
func (r Reason) Words() string { return r.row().words }

// Reasons returns every reason.
func Reasons() []Reason {
	var all []Reason
	for _, x := range rows() {
		all = append(all, x.reason)
	}
	return all
}

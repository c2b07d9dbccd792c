package wire

import (
	"ferry/shared/block"
)

// ProtocolVersion is the version that this package speaks. ALPN is its name in the TLS handshake.
const (
	ProtocolVersion = 1
	ALPN            = "ferry/1"
)

// The commands, in the order of doc.go.
const (
	CmdHello    = "hello"
	CmdLogin    = "login"
	CmdProof    = "proof"
	CmdKey      = "key"
	CmdAttach   = "attach"
	CmdRegister = "register"
	CmdLogout   = "logout"
	CmdPing     = "ping"
	CmdPasswd   = "passwd"
	CmdKeys     = "keys"
	CmdPutKey   = "putkey"
	CmdDropKey  = "dropkey"
	CmdStat     = "stat"
	CmdLs       = "ls"
	CmdMkdir    = "mkdir"
	CmdRmdir    = "rmdir"
	CmdRm       = "rm"
	CmdRmtree   = "rmtree"
	CmdMv       = "mv"
	CmdCp       = "cp"
	CmdSet      = "set"
	CmdSum      = "sum"
	CmdPut      = "put"
	CmdData     = "data"
	CmdCheck    = "check"
	CmdCommit   = "commit"
	CmdGet      = "get"
	CmdVerify   = "verify"
	CmdResume   = "resume"
	CmdDrop     = "drop"
	CmdAdmin    = "admin"
	CmdDf       = "df"
)

// Request is the part that every request has. Size is present when a body of so many bytes follows.
type Request struct {
	Cmd  string `json:"cmd"`
	Size *int64 `json:"size,omitzero"`
}

// Head returns the request's common part.
func (r *Request) Head() *Request { return r }

// Ident is the part of requests that change something: 32 hexadecimal digits, random, the same when the request is
// repeated because its answer was lost.
type Ident struct {
	ID   string `json:"id"`
	Boot string `json:"boot,omitzero"` // when repeated: the boot of the server it was first sent to
}

// Requester is any request.
type Requester interface{ Head() *Request }

// Answer is the part that every answer has.
type Answer struct {
	More  bool   `json:"more,omitzero"` // further messages of this answer follow
	Error *Error `json:"error,omitzero"`
	Size  *int64 `json:"size,omitzero"`  // bytes of the body that follows
	Again bool   `json:"again,omitzero"` // remembered from the first time this id was seen
	Pace  int64  `json:"pace,omitzero"`  // in a sign of life: bytes a second that the account may send, if that is what is waited for
}

// Top returns the answer's common part.
func (a *Answer) Top() *Answer { return a }

// Answerer is any answer.
type Answerer interface{ Top() *Answer }

// HelloRequest opens every connection.
type HelloRequest struct {
	Request
	Version int    `json:"version"`
	Client  string `json:"client,omitzero"` // name and version of the program, at most 64 bytes
	Nonce   string `json:"nonce,omitzero"`  // plain connections only: 32 random bytes in hexadecimal
}

// HelloAnswer is the answer to hello.
type HelloAnswer struct {
	Answer
	Version int    `json:"version"`
	Server  string `json:"server"`
	Nonce   string `json:"nonce,omitzero"`
	Time    int64  `json:"time,omitzero"` // nanoseconds since 1970 UTC
}

// MessageRequest is login and proof: one text of the SCRAM exchange.
type MessageRequest struct {
	Request
	Message string `json:"message"`
}

// LoginAnswer is the answer to login.
type LoginAnswer struct {
	Answer
	Message string `json:"message"`
}

// ProofAnswer is the answer to proof: the session.
type ProofAnswer struct {
	Answer
	Message  string   `json:"message"`
	Session  string   `json:"session"` // its id, 32 hexadecimal digits
	Secret   string   `json:"secret"`  // of the session, 64 hexadecimal digits: with it further connections join
	Boot     string   `json:"boot"`    // changes when the server starts, and with it what it remembers is gone
	Up       int64    `json:"up"`      // milliseconds since then
	User     string   `json:"user"`
	Rights   []string `json:"rights"`
	Features []string `json:"features"`
	// MustChange says that nothing but passwd is carried out before the password is changed.
	MustChange bool `json:"must_change,omitzero"`
}

// KeyRequest logs in with a public key. Its answer is a ProofAnswer without a message.
type KeyRequest struct {
	Request
	User      string `json:"user"`
	Key       string `json:"key"`       // base64 of its wire form
	Signature string `json:"signature"` // base64, see login.SignKey
}

// AttachRequest makes a connection one more of a session.
type AttachRequest struct {
	Request
	Session string `json:"session"`
	Proof   string `json:"proof"` // 64 hexadecimal digits, see login.Attach
}

// Costs are those of the Argon2id run that a new record is to be made with.
type Costs struct {
	Memory uint32 `json:"memory"` // KiB
	Passes uint32 `json:"passes"`
	Lanes  uint8  `json:"lanes"`
}

// PasswdRequest gives the account another password; without a record it asks for the costs.
type PasswdRequest struct {
	Request
	Record string `json:"record,omitzero"` // see login.Record
}

// RegisterRequest makes an account; without a record it asks whether that can be done, and for the costs.
type RegisterRequest struct {
	Request
	User   string `json:"user"`
	Code   string `json:"code,omitzero"`   // of an invite
	Record string `json:"record,omitzero"` // see login.Record
}

// CostsAnswer is the answer to register and passwd.
type CostsAnswer struct {
	Answer
	Costs *Costs `json:"costs,omitzero"` // only if there was no record in the request
}

// PublicKey describes one of the account's public keys.
type PublicKey struct {
	Kind        string `json:"kind"`        // e.g. ssh-ed25519
	Fingerprint string `json:"fingerprint"` // SHA256:..., as ssh-keygen -l prints it
	Comment     string `json:"comment"`     // at most MaxComment bytes of it
}

// KeysAnswer is the answer to keys: what the account logs in with.
type KeysAnswer struct {
	Answer
	Keys     []PublicKey `json:"keys"`
	Password bool        `json:"password"` // there is a password, too
}

// MaxComment is how many bytes of a public key's comment travel.
const MaxComment = 200

// PutKeyRequest adds a public key to the account.
type PutKeyRequest struct {
	Request
	Key string `json:"key"` // the line of a .pub file
}

// DropKeyRequest takes a public key from the account.
type DropKeyRequest struct {
	Request
	Fingerprint string `json:"fingerprint"`
}

// EmptyRequest is a request without fields of its own: logout, ping, keys, resume, df.
type EmptyRequest struct{ Request }

// EmptyAnswer is an answer without fields of its own.
type EmptyAnswer struct{ Answer }

// Entry describes one name.
type Entry struct {
	Name    Name   `json:"name"`             // the whole path; in a listing, relative to the directory asked for
	Kind    string `json:"kind"`             // file, dir, link, other
	Length  int64  `json:"length"`           // bytes
	Mtime   int64  `json:"mtime"`            // nanoseconds since 1970 UTC
	Mode    uint32 `json:"mode"`             // permission bits
	Version string `json:"version,omitzero"` // of a file
}

// PathRequest names one thing: stat, sum.
type PathRequest struct {
	Request
	Path Name `json:"path"`
}

// EntryAnswer is the answer to stat.
type EntryAnswer struct {
	Answer
	Entry Entry `json:"entry"`
}

// LsRequest lists a directory, with Deep the whole tree below it.
type LsRequest struct {
	Request
	Path Name `json:"path"`
	Deep bool `json:"deep,omitzero"`
}

// LsAnswer carries some of the entries, in no particular order.
type LsAnswer struct {
	Answer
	Entries []Entry `json:"entries"`
}

// ChangeRequest is rm, rmdir and rmtree.
type ChangeRequest struct {
	Request
	Ident
	Path Name `json:"path"`
}

// MkdirRequest makes a directory.
type MkdirRequest struct {
	Request
	Ident
	Path    Name `json:"path"`
	Parents bool `json:"parents,omitzero"` // make missing ones above it too; no error if it is there
}

// MvRequest moves a file or directory.
type MvRequest struct {
	Request
	Ident
	Path    Name   `json:"path"`
	To      Name   `json:"to"`
	Replace bool   `json:"replace,omitzero"` // a file at the target may be replaced
	Version string `json:"version,omitzero"` // of the file that is to move, if known: tells a repeated request from a new one
}

// RmtreeAnswer tells what became of a tree.
type RmtreeAnswer struct {
	Answer
	Removed int64  `json:"removed"`       // names
	Kept    int64  `json:"kept,omitzero"` // names that could not be removed, not counting the directories above them
	Why     []Kept `json:"why,omitzero"`  // some of those
}

// Kept is a name that could not be removed.
type Kept struct {
	Path  Name  `json:"path"`
	Error Error `json:"error"`
}

// CpRequest copies a file.
type CpRequest struct {
	Request
	Ident
	Path    Name `json:"path"`
	To      Name `json:"to"`
	Replace bool `json:"replace,omitzero"` // a file at the target may be replaced
}

// SetRequest changes what is known of a file or directory besides its content. What is nil stays.
type SetRequest struct {
	Request
	Ident
	Path  Name    `json:"path"`
	Mtime *int64  `json:"mtime,omitzero"` // nanoseconds since 1970 UTC
	Mode  *uint32 `json:"mode,omitzero"`  // permission bits
}

// SumAnswer carries a file's digest.
type SumAnswer struct {
	Answer
	SHA256 string `json:"sha256"` // hexadecimal
	Entry  Entry  `json:"entry"`
}

// PutRequest opens an upload; with a body it is the whole upload.
type PutRequest struct {
	Request
	Ident
	Path    Name    `json:"path"`
	Length  int64   `json:"length"`
	Mtime   int64   `json:"mtime"`
	Mode    uint32  `json:"mode,omitzero"`    // permission bits; 0: the server's default
	Job     string  `json:"job,omitzero"`     // 32 hexadecimal digits: the same for every try at this transfer
	Expect  *string `json:"expect,omitzero"`  // publish only over this version; "": only where nothing is
	Force   bool    `json:"force,omitzero"`   // publish over whatever is there then
	Parents bool    `json:"parents,omitzero"` // make missing directories
	Writer  string  `json:"writer,omitzero"`  // 32 hexadecimal digits: this run of the client
	Reopen  bool    `json:"reopen,omitzero"`  // this writer has had the upload open: superseded if another one has taken it over
	Try     int64   `json:"try,omitzero"`     // how often this writer has asked for the upload before; 0 with a body
	NoSync  bool    `json:"nosync,omitzero"`  // small uploads: answer before it is durable
}

// PutAnswer tells what is there already, or for a small upload what was published.
type PutAnswer struct {
	Answer
	Upload string       `json:"upload,omitzero"`
	Epoch  int64        `json:"epoch,omitzero"`
	Key    *block.Key   `json:"key,omitzero"`
	Have   block.Ranges `json:"have,omitzero"`
	Staged int64        `json:"staged,omitzero"` // how many bytes of have lie in the staging; the rest is in the old version
	Base   *string      `json:"base,omitzero"`   // version of what is there now, "" if nothing: to be given as expect when the upload is reopened
	Entry  *Entry       `json:"entry,omitzero"`
	Same   bool         `json:"same,omitzero"` // it was there already, byte for byte
}

// DataRequest carries bytes of an upload, within one block.
type DataRequest struct {
	Request
	Upload string    `json:"upload"`
	Epoch  int64     `json:"epoch"`
	Offset int64     `json:"offset"`
	Tag    block.Tag `json:"tag"` // of the body, under the number of its block
}

// CheckRequest carries the tags of blocks first, first+1, ...: 16 bytes each, at most 256.
type CheckRequest struct {
	Request
	Upload string `json:"upload"`
	Epoch  int64  `json:"epoch"`
	First  int64  `json:"first"`
}

// CommitRequest publishes an upload.
type CommitRequest struct {
	Request
	Ident
	Upload string `json:"upload"`
	Epoch  int64  `json:"epoch"`
	NoSync bool   `json:"nosync,omitzero"`
}

// CommitAnswer tells what was published.
type CommitAnswer struct {
	Answer
	Entry  Entry `json:"entry"`
	Same   bool  `json:"same,omitzero"`
	Reused int64 `json:"reused,omitzero"` // bytes that were verified instead of sent to this epoch
}

// GetRequest asks for bytes of a file.
type GetRequest struct {
	Request
	Path    Name      `json:"path"`
	Version string    `json:"version,omitzero"` // "": whatever is there
	Offset  int64     `json:"offset"`           // a multiple of the block size
	Length  int64     `json:"length"`           // at most 64 MiB; what lies beyond the end is not sent
	Key     block.Key `json:"key"`              // made by the client, for the tags
}

// MaxGet is the largest length of one get.
const MaxGet = 64 << 20

// GetAnswer carries one block, or nothing when the range is empty. The first message has the entry.
type GetAnswer struct {
	Answer
	Entry *Entry     `json:"entry,omitzero"`
	Tag   *block.Tag `json:"tag,omitzero"`
}

// VerifyRequest carries the tags of what the client holds of a file, as CheckRequest does of an upload. Its answer, as
// that of check, is a body with one bit a block: set if the block is needed.
type VerifyRequest struct {
	Request
	Path    Name      `json:"path"`
	Version string    `json:"version"`
	First   int64     `json:"first"`
	Key     block.Key `json:"key"`
}

// MaxTags is how many tags one check or verify carries.
const MaxTags = 256

// Upload describes one unfinished upload of the account.
type Upload struct {
	ID      string `json:"upload"`
	Path    Name   `json:"path"`
	Length  int64  `json:"length"`
	Done    int64  `json:"done"` // bytes staged, not yet verified
	Job     string `json:"job"`
	Created int64  `json:"created"` // nanoseconds since 1970 UTC
	Touched int64  `json:"touched"`
	Mtime   int64  `json:"mtime"`
	Live    bool   `json:"live,omitzero"` // another session is sending it now
}

// ResumeAnswer lists unfinished uploads.
type ResumeAnswer struct {
	Answer
	Uploads []Upload `json:"uploads"`
}

// DropRequest discards an unfinished upload.
type DropRequest struct {
	Request
	Ident
	Upload string `json:"upload"`
}

// AdminRequest is a command line of an administrator.
type AdminRequest struct {
	Request
	ID     string   `json:"id,omitzero"` // as in Ident; "" for a command line that changes nothing
	Boot   string   `json:"boot,omitzero"`
	Args   []string `json:"args"`            // as of ferryd, without its name: "user", "lock", "bob"
	Record string   `json:"record,omitzero"` // of the new password that an answer to the same command line asked for
	JSON   bool     `json:"json,omitzero"`   // results as one object a line
}

// AdminAnswer carries what a command line prints, the last message also how it ended.
type AdminAnswer struct {
	Answer
	Output   string          `json:"output,omitzero"`   // a piece of the results
	Notes    string          `json:"notes,omitzero"`    // a piece of what is said beside them
	Exit     int             `json:"exit,omitzero"`     // as of ferryd: 0 ok, 1 other, 2 usage, 6 no such user, 7 file invalid, 9 name in use
	Message  string          `json:"message,omitzero"`  // why Exit is not 0
	Hint     string          `json:"hint,omitzero"`     // what to do about that
	Password *PasswordWanted `json:"password,omitzero"` // nothing was done yet
}

// PasswordWanted asks for the record of a new password.
type PasswordWanted struct {
	Name    string `json:"name"`
	From    string `json:"from"`   // "ask", "stdin" or "generate"
	Memory  uint32 `json:"memory"` // the costs, as in login.Params
	Time    uint32 `json:"time"`
	Threads uint8  `json:"threads"`
}

// DfAnswer tells what the account takes up and may.
type DfAnswer struct {
	Answer
	Used       int64 `json:"used"`                 // bytes; unfinished uploads count whole
	Quota      int64 `json:"quota,omitzero"`       // bytes; 0: no limit
	Files      int64 `json:"files"`                // and directories
	QuotaFiles int64 `json:"quota_files,omitzero"` // 0: no limit
	Free       int64 `json:"free"`                 // bytes left on the server's medium, -1 if unknown
}

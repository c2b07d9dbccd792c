/*
Package wire is the ferry protocol, version 1: its messages, their framing and their limits. This comment is the
specification; it is enough to write a client or a server in another language. MUST and SHOULD are meant as in RFC
2119. Integers are decimal, lengths and offsets are bytes, times are nanoseconds since 1970-01-01 UTC, KiB and MiB are
powers of 1024.

# Transport

The protocol runs over TLS 1.3 (RFC 8446) on a byte stream, IPv4 or IPv6, by default on port 8083. TLS begins with the
first byte: there is no command to switch it on, and no lower version. The client offers the application protocol
"ferry/1" (ALPN, RFC 7301). The server's certificate is its own, self-signed: names, dates and issuers in it mean
nothing. What identifies a server is its key, written as its fingerprint: "SHA256:" and the unpadded base64 of the
SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 5280, section 4.1). A client MUST check the fingerprint against
the one it knows before it sends anything, and SHOULD remember it after the first login whose server signature was
right. There are no client certificates and no early data.

A server may also listen on a unix socket, or on TCP without encryption, and then speaks exactly the same messages
without TLS: a plain connection. It differs in the login only (see there). A client MUST NOT fall back from TLS to it.

# Messages

Everything either side sends is a sequence of messages:

	length   4 bytes, unsigned, little-endian: the number of header bytes
	header   that many bytes: one JSON object
	body     as many bytes as field size of the header says; none when there is no such field

	headers before login     1 to 4096 bytes in requests, no body
	headers after login      1 to 65536 bytes; answers may have that before login too
	body                     0 to 1048576 bytes (1 MiB)
	nesting of a header      8 objects and arrays

A limit is checked before the bytes are waited for, and a peer cannot change it. Field size with the value 0 announces
an empty body, which is not the same as none: an empty file is put with "size":0.

# JSON

Headers are JSON (RFC 8259). The first byte is '{'; white space is allowed wherever JSON allows it behind that. A
request is read strictly:

  - keys have the exact case given here; none comes twice, in nested objects either; unknown ones are refused
  - nothing but white space follows the object
  - text is valid UTF-8, escapes name no lone surrogates, there is no byte order mark
  - integers are written without fraction and exponent and fit in 64 bits with sign, or the range given
  - null is no value of anything

A field that is left out counts as 0, "", false or the empty list. Fields marked "optional" below mean something else
by being absent, or are commonly left out. Other fields are always sent.

A header that breaks JSON itself or the nesting limit, holds a key twice or a null, or has a cmd that is no string or
a size that is no integer from 0 to 1048576, is a protocol error. One that is good JSON but not what the command takes
is answered with bad_request.

A client ignores keys it does not know in answers. It sends keys that later versions of this page add to requests only
if features of the answer to proof name them.

# Requests and answers

Only the client asks. Every message it sends is a request with the field cmd:

	cmd    string    the command, one of those below
	size   integer   optional: the length of the body

Requests take effect in the order in which they were sent, and are answered in that order. The client need not wait
for an answer before it sends the next request. It SHOULD leave at most 1024 requests or 64 MiB of bodies unanswered,
and MUST go on reading while it sends: a server whose answers are not taken stops reading.

An answer is one or more messages. All may have

	more    true      optional: another message of this answer follows
	error   object    optional: {"code": string, "message": string, "after": integer}; always in the last message
	size    integer   optional: the length of the body
	again   true      optional: this is the answer to an earlier request with the same id, given once more
	pace    integer   optional: bytes a second, in a sign of life (see below)

An error says that the request was not carried out, and why: code for programs, from the list under "Errors", message
for people, and optionally, with rate_limited, after how many seconds it may work. Other fields are absent or mean nothing then. A part of an answer that came before an error is void. The
body of a request that fails is still read, so the next message always begins behind it. The connection stays usable.

While an answer takes long the server sends the message {"more":true}, with these 13 bytes as its header and no body,
whenever it has sent nothing for 2 to 4 s: a sign of life. It may come before the first message of any answer and between
any two. A client drops it, and may take a server for dead that has been silent for 30 s while it owes an answer. When the
rate of the account is what the client's bytes wait for, the sign says so: {"more":true,"pace":integer}, bytes a second.

A message with an error that comes when no answer is owed says why the server closes the connection. It is the last
one.

# The end of a connection

Either side closes the connection, between two messages, when it has nothing more to say; with TLS after close_notify.
The server carries out what it read before. A client ends a command that is under way by closing its connection. The
server closes

  - after a protocol error: the header's length is 0 or over the limit, the header is not acceptable (see JSON), a body
    is announced before login. It answers what is owed and then sends bad_request
  - when the stream ends inside a message
  - when TLS is not up after 10 s, or nobody is logged in after 30 s, counted from accept
  - when a message, or the taking of answers, stops for 60 s. Between messages a client may be silent for as long as it
    likes; TCP keep-alive finds those that are gone
  - after a hello with another version, after the third failed login, key, attach or register, after rate_limited, and after
    logout
  - without a word, and before TLS, when the address is banned; likewise before login when there are too many connections
    that are not logged in, and this one's address has more of them than others
  - when the account is removed, locked, expires, is moved to another home or gets another password, or when the address is
    no longer allowed, with login_required
  - when an administrator ends the session, with kicked. A client SHOULD NOT log in again by itself then
  - when it is stopped: what was read is carried out and answered first

A request that is under way when its session ends is carried out, or answered with the error that ends the session.

# Names

A path is absolute, "/" is the account's home. Its components are separated by one slash and are not empty, "." or
".."; it does not end in a slash. It has at most 4096 bytes, 64 components, and 255 bytes in each. It holds no NUL
byte. The name ".ferry" at the top of a home, and what is below it, is the server's. All else is bad_path. Names are
bytes and are compared as such; nothing is ever normalized.

In JSON a name is a string. Each byte of it that is not part of valid UTF-8 (RFC 3629) travels as U+0000 followed by
its two lower-case hexadecimal digits: the bytes "a ff b" are "a\u0000ffb". A string that is not what this rule makes
of some name (upper-case digits, an escape for a byte that needs none, escapes that together are valid UTF-8) is
refused. Limits count the bytes of the name itself.

# Values

	id        32 lower-case hexadecimal digits: 16 random bytes
	key       32 lower-case hexadecimal digits: an AES-128 key
	tag       32 lower-case hexadecimal digits, or the 16 bytes themselves in a body
	version   string, at most 64 printable ASCII characters: an opaque mark of a file's content. It changes whenever the
	          file is replaced or written to, and may change without that
	mode      integer: permission bits as in POSIX, 0 to 511 (0777)
	entry     object: what a name stands for

An entry is

	name      name       the whole path; in a listing relative to the directory asked for
	kind      string     "file", "dir", "link" (symbolic, not followed) or "other"
	length    integer    bytes; 0 for all but files
	mtime     integer    time of the last change of the content
	mode      integer    permission bits
	version   version    of a file; absent for others

# Blocks and tags

The unit of verification is the block of 1 MiB: block n of a file is the bytes from n * 1048576 on, and only the last
one may be shorter. A file of length 0 has no blocks.

The tag of a block is its AES-128-GMAC (NIST SP 800-38D): AES-128-GCM with nothing to encrypt, the bytes of the block
as the additional data, and the 16-byte authentication tag as the result. The 12-byte nonce is the block's number,
little-endian in the first 8 bytes, and 4 zero bytes. The key is random, 16 bytes, and belongs to one transfer: the
server makes that of an upload and the client that of a download. Tags say whether two ends hold equal blocks; they
are no digest to publish. Since a key tags several versions of a block, it must not serve any other purpose.

Sets of blocks travel as bitmaps: bit i, counted from 0, is bit i%8 of byte i/8, least significant first; a set for n
blocks has (n+7)/8 bytes, the rest of the last is zero.

# Doing things once

Requests that change something (mkdir, rmdir, rm, rmtree, mv, cp, set, put, commit, drop, admin) have

	id     id        random, new for every request
	boot   string    optional: only when the request is repeated

When a connection is lost, the client cannot know whether a request without answer was carried out. It repeats it on a
new connection with the same id, and with boot as the answer to proof or key gave it on the connection where the request was
first sent. If that connection was lost before this answer came, boot is that of the new connection if its server has been up
since before the lost one was made, and 32 zeros otherwise. The server

  - remembers the answers of the last 1024 such requests of an account for 10 minutes, errors too. If it knows the id, it
    gives the first answer, with "again": true, after waiting for it if need be
  - otherwise, if boot is absent, or its own and nothing younger than 10 minutes had to be forgotten lately, the request
    never arrived: it is carried out now
  - otherwise its memory is gone, mostly because it was started anew in between, and it judges by what is there

Then the answer is success without doing anything, or what stands here:

	mkdir       a directory of that name is there
	rm, rmdir   the name is gone
	rmtree      the name is gone; the answer is without the counts
	mv          the source is gone and the file of that version is at the target
	cp          a file of the same content is at the target
	set         time and mode are those asked for
	put         with a body: the same content is there, and "same" is true. If expect names a version and that one is there, the
	            put was never carried out, and is now
	commit      not_found, as for any upload that is not open: opened again with put, it shows what is there
	drop        the upload is gone; otherwise it is carried out, since an upload's id never comes back

In all other cases nothing is done and the answer is uncertain.

A cp or rmtree that ends early because its connection did is not remembered either: repeated, it is carried out, or goes
on. Opening an upload (put without a body) is not remembered: it is harmless to do it again. The client repeats requests
without id as it likes.

# hello

The first request of a connection. Before it, login, proof, key, attach and register are answered with the error version.

	version   integer   1
	client    string    optional: name and version of the program, at most 64 bytes
	nonce     string    plain connections only: 32 random bytes as 64 hexadecimal digits

The answer:

	version   integer   1
	server    string    name and version of the program
	nonce     string    plain connections only: 32 random bytes of the server, likewise
	time      integer   optional: the server's clock, nanoseconds since 1970 UTC

A server that does not speak the version answers with the error version, whose message names both, and closes. Errors:
version, bad_request (said twice, no nonce on a plain connection). Before login every other command is answered with
login_required, or with unknown_command.

With TLS, hello and login, key, attach or register may be sent together. On a plain connection both need the server's nonce.

# login

Login is the message flow of SCRAM (RFC 5802, RFC 7677) with Argon2id (RFC 9106) in the place of PBKDF2 and with
channel binding that cannot be left out. It takes two requests, login and proof; both, and both answers, carry one
text:

	message   string   a text of the exchange

Text 1, in the request login; GS2 is p=tls-exporter,, with TLS and p=ferry-plain,, on a plain connection:

	GS2 n=NAME,r=C

NAME is the user's name, 1 to 255 bytes of UTF-8 without NUL, '=' written as =3D and ',' as =2C. C is the client's
nonce: 16 to 128 printable ASCII characters but the comma, at least 18 random bytes' worth (base64 of 24 random bytes
does). There is no space behind GS2.

Text 2, in the answer to login:

	r=CS,s=SALT,i=T,k=argon2id:v=19:m=M:p=P

CS is C and the server's nonce, which follows the same rules. SALT is 16 bytes. T is the number of passes, M the
memory in KiB, P the number of lanes, written without leading zeros. A client MUST refuse T below 2, M below 19456 or
P below 1, which would make guessing from its answer cheap, and T above 16, M above 1048576 or P above 255, which
would exhaust it.

Text 3, in the request proof:

	c=BINDING,r=CS,p=PROOF

Text 4, in the answer to proof:

	v=SIGNATURE

SALT, BINDING, PROOF and SIGNATURE are base64 (RFC 4648, section 4) with padding and without stray bits. Exactly these
attributes come, in this order. With HMAC meaning HMAC-SHA-256 (key first) and "+" the joining of bytes:

	BINDING     = GS2 + data
	data        = with TLS 32 bytes of keying material (RFC 5705) for the label EXPORTER-Channel-Binding without a context (RFC 9266),
	              on a plain connection the client's 32-byte nonce of hello + the server's
	Password    = OpaqueString of the password (RFC 8265), UTF-8, 1 to 1024 bytes before that
	Salted      = Argon2id(Password, SALT, T passes, M KiB, P lanes, version 0x13, 32 bytes)
	ClientKey   = HMAC(Salted, "Client Key")
	StoredKey   = SHA-256(ClientKey)
	ServerKey   = HMAC(Salted, "Server Key")
	AuthMessage = text 1 without GS2 + "," + text 2 + "," + text 3 up to, not including, ",p="
	PROOF       = ClientKey xor HMAC(StoredKey, AuthMessage)
	SIGNATURE   = HMAC(ServerKey, AuthMessage)

The server keeps SALT, T, M, P, StoredKey and ServerKey of each account. It checks that c and r of text 3 are what
they must be and that SHA-256(PROOF xor HMAC(StoredKey, AuthMessage)) is StoredKey. An unknown name is answered like a
known one up to here. A client that keeps SALT, T, M, P, ClientKey and ServerKey in memory logs in again without the
password while text 2 names the same SALT and costs.

Errors of login: auth_failed (malformed text, or another channel binding; counts as a failed try), rate_limited (see proof), version
(no hello yet), bad_request.

# proof

Login must have been sent before on this connection; each login allows one proof.

	message   string   text 3

The answer:

	message    string            text 4
	session    string            id of the session, 32 hexadecimal digits
	secret     string            of the session: 32 random bytes as 64 hexadecimal digits, see attach; to be kept in memory only
	boot       string            changes when the server starts; see "Doing things once"
	up         integer           milliseconds since then
	user       string            the name of the account
	rights     list of strings   what the account may do: list, read, write, overwrite, delete, exec, admin
	features   list of strings   what this server can do beyond the first form of version 1; today: nosync
	must_change   boolean   optional: until the password is changed, nothing is carried out but login, proof, passwd and logout

The client MUST check SIGNATURE before it believes anything of this, and SHOULD send nothing before that.

Errors: auth_failed (unknown name, wrong password, other channel: nothing tells them apart; after the third in a
connection the server closes it), denied (the proof was right, but the account is locked or expired, not open to this
address, or its home is unusable; the server closes), too_many (as many sessions as the
account may have; later it may work; the server closes), rate_limited (see below; the server closes), bad_request (no login
before).

Failed logins are counted by address, and by address and name together. After some of them the server answers login, proof
and key with rate_limited for a while, the longer the more there were, whether the name exists and the proof is right or not. A
client that goes on meanwhile is banned: for a time, connections from its address are closed unheard.

# key

Logs in with a public key, in the place of login and proof, in one round trip: hello, key and further requests may be sent
together. Not on plain connections. The server proves nothing by it, so a client MUST know its fingerprint before.

	user        string   the name of the account
	key         string   the public key in its wire form (RFC 4253, section 6.6), base64
	signature   string   in its wire form too, base64

Signed is, in the frame of OpenSSH's PROTOCOL.sshsig, the namespace "ferry-auth" and the hash algorithm "sha256" with the
SHA-256 of: the name, a zero byte, and 32 bytes of keying material (RFC 5705) for the label EXPORTER-ferry-Pubkey
without a context:

	"SSHSIG" + string(ferry-auth) + string() + string(sha256) + string(hash)      string() as in RFC 4251, section 5

Ed25519, ECDSA and RSA keys (2048 bits and more, signed with SHA-2) are taken, and their "sk-" kinds.

The answer is that of proof with an empty message.

Errors: auth_failed (unknown name, not a key of the account, wrong signature; counts as a failed try), unsupported (a plain
connection), and as proof: denied, rate_limited, too_many, version, bad_request.

# Proving it again

What changes how the account is logged in to (passwd, putkey, dropkey) needs more than a session: login and proof, or
key, sent on the connection after it has come in. They are as before it, with these differences: the name must be that of
the account, the answers to proof and key have no field but message, and nothing is begun or ended by them. A proof is good for the one
request that follows it on this connection, whatever that is; without one those requests are denied. Any password or key
with which the account could log in now is good. A wrong proof is auth_failed, and the third in a session ends it. A proof of the password
that comes from a client that keeps it in memory is as good as one that was typed just now: to ask the person again is the client's part.

# attach

Makes this connection one more of a session, in the place of login and proof: for speed on long lines, or in the place
of one that was lost. Uploads belong to the session, so any of its connections may send data for them.

	session   string   id of the session
	proof     string   64 hexadecimal digits: HMAC-SHA-256, under the secret, of the text "ferry attach" + data (see login)

The answer has no fields. A session has at most 16 connections; for one more the server closes one that has been silent
for 5 s, if there is one. Its secret is good for 5 minutes after its last
connection has ended; a logout, another password, the removal or the locking of the account, and a restart of the server
end it at once, as does whatever else keeps the account out. Then the client logs in.

Errors: auth_failed (no such session, or the proof is wrong: nothing tells them apart; counts as a failed try),
kicked (an administrator ended this session in the last 5 minutes), too_many, version (no hello yet), bad_request.

# register

Makes an account, if the server lets people do that: with an invite of the administrator's, or openly within limits. It comes after
hello, before login, and not on plain connections. Nothing proves the server to the client here, so a client MUST know its
fingerprint before: an invite is written CODE@FINGERPRINT and brings it along. The server never sees the password.

	user     string   the name wanted: 1 to 32 of a-z 0-9 . _ - that begin with a letter or digit
	code     string   optional: of the invite
	record   string   optional: as in passwd

Without a record it is only answered whether that could be done now, with

	costs   object   as in passwd

With one the answer has no fields, and comes when the account is durable; nobody is logged in by it. What the account may do is for the server's configuration to say: there are no
other fields. The request may be repeated as it is: an account that is there with the same record is success.

Errors: denied (nobody can register here), auth_failed (an invite is needed, and this is not one: it is missing, used, expired or wrong;
whatever the name), exists (the name is taken or reserved; without an invite, where one is needed, nobody learns that), bad_request (not a name,
not such a record), rate_limited (too many accounts, or failed tries, lately), unsupported (a plain connection), busy (the account file is being changed, or
cannot be), version (no hello yet). Errors but rate_limited and busy count as failed tries.

# logout

Ends the session: its other connections too. No fields. The answer has none. The server closes when everything sent before is answered.

# ping

No fields. The answer has none.

# passwd

Changes the password of the account. It needs a proof (see "Proving it again"), and no plain connection. The server never
sees the password: the client makes the record of it. Of an account that has keys only it makes one that has a password, too.

	record   string   optional: "$scram-sha256-argon2id$v=19$m=M,t=T,p=P$" + SALT + "$" + KEYS

SALT is 16 new random bytes and KEYS are StoredKey + ServerKey (see login), both base64 without padding. M, T and P must be what the
request without a record, which needs no proof, is answered with:

	costs   object:
	   memory   integer   M
	   passes   integer   T
	   lanes    integer   P

The answer with a record has no fields. It comes when that is durable. From then on logins take the new password only, and must_change is
over. This session goes on; other sessions that came in by the password are ended, their secrets with them. The request may
be repeated as it is: to change the password to the same record is success. A client whose answer was lost logs in with
the old or the new password, as SALT of text 2 tells.

Errors: unsupported (a plain connection), denied (no proof before it), auth_failed (what was proved is no longer good), bad_request
(the record), busy (the account file is being changed, or cannot be).

# keys

Lists what the account logs in with. No fields. The answer:

	keys   list of objects:
	   kind          string   such as ssh-ed25519
	   fingerprint   string   "SHA256:" and the unpadded base64 of the SHA-256 of the wire form
	   comment       string   at most 200 bytes of it
	password   boolean   there is a password, too

# putkey

Adds a public key, which can log in from then on. It needs a proof and no plain connection.

	key   string   the line of a .pub file: kind, base64 of the wire form, comment

The answer has no fields; it comes when that is durable. A key that is there already is success, its comment stays. Errors: bad_request
(not a key, or not of a kind that key takes), too_many (100 keys are there), and those of passwd.

# dropkey

Takes a public key from the account, and ends the sessions that came in by it. It needs a proof and no plain connection.

	fingerprint   string   as keys lists it

The answer has no fields; it comes when that is durable. A key that is not there is success. Errors: denied (it is the last way to log in),
and those of passwd.

# Errors of every command after login

bad_request (fields or body are not what the command takes), denied (the account lacks a right that the command needs,
named in the message), must_change (of all but login, proof, passwd and logout), unknown_command, shutting_down, internal. Commands with a path: bad_path, not_found (it, or a
directory on the way), not_dir (something on the way is a file), denied (it is not a regular file where one is
needed). A session's rights are those that the account has at the path
at the moment of the request; a listing leaves out what may not be listed. The sections below name what
comes on top of that.

# stat

Describes one name; a symbolic link itself. Needs the right list.

	path   name

The answer:

	entry   entry

# ls

Lists a directory; of a file or link, that alone. Needs the right list.

	path   name
	deep   boolean   optional: everything below too; symbolic links are not followed

Each message of the answer has

	entries   list of entries   in no particular order, but with deep each directory before what is in it

Names that come or go while the listing runs may be in it or not.

# mkdir

Makes a directory. Needs write.

	id, boot
	path      name
	parents   boolean   optional: make missing directories above it too, and be content if it is there

The answer has no fields; it comes when the directory is durable. Errors: exists, uncertain, no_space, quota.

# rmdir

Removes an empty directory. Needs delete.

	id, boot
	path   name

The answer has no fields; it comes when that is durable. Errors: not_dir, not_empty, uncertain, bad_path (the home
itself).

# rm

Removes a file, a symbolic link or whatever else is not a directory. Needs delete.

	id, boot
	path   name

The answer has no fields; it comes when that is durable. Errors: is_dir, uncertain.

# rmtree

Removes a directory with everything below it, or whatever else the name stands for. Symbolic links are removed, never
followed. Needs delete, for each name at its place: what may not or cannot be removed stays, with the directories above it,
and the rest goes.

	id, boot
	path   name

The answer comes when what is gone is durably gone:

	removed   integer           how many names were removed
	kept      integer           optional: how many could not be, the directories above them not counted
	why       list of objects   optional: the first of those, each {"path": name, "error": error}

It ends early when its connection does: then part of the tree is gone. Errors: uncertain, bad_path (the home itself).

# mv

Moves a file or directory in one step. Needs delete and write, and overwrite when something is replaced.

	id, boot
	path      name
	to        name      the new path, not the directory to move into
	replace   boolean   optional: a file at the target may be replaced
	version   version   optional: of the file before the move, if the client knows it

The answer has no fields; it comes when that is durable. Errors: exists (without replace; or a directory is at the
target, which is never replaced), bad_path (a directory into itself), uncertain, unsupported.

# cp

Copies a file, with its time and mode, on the server's disk. Needs read, write at the target, and overwrite when something
is replaced.

	id, boot
	path      name
	to        name      the new path, not the directory to copy into
	replace   boolean   optional: a file at the target may be replaced

The copy appears in one step. The answer has no fields; it comes when that is durable. It ends early, leaving nothing, when
its connection does. Errors: exists (without replace), is_dir, bad_path (onto itself), changed (while it was copied), uncertain,
no_space, quota, too_large.

# set

Sets the time or the mode of a file or directory, one of them at least. Needs overwrite.

	id, boot
	path    name
	mtime   integer   optional: the new time of the last change
	mode    integer   optional: the new permission bits; the server may leave some of them out, as it does with put

The answer has no fields; it comes when that is durable. A version changes with it. Errors: uncertain, unsupported, bad_path
(the mode of the home itself).

# sum

Computes a file's SHA-256. Needs read.

	path   name

The answer:

	sha256   string   64 lower-case hexadecimal digits
	entry    entry    the version that was read

Errors: is_dir, changed (while it was read).

# put

Sends a file of at most 1 MiB whole, or opens an upload. Needs write, and overwrite when something is there.

	id, boot
	path      name
	length    integer   of the file, 0 or more
	mtime     integer   that the file will have
	mode      integer   optional: permission bits that it will have; absent or 0: the server's choice
	job       id        the same whenever this transfer is tried, on whichever connection; optional with a body
	expect    version   optional: publish only over this version; "": only where nothing is
	force     boolean   optional: publish over whatever is there then; expect is not looked at
	parents   boolean   optional: make missing directories
	writer    id        optional: the same for one run of the client, whatever connection it is on
	reopen    boolean   optional: this writer had the upload open before, on a connection that was lost
	try       integer   optional: how often this writer has asked for the upload before, answered or not
	nosync    boolean   optional, feature nosync: with a body, answer before the file is durable
	size, body          the whole file, exactly length bytes; absent to open an upload

Without expect and without force, expect is the version that is there when the request is read, or nothing.

With a body, the file is published before the answer, in one step: nobody sees a part of it, and without nosync it is
durable.

	entry   entry     what is there now
	same    boolean   optional: the content was there already; time and mode were set if they differed

The server may answer a run of such requests together, up to 256, as soon as no further request has arrived: they
share a sync.

Without a body, nothing is published yet. The answer:

	upload   id                of the upload
	epoch    integer           goes into every request about it
	key      key               for its tags
	have     list of ranges    optional: at most 64, each [offset, length]: where the server seems to have bytes already
	staged   integer           optional: how many bytes of have were sent before; the others are those of the file that is replaced
	base     version           of what is there now, "" if there is no file

The whole length counts for the account's quota from now on, next to what the file replaces, which counts until it was
replaced. A file with a body counts likewise while it is being published. What does not fit is refused with quota before
a byte is stored.

An upload that was begun before is gone on with, and its staged bytes appear in have, if it has the same path and job,
or the same path and nobody is sending it: the connections of its session are closed or have been silent for 60 s. It
takes over the new length, time and mode. The epoch is larger each time. Whoever had it before is answered superseded
from then on, SHOULD NOT reconnect for it, and what it sends is not stored. The key is the same for the life of the
upload. An upload stays open as long as one connection of the session that opened it; any of them may be used for it. What
is staged then waits for the next one who opens it; if it was opened only once, and no byte of it was stored and no block
verified, it is dropped.

A client that opens the upload again after a loss sends, as expect, the base it was told the first time, so that a
change by somebody else in between is noticed, and reopen with its writer: if another writer has opened the upload since,
the answer is superseded, and that one keeps it. What a client asked on a connection that was lost may be read after
what it asks on the next one: a request whose try is lower than that of the same writer's that has the upload open is
answered superseded, too, and changes nothing.

An expect that does not hold is refused at once, with exists if it is "" and with conflict otherwise, but not in a request
with boot or reopen: that may find its own work. What comes to be there between then and the publishing is a conflict.

Errors: is_dir, exists, conflict, superseded, no_space, quota, too_large, too_many (1000 unfinished
uploads), not_found (a directory is missing, without parents), verify_failed (the disk failed).

# data

Sends bytes of an upload. Needs write.

	upload   id
	epoch    integer
	offset   integer   of the body in the file
	tag      tag       of the body, under the number of its block
	size, body         1 byte or more, all of one block

The answer has no fields. A block counts as verified when it was sent whole in one request, or by check. A part of a
block is kept, but the block then needs a check.

Errors: verify_failed (the body does not fit its tag; or the disk failed and the upload is gone), superseded, busy
(another connection is at this very block),
not_found (no such upload is open: it was committed, dropped, or lost), no_space, quota, changed (the file to be
replaced changed while blocks were taken over from it: open the upload again).

# check

Asks which of some blocks the server holds exactly as the client does. Needs write.

	upload   id
	epoch    integer
	first    integer   number of the first block
	size, body         the tags of the client's blocks first, first+1, ...: 1 to 256, 16 bytes each

The answer has no fields and a body: a bitmap of as many blocks, set for those that must be sent. The others are
verified. The server looks at what is staged, then at the same place of the file to be replaced if the account may
read it. Errors: as data.

# commit

Publishes an upload. Needs write.

	id, boot
	upload   id
	epoch    integer
	nosync   boolean   optional, feature nosync: answer before the file is durable

Before it sends this, the client SHOULD look whether its own file is still the one it began with, and leave the upload
if not.

	entry    entry     what is there now
	same     boolean   optional: the whole content was there already and nothing was replaced
	reused   integer   optional: bytes that check found

The file replaces what is at the path in one step (a symbolic link there, not its target) and without nosync is
durable when the answer comes. The upload is gone then. After an error it is still there, but for verify_failed of the
disk.

Errors: verify_failed (a block was neither sent whole nor found by check), conflict (what is there is not what expect
says; or expect is "" and something is there), busy (another connection is at one
of its blocks), is_dir, superseded, not_found, no_space, quota, too_large, changed.

# get

Fetches bytes of a file. Needs read.

	path      name
	version   version   optional: of the file wanted; absent: whatever is there
	offset    integer   a multiple of 1 MiB
	length    integer   0 to 67108864 (64 MiB); what lies behind the end of the file is not sent
	key       key       for the tags, made by the client

Each message of the answer has one block as its body, in order, and

	entry   entry   in the first message only: the version that is sent
	tag     tag     of the body, under the number of its block

When the range has no bytes, the answer is one message with the entry and no body. All bytes are of the version in the
entry, or the answer ends with an error. A client wants a larger file in several requests and gives the version of the
first entry in the others. It SHOULD make a new key for each file.

Errors: changed (it is not, or no longer, that version), is_dir.

# verify

Asks which of some blocks the client holds exactly as the server does. Needs read.

	path      name
	version   version   of the file
	first     integer   number of the first block
	key       key       made by the client
	size, body          the tags of the client's blocks first, first+1, ...: 1 to 256, 16 bytes each

The answer has no fields and a body: a bitmap of as many blocks, set for those that differ. Errors: as get.

# resume

Lists the account's unfinished uploads, oldest first. Needs list. No fields. Each message of the answer has

	uploads   list of objects:
	   upload    id
	   path      name
	   length    integer   of the whole file
	   done      integer   bytes staged; none of them verified
	   job       id        "" if there is none
	   created   integer   time
	   touched   integer   time of the last opening or write, about
	   mtime     integer   of the file that was being sent
	   live      boolean   optional: another session is sending it now; what this one sends its client knows

Nothing else is needed to go on with one: put with the same path does. Unfinished uploads that nobody touches are
dropped after some days (7 unless the server is told otherwise).

# drop

Discards an unfinished upload. Needs write.

	id, boot
	upload   id

The answer has no fields. The room it took up is free again. Errors: not_found. A connection that is sending the upload
is answered superseded or not_found from then on.

# admin

Carries out a command line of an administrator: the verbs user, invite, sessions, uploads, bans and reload of ferryd, with
their options but those that say where the accounts are. Needs the right admin. Not on plain connections.

	id, boot          absent for a command line that changes nothing
	args     list of strings   the words, without the program's name: "user", "lock", "bob"
	record   string            optional: that of the new password, as users.toml has it in auth
	json     boolean           optional: results as JSON, one object a line

Each message of the answer may have

	output   string   optional: a piece of what the command line prints; pieces are joined as they are
	notes    string   optional: a piece of what it says beside that

and the last one

	exit      integer   optional: not 0 if it failed: 1 other, 2 wrong command line, 6 no such user, 7 the account file is
	                    invalid, 9 name in use
	message   string    optional: why
	hint      string    optional: what to do about that
	password  object    optional: nothing was done, a new password is wanted first:
	   name      string    of the account
	   from      string    ask, stdin or generate: what the command line says of where it comes from
	   memory    integer   the costs of its record: KiB,
	   time      integer   passes
	   threads   integer   and lanes

A client that is asked for a password makes the record as "login" describes it (salt, StoredKey and ServerKey) and sends
the command line again, with a new id, and with

	record = "$scram-sha256-argon2id$v=19$m=M,t=T,p=P$" + SALT + "$" + (StoredKey + ServerKey)

where both are base64 without padding. A password itself is never sent; a server takes none in args.

The verb complete is for a client that helps to type: behind it come the words typed so far, the last of which may be empty. It
prints what could stand in the place of that one, a line each, in no order, whether or not it begins with what was typed:
verbs, accounts, ids or addresses, and options if the word begins with "-".

The server also has a socket of its own for administrators of its machine, control.sock in its data directory. There a
connection says hello (without a nonce) and sends admin, one request after the other; nobody logs in, and there are no
other commands.

Errors: unsupported (a plain connection).

# df

Tells how much room the account has. No fields. The answer:

	used          integer   bytes of all files of the account; an unfinished upload counts with its declared length
	quota         integer   optional: how many there may be; absent: no limit
	files         integer   files, directories and unfinished uploads
	quota_files   integer   optional: how many there may be; absent: no limit
	free          integer   bytes left on the server's medium for everybody, -1 if that is not known

The first time the server may have to look at every file of the account.

# An upload from beginning to end

	put     path, length, job             -> upload, epoch, key, have
	data    a block outside have          -> (any number, all pipelined)
	check   tags of 256 blocks of have    -> bitmap: these must be sent after all
	data    a block of the bitmap         ->
	commit                                -> entry

New bytes can be sent at once, the checks between them. After a lost connection the client logs in again, sends the
same put (same job, new id), and begins the list anew; blocks it sent before are in have then. After verify_failed or
not_found it does the same, but not for ever.

# Errors

Codes are only ever added. A client treats one that it does not know as internal and shows the message.

	bad_request       the request is not what the command takes; also protocol errors, behind which the connection ends
	unknown_command   there is no such command, or it is one of the login and came after it
	unsupported       not on this server, storage or kind of connection
	version           no common version of the protocol, or hello is missing
	auth_failed       unknown name or wrong proof
	login_required    the command needs a login; or the session has ended
	denied            no right to do that there, not a regular file, or the account may not come in
	bad_path          see "Names"
	not_found         no such file, directory or upload
	exists            something is there already
	is_dir            a directory is where a file is needed
	not_dir           something else is where a directory is needed
	not_empty         the directory to be removed is not empty
	busy              in use by somebody else; later it may work
	conflict          the target changed since the upload began
	changed           the file is not, or no longer, the version asked for
	superseded        a newer opening has taken the upload over
	uncertain         it cannot be known whether the request was carried out before; nothing was done now
	verify_failed     bytes do not fit their tag, not every block is verified, or the server's disk failed: open the upload again
	quota             the account may not take up more; the message names what is used and the limit
	no_space          the server has no room left
	rate_limited      too often; later it may work
	too_many          sessions, connections of a session or unfinished uploads
	shutting_down     the server is being stopped; another connection may work
	internal          the server's fault; the message has an id that its log explains
	kicked            an administrator ended the session
	must_change       the password must be changed before anything else
	too_large         the account takes no file of that length; the message names the longest

A message never holds an error text of the server's operating system or a path outside the home.

# An exchange

One plain connection, both directions, whole messages: "C" is sent by the client, "S" by the server. The password is
"correct horse". The listing is that of hexdump -C: offset, bytes, text.

	C  says hello, with its nonce
	   00000000  7d 00 00 00 7b 22 63 6d  64 22 3a 22 68 65 6c 6c  |}...{"cmd":"hell|
	   00000010  6f 22 2c 22 76 65 72 73  69 6f 6e 22 3a 31 2c 22  |o","version":1,"|
	   00000020  63 6c 69 65 6e 74 22 3a  22 65 78 61 6d 70 6c 65  |client":"example|
	   00000030  20 31 2e 30 22 2c 22 6e  6f 6e 63 65 22 3a 22 30  | 1.0","nonce":"0|
	   00000040  31 30 31 30 31 30 31 30  31 30 31 30 31 30 31 30  |1010101010101010|
	   00000050  31 30 31 30 31 30 31 30  31 30 31 30 31 30 31 30  |1010101010101010|
	   00000060  31 30 31 30 31 30 31 30  31 30 31 30 31 30 31 30  |1010101010101010|
	   00000070  31 30 31 30 31 30 31 30  31 30 31 30 31 30 31 22  |101010101010101"|
	   00000080  7d                                                |}|
	S  answers with its own
	   00000000  89 00 00 00 7b 22 76 65  72 73 69 6f 6e 22 3a 31  |....{"version":1|
	   00000010  2c 22 73 65 72 76 65 72  22 3a 22 66 65 72 72 79  |,"server":"ferry|
	   00000020  64 20 31 2e 30 22 2c 22  6e 6f 6e 63 65 22 3a 22  |d 1.0","nonce":"|
	   00000030  30 32 30 32 30 32 30 32  30 32 30 32 30 32 30 32  |0202020202020202|
	   00000040  30 32 30 32 30 32 30 32  30 32 30 32 30 32 30 32  |0202020202020202|
	   00000050  30 32 30 32 30 32 30 32  30 32 30 32 30 32 30 32  |0202020202020202|
	   00000060  30 32 30 32 30 32 30 32  30 32 30 32 30 32 30 32  |0202020202020202|
	   00000070  22 2c 22 74 69 6d 65 22  3a 31 37 30 30 30 30 30  |","time":1700000|
	   00000080  30 30 30 30 30 30 30 30  30 30 30 30 7d           |000000000000}|
	C  text 1 of the login
	   00000000  55 00 00 00 7b 22 63 6d  64 22 3a 22 6c 6f 67 69  |U...{"cmd":"logi|
	   00000010  6e 22 2c 22 6d 65 73 73  61 67 65 22 3a 22 70 3d  |n","message":"p=|
	   00000020  66 65 72 72 79 2d 70 6c  61 69 6e 2c 2c 6e 3d 61  |ferry-plain,,n=a|
	   00000030  6c 69 63 65 2c 72 3d 41  41 45 43 41 77 51 46 42  |lice,r=AAECAwQFB|
	   00000040  67 63 49 43 51 6f 4c 44  41 30 4f 44 78 41 52 45  |gcICQoLDA0ODxARE|
	   00000050  68 4d 55 46 52 59 58 22  7d                       |hMUFRYX"}|
	S  text 2
	   00000000  8b 00 00 00 7b 22 6d 65  73 73 61 67 65 22 3a 22  |....{"message":"|
	   00000010  72 3d 41 41 45 43 41 77  51 46 42 67 63 49 43 51  |r=AAECAwQFBgcICQ|
	   00000020  6f 4c 44 41 30 4f 44 78  41 52 45 68 4d 55 46 52  |oLDA0ODxAREhMUFR|
	   00000030  59 58 47 42 6b 61 47 78  77 64 48 68 38 67 49 53  |YXGBkaGxwdHh8gIS|
	   00000040  49 6a 4a 43 55 6d 4a 79  67 70 4b 69 73 73 4c 53  |IjJCUmJygpKissLS|
	   00000050  34 76 2c 73 3d 4d 44 45  79 4d 7a 51 31 4e 6a 63  |4v,s=MDEyMzQ1Njc|
	   00000060  34 4f 54 6f 37 50 44 30  2b 50 77 3d 3d 2c 69 3d  |4OTo7PD0+Pw==,i=|
	   00000070  32 2c 6b 3d 61 72 67 6f  6e 32 69 64 3a 76 3d 31  |2,k=argon2id:v=1|
	   00000080  39 3a 6d 3d 31 39 34 35  36 3a 70 3d 31 22 7d     |9:m=19456:p=1"}|
	C  text 3: its proof
	   00000000  fc 00 00 00 7b 22 63 6d  64 22 3a 22 70 72 6f 6f  |....{"cmd":"proo|
	   00000010  66 22 2c 22 6d 65 73 73  61 67 65 22 3a 22 63 3d  |f","message":"c=|
	   00000020  63 44 31 6d 5a 58 4a 79  65 53 31 77 62 47 46 70  |cD1mZXJyeS1wbGFp|
	   00000030  62 69 77 73 41 51 45 42  41 51 45 42 41 51 45 42  |biwsAQEBAQEBAQEB|
	   00000040  41 51 45 42 41 51 45 42  41 51 45 42 41 51 45 42  |AQEBAQEBAQEBAQEB|
	   00000050  41 51 45 42 41 51 45 42  41 51 45 42 41 51 45 43  |AQEBAQEBAQEBAQEC|
	   00000060  41 67 49 43 41 67 49 43  41 67 49 43 41 67 49 43  |AgICAgICAgICAgIC|
	   00000070  41 67 49 43 41 67 49 43  41 67 49 43 41 67 49 43  |AgICAgICAgICAgIC|
	   00000080  41 67 49 43 41 67 49 43  41 67 3d 3d 2c 72 3d 41  |AgICAgICAg==,r=A|
	   00000090  41 45 43 41 77 51 46 42  67 63 49 43 51 6f 4c 44  |AECAwQFBgcICQoLD|
	   000000a0  41 30 4f 44 78 41 52 45  68 4d 55 46 52 59 58 47  |A0ODxAREhMUFRYXG|
	   000000b0  42 6b 61 47 78 77 64 48  68 38 67 49 53 49 6a 4a  |BkaGxwdHh8gISIjJ|
	   000000c0  43 55 6d 4a 79 67 70 4b  69 73 73 4c 53 34 76 2c  |CUmJygpKissLS4v,|
	   000000d0  70 3d 70 73 6e 57 31 79  62 69 58 65 35 33 58 6e  |p=psnW1ybiXe53Xn|
	   000000e0  76 31 4b 73 36 48 6c 6c  41 42 47 44 78 46 2b 6c  |v1Ks6HllABGDxF+l|
	   000000f0  66 44 6a 79 6e 42 37 76  50 46 6d 63 51 3d 22 7d  |fDjynB7vPFmcQ="}|
	S  text 4: the server's proof; alice is logged in
	   00000000  47 01 00 00 7b 22 6d 65  73 73 61 67 65 22 3a 22  |G...{"message":"|
	   00000010  76 3d 47 46 75 6b 4a 57  33 56 70 31 34 41 65 4d  |v=GFukJW3Vp14AeM|
	   00000020  4c 53 50 48 65 58 39 73  4d 6b 45 62 69 78 47 59  |LSPHeX9sMkEbixGY|
	   00000030  4a 65 64 2b 7a 58 48 5a  44 6d 56 65 45 3d 22 2c  |Jed+zXHZDmVeE=",|
	   00000040  22 73 65 73 73 69 6f 6e  22 3a 22 30 34 30 34 30  |"session":"04040|
	   00000050  34 30 34 30 34 30 34 30  34 30 34 30 34 30 34 30  |4040404040404040|
	   00000060  34 30 34 30 34 30 34 30  34 30 34 22 2c 22 73 65  |40404040404","se|
	   00000070  63 72 65 74 22 3a 22 30  36 30 36 30 36 30 36 30  |cret":"060606060|
	   00000080  36 30 36 30 36 30 36 30  36 30 36 30 36 30 36 30  |6060606060606060|
	   00000090  36 30 36 30 36 30 36 30  36 30 36 30 36 30 36 30  |6060606060606060|
	   000000a0  36 30 36 30 36 30 36 30  36 30 36 30 36 30 36 30  |6060606060606060|
	   000000b0  36 30 36 30 36 30 36 22  2c 22 62 6f 6f 74 22 3a  |6060606","boot":|
	   000000c0  22 30 33 30 33 30 33 30  33 30 33 30 33 30 33 30  |"030303030303030|
	   000000d0  33 30 33 30 33 30 33 30  33 30 33 30 33 30 33 30  |3030303030303030|
	   000000e0  33 22 2c 22 75 70 22 3a  33 36 30 30 30 30 30 2c  |3","up":3600000,|
	   000000f0  22 75 73 65 72 22 3a 22  61 6c 69 63 65 22 2c 22  |"user":"alice","|
	   00000100  72 69 67 68 74 73 22 3a  5b 22 6c 69 73 74 22 2c  |rights":["list",|
	   00000110  22 72 65 61 64 22 2c 22  77 72 69 74 65 22 2c 22  |"read","write","|
	   00000120  6f 76 65 72 77 72 69 74  65 22 2c 22 64 65 6c 65  |overwrite","dele|
	   00000130  74 65 22 5d 2c 22 66 65  61 74 75 72 65 73 22 3a  |te"],"features":|
	   00000140  5b 22 6e 6f 73 79 6e 63  22 5d 7d                 |["nosync"]}|
	C  a small file, named with the bytes "n", ff, ".txt"
	   00000000  7f 00 00 00 7b 22 63 6d  64 22 3a 22 70 75 74 22  |....{"cmd":"put"|
	   00000010  2c 22 73 69 7a 65 22 3a  31 33 2c 22 69 64 22 3a  |,"size":13,"id":|
	   00000020  22 30 35 30 35 30 35 30  35 30 35 30 35 30 35 30  |"050505050505050|
	   00000030  35 30 35 30 35 30 35 30  35 30 35 30 35 30 35 30  |5050505050505050|
	   00000040  35 22 2c 22 70 61 74 68  22 3a 22 2f 6e 5c 75 30  |5","path":"/n\u0|
	   00000050  30 30 30 66 66 2e 74 78  74 22 2c 22 6c 65 6e 67  |000ff.txt","leng|
	   00000060  74 68 22 3a 31 33 2c 22  6d 74 69 6d 65 22 3a 31  |th":13,"mtime":1|
	   00000070  37 30 30 30 30 30 30 30  30 30 30 30 30 30 30 30  |7000000000000000|
	   00000080  30 30 7d 68 65 6c 6c 6f  2c 20 77 6f 72 6c 64 0a  |00}hello, world.|
	C  and without waiting, a question
	   00000000  20 00 00 00 7b 22 63 6d  64 22 3a 22 73 74 61 74  | ...{"cmd":"stat|
	   00000010  22 2c 22 70 61 74 68 22  3a 22 2f 6d 69 73 73 69  |","path":"/missi|
	   00000020  6e 67 22 7d                                       |ng"}|
	S  the disk is slow: a sign of life
	   00000000  0d 00 00 00 7b 22 6d 6f  72 65 22 3a 74 72 75 65  |....{"more":true|
	   00000010  7d                                                |}|
	S  the file is stored
	   00000000  81 00 00 00 7b 22 65 6e  74 72 79 22 3a 7b 22 6e  |....{"entry":{"n|
	   00000010  61 6d 65 22 3a 22 2f 6e  5c 75 30 30 30 30 66 66  |ame":"/n\u0000ff|
	   00000020  2e 74 78 74 22 2c 22 6b  69 6e 64 22 3a 22 66 69  |.txt","kind":"fi|
	   00000030  6c 65 22 2c 22 6c 65 6e  67 74 68 22 3a 31 33 2c  |le","length":13,|
	   00000040  22 6d 74 69 6d 65 22 3a  31 37 30 30 30 30 30 30  |"mtime":17000000|
	   00000050  30 30 30 30 30 30 30 30  30 30 30 2c 22 6d 6f 64  |00000000000,"mod|
	   00000060  65 22 3a 34 32 30 2c 22  76 65 72 73 69 6f 6e 22  |e":420,"version"|
	   00000070  3a 22 63 34 63 61 34 32  33 38 61 30 62 39 32 33  |:"c4ca4238a0b923|
	   00000080  38 32 22 7d 7d                                    |82"}}|
	S  the question is answered with an error
	   00000000  44 00 00 00 7b 22 65 72  72 6f 72 22 3a 7b 22 63  |D...{"error":{"c|
	   00000010  6f 64 65 22 3a 22 6e 6f  74 5f 66 6f 75 6e 64 22  |ode":"not_found"|
	   00000020  2c 22 6d 65 73 73 61 67  65 22 3a 22 6e 6f 20 73  |,"message":"no s|
	   00000030  75 63 68 20 66 69 6c 65  20 6f 72 20 64 69 72 65  |uch file or dire|
	   00000040  63 74 6f 72 79 22 7d 7d                           |ctory"}}|
	C  fetches the file, under a key of its own
	   00000000  6a 00 00 00 7b 22 63 6d  64 22 3a 22 67 65 74 22  |j...{"cmd":"get"|
	   00000010  2c 22 70 61 74 68 22 3a  22 2f 6e 5c 75 30 30 30  |,"path":"/n\u000|
	   00000020  30 66 66 2e 74 78 74 22  2c 22 6f 66 66 73 65 74  |0ff.txt","offset|
	   00000030  22 3a 30 2c 22 6c 65 6e  67 74 68 22 3a 31 30 34  |":0,"length":104|
	   00000040  38 35 37 36 2c 22 6b 65  79 22 3a 22 30 30 30 31  |8576,"key":"0001|
	   00000050  30 32 30 33 30 34 30 35  30 36 30 37 30 38 30 39  |0203040506070809|
	   00000060  30 61 30 62 30 63 30 64  30 65 30 66 22 7d        |0a0b0c0d0e0f"}|
	S  its only block
	   00000000  b4 00 00 00 7b 22 73 69  7a 65 22 3a 31 33 2c 22  |....{"size":13,"|
	   00000010  65 6e 74 72 79 22 3a 7b  22 6e 61 6d 65 22 3a 22  |entry":{"name":"|
	   00000020  2f 6e 5c 75 30 30 30 30  66 66 2e 74 78 74 22 2c  |/n\u0000ff.txt",|
	   00000030  22 6b 69 6e 64 22 3a 22  66 69 6c 65 22 2c 22 6c  |"kind":"file","l|
	   00000040  65 6e 67 74 68 22 3a 31  33 2c 22 6d 74 69 6d 65  |ength":13,"mtime|
	   00000050  22 3a 31 37 30 30 30 30  30 30 30 30 30 30 30 30  |":17000000000000|
	   00000060  30 30 30 30 30 2c 22 6d  6f 64 65 22 3a 34 32 30  |00000,"mode":420|
	   00000070  2c 22 76 65 72 73 69 6f  6e 22 3a 22 63 34 63 61  |,"version":"c4ca|
	   00000080  34 32 33 38 61 30 62 39  32 33 38 32 22 7d 2c 22  |4238a0b92382"},"|
	   00000090  74 61 67 22 3a 22 33 32  66 32 31 64 31 61 34 30  |tag":"32f21d1a40|
	   000000a0  37 63 36 33 61 64 39 38  64 37 62 66 37 39 62 31  |7c63ad98d7bf79b1|
	   000000b0  65 64 37 34 61 30 22 7d  68 65 6c 6c 6f 2c 20 77  |ed74a0"}hello, w|
	   000000c0  6f 72 6c 64 0a                                    |orld.|
	C  compares what it has, under the same key
	   00000000  82 00 00 00 7b 22 63 6d  64 22 3a 22 76 65 72 69  |....{"cmd":"veri|
	   00000010  66 79 22 2c 22 73 69 7a  65 22 3a 31 36 2c 22 70  |fy","size":16,"p|
	   00000020  61 74 68 22 3a 22 2f 6e  5c 75 30 30 30 30 66 66  |ath":"/n\u0000ff|
	   00000030  2e 74 78 74 22 2c 22 76  65 72 73 69 6f 6e 22 3a  |.txt","version":|
	   00000040  22 63 34 63 61 34 32 33  38 61 30 62 39 32 33 38  |"c4ca4238a0b9238|
	   00000050  32 22 2c 22 66 69 72 73  74 22 3a 30 2c 22 6b 65  |2","first":0,"ke|
	   00000060  79 22 3a 22 30 30 30 31  30 32 30 33 30 34 30 35  |y":"000102030405|
	   00000070  30 36 30 37 30 38 30 39  30 61 30 62 30 63 30 64  |060708090a0b0c0d|
	   00000080  30 65 30 66 22 7d 32 f2  1d 1a 40 7c 63 ad 98 d7  |0e0f"}2...@|c...|
	   00000090  bf 79 b1 ed 74 a0                                 |.y..t.|
	S  a bitmap: nothing differs
	   00000000  0a 00 00 00 7b 22 73 69  7a 65 22 3a 31 7d 00     |....{"size":1}.|
	C  goes
	   00000000  10 00 00 00 7b 22 63 6d  64 22 3a 22 6c 6f 67 6f  |....{"cmd":"logo|
	   00000010  75 74 22 7d                                       |ut"}|
	S  and the connection is closed
	   00000000  02 00 00 00 7b 7d                                 |....{}|
*/
package wire

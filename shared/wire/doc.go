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
	error   object    optional: {"code": string, "message": string}; always in the last message
	size    integer   optional: the length of the body
	again   true      optional: this is the answer to an earlier request with the same id, given once more

An error says that the request was not carried out, and why: code for programs, from the list under "Errors", message
for people. Other fields are absent or mean nothing then. A part of an answer that came before an error is void. The
body of a request that fails is still read, so the next message always begins behind it. The connection stays usable.

While an answer takes long the server sends the message {"more":true}, with these 13 bytes as its header and no body,
every 10 s: a sign of life. It may come before the first message of any answer and between any two. A client drops it,
and may take a server for dead that has been silent for 30 s while it owes an answer.

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
  - after a hello with another version, after the third failed login, and after logout
  - when the account is removed, locked or gets another password, with denied
  - when it is stopped: what was read is carried out and answered first

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

Requests that change something (mkdir, rmdir, rm, mv, put, commit, drop) have

	id     id        random, new for every request
	boot   string    optional: only when the request is repeated

When a connection is lost, the client cannot know whether a request without answer was carried out. It repeats it on a
new connection with the same id, and with boot as the answer to proof gave it on the connection where the request was
first sent. The server

  - remembers the answers of the last 1024 such requests of an account for 10 minutes, errors too. If it knows the id, it
    gives the first answer, with "again": true, after waiting for it if need be
  - otherwise, if boot is absent or its own, the request never arrived: it is carried out now
  - otherwise the server was started anew in between, its memory is gone, and it judges by what is there

After such a start the answer is success without doing anything, or what stands here:

	mkdir       a directory of that name is there
	rm, rmdir   the name is gone
	mv          the source is gone and something is at the target
	put         with a body: the same content is there, and "same" is true; otherwise it is carried out
	commit      not_found, as for any upload that is not open: opened again with put, it shows what is there
	drop        it is carried out; not_found may mean that the first request did it

In all other cases nothing is done and the answer is uncertain.

Opening an upload (put without a body) is not remembered: it is harmless to do it again. The client repeats requests
without id as it likes.

# hello

The first request of a connection. Before it, login and proof are answered with the error version.

	version   integer   1
	client    string    optional: name and version of the program, at most 64 bytes
	nonce     string    plain connections only: 32 random bytes as 64 hexadecimal digits

The answer:

	version   integer   1
	server    string    name and version of the program
	nonce     string    plain connections only: 32 random bytes of the server, likewise

A server that does not speak the version answers with the error version, whose message names both, and closes. Errors:
version, bad_request (said twice, no nonce on a plain connection). Before login every other command is answered with
login_required, or with unknown_command.

With TLS, hello and login may be sent together. On a plain connection login needs the server's nonce.

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

Errors of login: auth_failed (malformed text, or another channel binding; counts as a failed try), version (no hello
yet), bad_request.

# proof

Carries text 3; login must have been answered on this connection and each login allows one proof. The answer has
message (text 4) and

	session    string            id of the session, 32 hexadecimal digits; for people and logs
	boot       string            changes when the server starts; see "Doing things once"
	user       string            the name of the account
	rights     list of strings   what the account may do: list, read, write, overwrite, delete, exec, admin
	features   list of strings   what this server can do beyond the first form of version 1; today: nosync

The client MUST check SIGNATURE before it believes anything of this, and SHOULD send nothing before that.

Errors: auth_failed (unknown name, wrong password, other channel: nothing tells them apart; after the third in a
connection the server closes it), denied (the proof was right, but the account is locked or its home unusable; the
server closes), rate_limited and too_many (later it may work), bad_request (no login before).

# logout

No fields. The answer has none. The server closes when everything sent before is answered.

# ping

No fields. The answer has none.

# Errors of every command after login

bad_request (fields or body are not what the command takes), denied (the account lacks a right that the command needs,
named in the message), unknown_command, shutting_down, internal. Commands with a path: bad_path, not_found (it, or a
directory on the way), not_dir (something on the way is a file), denied (it is not a regular file where one is
needed). A session's rights are those that the account has at the moment of the request. The sections below name what
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

# mv

Moves a file or directory in one step. Needs delete and write, and overwrite when something is replaced.

	id, boot
	path      name
	to        name      the new path, not the directory to move into
	replace   boolean   optional: a file at the target may be replaced
	version   version   optional: of the file before the move, if the client knows it

The answer has no fields; it comes when that is durable. Errors: exists (without replace; or a directory is at the
target, which is never replaced), bad_path (a directory into itself), uncertain, unsupported.

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

An upload that was begun before is gone on with, and its staged bytes appear in have, if it has the same path and job,
or the same path and nobody is sending it: its connection is closed or has been silent for 60 s. It takes over the new
length, time and mode. The epoch is larger each time. The connection that had it before is answered superseded from
then on, SHOULD NOT reconnect for it, and what it sends is not stored. The key is the same for the life of the upload.

A client that opens the upload again after a loss sends, as expect, the base it was told the first time, so that a
change by somebody else in between is noticed.

Errors: is_dir, exists (expect is "" and something is there), conflict, no_space, quota, too_many (1000 unfinished
uploads), not_found (a directory is missing, without parents), uncertain, verify_failed (the disk failed).

# data

Sends bytes of an upload. Needs write.

	upload   id
	epoch    integer
	offset   integer   of the body in the file
	tag      tag       of the body, under the number of its block
	size, body         1 byte or more, all of one block

The answer has no fields. A block counts as verified when it was sent whole in one request, or by check. A part of a
block is kept, but the block then needs a check.

Errors: verify_failed (the body does not fit its tag; or the disk failed and the upload is gone), superseded,
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
says), exists (the same, and expect is ""), is_dir, superseded, not_found, no_space, quota, changed.

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
	   live      boolean   optional: somebody is sending it now

Nothing else is needed to go on with one: put with the same path does. Unfinished uploads that nobody touches are
dropped after some days (7 unless the server is told otherwise).

# drop

Discards an unfinished upload. Needs write.

	id, boot
	upload   id

The answer has no fields. Errors: not_found. A connection that is sending the upload is answered superseded or
not_found from then on.

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
	unknown_command   there is no such command, or hello, login or proof came after the login
	unsupported       not on this server, storage or kind of connection
	version           no common version of the protocol, or hello is missing
	auth_failed       unknown name or wrong proof
	login_required    the command needs a login
	denied            no right to do that, not a regular file, or the account is locked
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
	quota             the account has no room left
	no_space          the server has no room left
	rate_limited      too often; later it may work
	too_many          sessions, connections or unfinished uploads
	shutting_down     the server is being stopped; another connection may work
	internal          the server's fault; the message has an id that its log explains

A message never holds an error text of the server's operating system or a path outside the home.

# An exchange

One plain connection, both directions, whole messages: "C" is sent by the client, "S" by the server. The password is
"correct horse". The listing is that of hexdump -C: offset, bytes, text.
*/
package wire

// Package login is both halves of the password login: the SCRAM message flow
// of RFC 5802 and RFC 7677 with Argon2id in the place of PBKDF2 and with
// channel binding that cannot be left out. It moves strings; carrying them,
// limiting attempts and checking names is left to the caller.
//
//	client                                            server
//	First   p=tls-exporter,,n=NAME,r=C          ->    First
//	Final   r=CS,s=SALT,i=3,k=argon2id:v=19:m=65536:p=4
//	                                            <-
//	        c=BINDING,r=CS,p=PROOF              ->    Final
//	Verify  v=SIGNATURE                         <-
//
// C and S are fresh nonces, BINDING is the gs2 header and the channel's
// binding data. With Salted = Argon2id(OpaqueString(password), SALT):
//
//	ClientKey = HMAC(Salted, "Client Key")     StoredKey = SHA256(ClientKey)
//	ServerKey = HMAC(Salted, "Server Key")
//	PROOF     = ClientKey xor HMAC(StoredKey, AuthMessage)
//	SIGNATURE = HMAC(ServerKey, AuthMessage)
//
// where HMAC is HMAC-SHA-256 and AuthMessage is the exact text of the first
// message without its gs2 header, the second, and the third without its proof,
// joined by commas. Both sides accept exactly these attributes in this order;
// an extension needs a new gs2 header. Attribute k is not registered anywhere:
// no SASL mechanism name stands for this flow.
//
// The client pays for the Argon2id run, the server for a few HMACs, for a name
// that exists and one that does not alike.
//
// # What an attacker gets
//
// Somebody who reads the records (a stolen users.toml) cannot log in with
// them. He can guess passwords at the price of one Argon2id run each, and he
// can pose as the server to the users in the file; a user who logs in to him
// hands over a ClientKey, and with it the account, until the password is
// changed. The same holds for the real server: it sees the ClientKey while it
// checks a proof, and never the password.
//
// A man in the middle of a first login, when the client knows no server key
// yet, can neither forward the proof, which is bound to the client's channel
// with him, nor make the server's signature. The client sees the login fail.
// He keeps the name and one transcript to guess the password from, at costs
// that he chooses but not below 19 MiB and two passes.
//
// On a channel without TLS (PlainBinding) anybody on the path gets that
// transcript, and can alter what follows the login.
package login

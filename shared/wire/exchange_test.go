package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"ferry/shared/block"
	"ferry/shared/login"
)

// scram is the client's side of a login as doc.go describes it, written from that page alone.
func scram(password string, gs2, data, bare, challenge string) (final, signature string) {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	f := strings.Split(challenge, ",")
	salt, _ := base64.StdEncoding.DecodeString(f[1][2:])
	var passes, memory uint32
	var lanes uint8
	fmt.Sscanf(f[2]+","+f[3], "i=%d,k=argon2id:v=19:m=%d:p=%d", &passes, &memory, &lanes)
	salted := argon2.IDKey([]byte(password), salt, passes, memory, lanes, 32)
	clientKey, serverKey := mac(salted, "Client Key"), mac(salted, "Server Key")
	storedKey := sha256.Sum256(clientKey)
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2+data)) + "," + f[0]
	auth := bare + "," + challenge + "," + without
	proof := mac(storedKey[:], auth)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), "v=" + base64.StdEncoding.EncodeToString(mac(serverKey, auth))
}

// A client written from doc.go logs in to the real server's half.
func TestLoginAsDescribed(t *testing.T) {
	record, err := login.NewRecord("correct horse", login.Params{Memory: 19456, Time: 2, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	client, server := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	s := login.NewServer(login.PlainBinding(client, server), func(user string) (login.Record, bool) { return record, user == "a,b=c" },
		login.Fake{Key: make([]byte, 32), Params: record.Params})
	bare := "n=a=2Cb=3Dc,r=AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
	challenge, err := s.First("p=ferry-plain,," + bare)
	if err != nil {
		t.Fatal(err)
	}
	final, signature := scram("correct horse", "p=ferry-plain,,", string(client)+string(server), bare, challenge)
	got, err := s.Final(final)
	if err != nil || got != signature {
		t.Fatalf("%v, signature %s, want %s", err, got, signature)
	}
}

// GMAC as doc.go describes it, against another implementation.
func TestTagAsDescribed(t *testing.T) {
	// printf hello | openssl mac -cipher AES-128-GCM -macopt hexkey:000102030405060708090a0b0c0d0e0f \
	//	-macopt hexiv:010200000000000000000000 GMAC
	const want = "55a27e85f198838ddf0544e9837f7e77"
	key := block.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	tag := block.NewTagger(key).Tag(0x0201, []byte("hello"))
	if got := hex.EncodeToString(tag[:]); got != want {
		t.Errorf("tag %s, want %s", got, want)
	}
}

// exchange is what doc.go shows.
func exchange(t *testing.T) string {
	nonce := func(b byte) string { return strings.Repeat(fmt.Sprintf("%02x", b), 32) }
	data := strings.Repeat("\x01", 32) + strings.Repeat("\x02", 32)
	bare := "n=alice,r=AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
	challenge := "r=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v,s=MDEyMzQ1Njc4OTo7PD0+Pw==,i=2,k=argon2id:v=19:m=19456:p=1"
	final, signature := scram("correct horse", "p=ferry-plain,,", data, bare, challenge)
	req := func(cmd string) Request { return Request{Cmd: cmd} }
	text := []byte("hello, world\n")
	entry := Entry{Name: "/n\xff.txt", Kind: "file", Length: int64(len(text)), Mtime: 1700000000000000000, Mode: 0o644, Version: "c4ca4238a0b92382"}
	key := block.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	tag := block.NewTagger(key).Tag(0, text)
	id := func(b byte) Ident { return Ident{ID: strings.Repeat(fmt.Sprintf("%02x", b), 16)} }
	repeated := id(5)
	repeated.Boot = strings.Repeat("03", 16)
	var b strings.Builder
	for _, m := range []struct {
		who, note string
		sample
	}{
		{"C", "says hello, with its nonce", sample{v: &HelloRequest{req(CmdHello), 1, "example 1.0", nonce(1)}}},
		{"S", "answers with its own", sample{v: &HelloAnswer{Answer{}, 1, "ferryd 1.0", nonce(2), 1700000000000000000}}},
		{"C", "text 1 of the login", sample{v: &MessageRequest{req(CmdLogin), "p=ferry-plain,," + bare}}},
		{"S", "text 2", sample{v: &LoginAnswer{Answer{}, challenge}}},
		{"C", "text 3: its proof", sample{v: &MessageRequest{req(CmdProof), final}}},
		{"S", "text 4: the server's proof; alice is logged in", sample{v: &ProofAnswer{Answer{}, signature, strings.Repeat("04", 16),
			strings.Repeat("06", 32), repeated.Boot, 3600_000, "alice", []string{"list", "read", "write", "overwrite", "delete"}, []string{"nosync"}, false}}},
		{"C", `a small file, named with the bytes "n", ff, ".txt"`, sample{v: &PutRequest{Request: req(CmdPut), Ident: id(5), Path: entry.Name,
			Length: entry.Length, Mtime: entry.Mtime}, body: text}},
		{"C", "and without waiting, a question", sample{v: &PathRequest{req(CmdStat), "/missing"}}},
		{"S", "the disk is slow: a sign of life", sample{v: &EmptyAnswer{Answer{More: true}}}},
		{"S", "the file is stored", sample{v: &PutAnswer{Entry: &entry}}},
		{"S", "the question is answered with an error", sample{v: &EmptyAnswer{Answer{Error: &Error{Code: NotFound, Message: "no such file or directory"}}}}},
		{"C", "fetches the file, under a key of its own", sample{v: &GetRequest{Request: req(CmdGet), Path: entry.Name, Length: block.Size, Key: key}}},
		{"S", "its only block", sample{v: &GetAnswer{Entry: &entry, Tag: &tag}, body: text}},
		{"C", "compares what it has, under the same key", sample{v: &VerifyRequest{req(CmdVerify), entry.Name, entry.Version, 0, key}, body: tag[:]}},
		{"S", "a bitmap: nothing differs", sample{v: &EmptyAnswer{}, body: []byte{0}}},
		{"C", "goes", sample{v: &EmptyRequest{req(CmdLogout)}}},
		{"S", "and the connection is closed", sample{v: &EmptyAnswer{}}},
	} {
		b.WriteString(dump(m.who, m.note, m.frame(t)))
	}
	return b.String()
}

// The exchange that doc.go shows is what the program sends.
func TestExchangeInDoc(t *testing.T) {
	want := exchange(t)
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), "offset, bytes, text.\n")
	if !ok {
		t.Fatal("doc.go has no exchange")
	}
	if *update {
		text = []byte(head + "offset, bytes, text.\n\n" + want + "*/\npackage wire\n")
		if err := os.WriteFile("doc.go", text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, wanted := undump(t, string(text[len(head):])), undump(t, want)
	if len(got) != len(wanted) || len(got) < 10 {
		t.Fatalf("%d messages, want %d", len(got), len(wanted))
	}
	for i := range got {
		if !bytes.Equal(got[i], wanted[i]) {
			t.Errorf("message %d is\n%swant\n%s", i+1, hex.Dump(got[i]), hex.Dump(wanted[i]))
		}
	}
	if !strings.Contains(string(text), want) {
		t.Error("the text beside the bytes of the exchange differs; -update rewrites it")
	}
}

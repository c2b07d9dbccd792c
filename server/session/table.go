package session

import (
	"strconv"

	"ferry/server/account"
	"ferry/shared/wire"
)

// entry is what the server knows of a command.
type entry struct {
	cmd     string
	rights  account.Rights // all of them are needed
	body    bool           // a body follows, and must
	batched bool           // may wait for the requests behind it; takes care of its body itself
	quiet   bool           // not worth a line in the log
	gate    bool           // part of the login; after it only if there is a serve
	always  bool           // also while the password must be changed
	serve   func(*conn, *request) error
}

// table is every command of the protocol.
func table() []entry {
	return []entry{
		{cmd: wire.CmdHello, gate: true},
		{cmd: wire.CmdLogin, gate: true, always: true, serve: serveLogin, quiet: true},
		{cmd: wire.CmdProof, gate: true, always: true, serve: serveProof, quiet: true},
		{cmd: wire.CmdKey, gate: true, serve: serveKey, quiet: true},
		{cmd: wire.CmdAttach, gate: true},
		{cmd: wire.CmdRegister, gate: true},
		{cmd: wire.CmdLogout, always: true, serve: serveLogout},
		{cmd: wire.CmdPing, serve: servePing, quiet: true},
		{cmd: wire.CmdPasswd, always: true, serve: servePasswd},
		{cmd: wire.CmdKeys, serve: serveKeys},
		{cmd: wire.CmdPutKey, serve: servePutKey},
		{cmd: wire.CmdDropKey, serve: serveDropKey},
		{cmd: wire.CmdStat, rights: account.List, serve: serveStat},
		{cmd: wire.CmdLs, rights: account.List, serve: serveLs},
		{cmd: wire.CmdMkdir, rights: account.Write, serve: serveMkdir},
		{cmd: wire.CmdRmdir, rights: account.Delete, serve: serveRmdir},
		{cmd: wire.CmdRm, rights: account.Delete, serve: serveRm},
		{cmd: wire.CmdRmtree, rights: account.Delete, serve: serveRmtree},
		{cmd: wire.CmdMv, rights: account.Delete | account.Write, serve: serveMv},
		{cmd: wire.CmdCp, rights: account.Read | account.Write, serve: serveCp},
		{cmd: wire.CmdSet, rights: account.Overwrite, serve: serveSet},
		{cmd: wire.CmdSum, rights: account.Read, serve: serveSum},
		{cmd: wire.CmdPut, rights: account.Write, batched: true, serve: servePut},
		{cmd: wire.CmdData, rights: account.Write, body: true, quiet: true, serve: serveData},
		{cmd: wire.CmdCheck, rights: account.Write, body: true, quiet: true, serve: serveCheck},
		{cmd: wire.CmdCommit, rights: account.Write, serve: serveCommit},
		{cmd: wire.CmdGet, rights: account.Read, serve: serveGet},
		{cmd: wire.CmdVerify, rights: account.Read, body: true, quiet: true, serve: serveVerify},
		{cmd: wire.CmdResume, rights: account.List, serve: serveResume},
		{cmd: wire.CmdDrop, rights: account.Write, serve: serveDrop},
		{cmd: wire.CmdAdmin, rights: account.Admin, serve: serveAdmin},
		{cmd: wire.CmdDf, serve: serveDf},
	}
}

func quoted(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return strconv.Quote(s)
}

// Commands returns the names of all commands of the protocol that the server serves.
func Commands() []string {
	var names []string
	for _, e := range table() {
		names = append(names, e.cmd)
	}
	return names
}

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// tool is a client with its server: what to type so that it moves a file or a tree. from and to are paths here, name is one
// below the server's root.
type tool struct {
	name   string
	server string // kind
	needs  []string
	put    func(s *site, v *server, from, name string) command
	get    func(s *site, v *server, name, to string) command
	// Trees keep their name: put sends a directory, get fetches one into the directory to.
	putTree func(s *site, v *server, from string) command
	getTree func(s *site, v *server, name, to string) command
	// again are the commands for a tree that is there; nil: the same as for a new one.
	putAgain func(s *site, v *server, from string) command
	getAgain func(s *site, v *server, name, to string) command
}

// far puts words on the client's side of the site.
func (s *site) far(words ...string) []string {
	return append(s.client[:len(s.client):len(s.client)], words...)
}

// ferry runs a line of ferry's shell, logged in with a key, as the tools over ssh are, where a key can be made.
func (s *site) ferry(v *server, dir, line string) command {
	words := s.far(s.b.ferry, "-q", "--progress", "none", "--fingerprint", v.key, "-c", line)
	key, err := s.identity(context.Background())
	if err != nil || v != s.servers["ferryd"] { // the key is in that one's accounts only
		return command{argv: append(words, user+"@"+v.addr), dir: dir, env: []string{"FERRY_PASSWORD=" + password}}
	}
	return command{argv: append(words, "--identity", key, user+"@"+v.addr), dir: dir}
}

func ferryTool() tool {
	return tool{name: "ferry", server: "ferryd",
		put: func(s *site, v *server, from, name string) command {
			return s.ferry(v, s.dir, fmt.Sprintf("put %s -o %s", from, name))
		},
		get: func(s *site, v *server, name, to string) command {
			return s.ferry(v, s.dir, fmt.Sprintf("get %s -o %s", name, to))
		},
		putTree: func(s *site, v *server, from string) command {
			return s.ferry(v, filepath.Dir(from), "put -r "+filepath.Base(from))
		},
		getTree: func(s *site, v *server, name, to string) command { return s.ferry(v, to, "get -r "+name) },
		putAgain: func(s *site, v *server, from string) command {
			return s.ferry(v, s.dir, fmt.Sprintf("sync up %s %s", from, filepath.Base(from)))
		},
		getAgain: func(s *site, v *server, name, to string) command {
			return s.ferry(v, s.dir, fmt.Sprintf("sync down %s %s", name, filepath.Join(to, name)))
		},
	}
}

// changed is a tool under another name whose commands are altered.
func (t tool) changed(name string, change func(c command, v *server) command) tool {
	three := func(make func(*site, *server, string, string) command) func(*site, *server, string, string) command {
		if make == nil {
			return nil
		}
		return func(s *site, v *server, from, to string) command { return change(make(s, v, from, to), v) }
	}
	two := func(make func(*site, *server, string) command) func(*site, *server, string) command {
		if make == nil {
			return nil
		}
		return func(s *site, v *server, from string) command { return change(make(s, v, from), v) }
	}
	t.name = name
	t.put, t.get, t.getTree, t.getAgain = three(t.put), three(t.get), three(t.getTree), three(t.getAgain)
	t.putTree, t.putAgain = two(t.putTree), two(t.putAgain)
	return t
}

// ferryPlain is ferry without encryption.
func ferryPlain() tool {
	return ferryTool().changed("ferry", func(c command, v *server) command {
		words := c.argv[:len(c.argv)-1]
		c.argv = append(withoutKey(words), "--plain", user+"@"+v.plain)
		c.env = []string{"FERRY_PASSWORD=" + password}
		return c
	})
}

// ferryPassword is ferry that logs in with the password instead of a key.
func ferryPassword() tool {
	return ferryTool().changed("ferry with a password", func(c command, _ *server) command {
		c.argv, c.env = withoutKey(c.argv), []string{"FERRY_PASSWORD=" + password}
		return c
	})
}

func withoutKey(words []string) []string {
	i := slices.Index(words, "--identity")
	if i < 0 {
		return slices.Clone(words)
	}
	return slices.Concat(words[:i], words[i+2:])
}

func sftpTool() tool {
	batch := func(s *site, v *server, line string) command {
		words := append(s.far("sftp"), v.ssh()...)
		return command{argv: append(words, "-P", v.port, "-b", "-", s.host), dir: s.dir, stdin: line + "\n"}
	}
	return tool{name: "sftp", server: "sshd", needs: []string{"sftp"},
		put: func(s *site, v *server, from, name string) command {
			return batch(s, v, fmt.Sprintf("put %s %s", from, filepath.Join(v.root, name)))
		},
		get: func(s *site, v *server, name, to string) command {
			return batch(s, v, fmt.Sprintf("get %s %s", filepath.Join(v.root, name), to))
		},
		putTree: func(s *site, v *server, from string) command {
			return batch(s, v, fmt.Sprintf("put -r %s %s", from, v.root))
		},
		getTree: func(s *site, v *server, name, to string) command {
			return batch(s, v, fmt.Sprintf("get -r %s %s", filepath.Join(v.root, name), to))
		},
	}
}

// rsyncSSH is rsync over ssh with further options.
func rsyncSSH(name string, options ...string) tool {
	run := func(s *site, v *server, from, to string) command {
		shell := "ssh -p " + v.port + " " + strings.Join(v.ssh(), " ")
		words := append(s.far("rsync", "-a", "-e", shell), options...)
		return command{argv: append(words, from, to), dir: s.dir}
	}
	at := func(s *site, v *server, name string) string { return s.host + ":" + filepath.Join(v.root, name) }
	return tool{name: name, server: "sshd", needs: []string{"rsync", "ssh"},
		put:     func(s *site, v *server, from, name string) command { return run(s, v, from, at(s, v, name)) },
		get:     func(s *site, v *server, name, to string) command { return run(s, v, at(s, v, name), to) },
		putTree: func(s *site, v *server, from string) command { return run(s, v, from, at(s, v, "")+"/") },
		getTree: func(s *site, v *server, name, to string) command { return run(s, v, at(s, v, name), to+"/") },
	}
}

func rsyncDaemon() tool {
	run := func(s *site, from, to string) command {
		return command{argv: s.far("rsync", "-a", from, to), dir: s.dir}
	}
	at := func(v *server, name string) string { return "rsync://" + v.addr + "/m/" + name }
	return tool{name: "rsync daemon", server: "rsyncd", needs: []string{"rsync"},
		put:     func(s *site, v *server, from, name string) command { return run(s, from, at(v, name)) },
		get:     func(s *site, v *server, name, to string) command { return run(s, at(v, name), to) },
		putTree: func(s *site, v *server, from string) command { return run(s, from, at(v, "")) },
		getTree: func(s *site, v *server, name, to string) command { return run(s, at(v, name), to+"/") },
	}
}

// curlTool is curl with the server that a URL is made for.
func curlTool(name, kind string, url func(v *server, name string) string, options ...string) tool {
	run := func(s *site, args ...string) command {
		words := append(s.far("curl", "-q", "-sS", "-f"), options...)
		return command{argv: append(words, args...), dir: s.dir}
	}
	return tool{name: name, server: kind, needs: []string{"curl"},
		put: func(s *site, v *server, from, name string) command { return run(s, "-T", from, url(v, name)) },
		get: func(s *site, v *server, name, to string) command { return run(s, "-o", to, url(v, name)) },
	}
}

// curlHTTPS uses the cipher the others use.
func curlHTTPS() tool {
	return curlTool("curl nginx https", "nginx", func(v *server, name string) string { return "https://" + v.addr + "/" + name },
		"-k", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256")
}

func curlHTTP() tool {
	return curlTool("curl nginx http", "nginx", func(v *server, name string) string { return "http://" + v.plain + "/" + name })
}

func curlFTP(name string, options ...string) tool {
	return curlTool(name, "vsftpd", func(v *server, name string) string { return "ftp://" + v.addr + "/pub/" + name }, options...)
}

// lftpTool is lftp with the commands that put and get, as patterns for two words.
func lftpTool(name, put, get string) tool {
	run := func(s *site, v *server, line string) command {
		return command{argv: s.far("lftp", "-c", fmt.Sprintf("open -p %s ftp://%s; cd pub; %s", v.port, s.host, line)), dir: s.dir}
	}
	return tool{name: name, server: "vsftpd", needs: []string{"lftp"},
		put: func(s *site, v *server, from, name string) command { return run(s, v, fmt.Sprintf(put, from, name)) },
		get: func(s *site, v *server, name, to string) command { return run(s, v, fmt.Sprintf(get, name, to)) },
	}
}

// bareTool is a copy loop of ours; it must be told the length.
func bareTool(name, kind string, streams int, length int64) tool {
	move := func(s *site, v *server, verb, from, to string) command {
		return command{argv: s.far(s.b.self, "@bare-move", fmt.Sprintf("-tls=%v", kind == "bare-tls"), "-addr", v.addr, "-streams", fmt.Sprint(streams),
			verb, from, to, fmt.Sprint(length)), dir: s.dir}
	}
	return tool{name: name, server: kind,
		put: func(s *site, v *server, from, name string) command {
			return move(s, v, "put", from, filepath.Join(v.root, name))
		},
		get: func(s *site, v *server, name, to string) command {
			return move(s, v, "get", filepath.Join(v.root, name), to)
		},
	}
}

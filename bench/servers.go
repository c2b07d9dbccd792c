package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	osuser "os/user"
	"path/filepath"
	"strings"

	"ferry/bench/bare"
	"ferry/shared/login"
)

const (
	user     = "bench" // ferry's account, made as a person would
	password = "a password of the benchmark"
	cheap    = "probe" // one whose password costs little to derive, for probes that log in often
)

// starter starts a server in a directory and fills in where it is.
type starter func(ctx context.Context, s *site, dir string, v *server) error

func starters() map[string]starter {
	return map[string]starter{
		"ferryd": startFerryd, "ferryd-fresh": startFerryd, "sshd": startSSHD, "rsyncd": startRsyncd, "vsftpd": startVsftpd, "nginx": startNginx,
		"bare-tcp": startBare("-tls=false"), "bare-tls": startBare("-tls=true"),
	}
}

func startFerryd(ctx context.Context, s *site, dir string, v *server) error {
	v.data = filepath.Join(dir, "data")
	if err := os.Mkdir(v.data, 0o700); err != nil {
		return err
	}
	err := s.b.run(ctx, command{argv: []string{s.b.ferryd, "user", "add", user, "--password-stdin", "--data", v.data}, stdin: password + "\n"})
	if err != nil {
		return err
	}
	if err := addCheap(v.data); err != nil {
		return err
	}
	v.root = filepath.Join(v.data, "homes", user)
	addrs := filepath.Join(dir, "addr")
	args := []string{s.b.ferryd, "serve", "--data", v.data, "--listen", net.JoinHostPort(s.host, "0"), "--addr-file", addrs}
	if s.link == nil {
		args = append(args, "--listen-plain", net.JoinHostPort(s.host, "0"))
	}
	if err := s.launch(v, dir, nil, args...); err != nil {
		return err
	}
	if err := v.await(ctx, func() bool { _, err := os.Stat(addrs); return err == nil }); err != nil {
		return err
	}
	text, err := os.ReadFile(addrs)
	if err != nil {
		return err
	}
	bound := strings.Fields(string(text))
	v.addr, v.plain = bound[0], bound[len(bound)-1]
	key, err := s.b.output(ctx, command{argv: []string{s.b.ferryd, "fingerprint", "--data", v.data}})
	v.key = strings.TrimSpace(key)
	return err
}

// addCheap adds an account whose Argon2id costs are the least that clients accept.
func addCheap(data string) error {
	record, err := login.NewRecord(password, login.Params{Memory: 19456, Time: 2, Threads: 1})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(data, "users.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\n[users.%s]\nauth = %q\n", cheap, record)
	return errors.Join(err, f.Close(), os.Mkdir(filepath.Join(data, "homes", cheap), 0o700))
}

func startSSHD(ctx context.Context, s *site, dir string, v *server) (err error) {
	if v.addr, err = s.freePort(); err != nil {
		return err
	}
	if os.Getuid() == 0 { // where its children are confined; made by a boot that may not have happened here
		if err := os.Mkdir("/run/sshd", 0o755); err == nil {
			s.b.undo = append(s.b.undo, func() { os.Remove("/run/sshd") })
		}
	}
	host, port, _ := net.SplitHostPort(v.addr)
	v.key = filepath.Join(dir, "key")
	for _, key := range []string{"host", "key"} {
		keygen, err := program("ssh-keygen")
		if err != nil {
			return err
		}
		if err := s.b.run(ctx, command{argv: []string{keygen, "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", filepath.Join(dir, key)}}); err != nil {
			return err
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		return err
	}
	files := map[string]string{
		"known": fmt.Sprintf("[%s]:%s %s", host, port, public),
		"config": fmt.Sprintf(`ListenAddress %s
Port %s
HostKey %[3]s/host
AuthorizedKeysFile %[3]s/key.pub
PidFile none
Ciphers aes128-gcm@openssh.com
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
MaxStartups 200
Subsystem sftp internal-sftp
`, host, port, dir),
	}
	if err := writeFiles(dir, files); err != nil {
		return err
	}
	if err := s.launch(v, dir, nil, "sshd", "-D", "-e", "-f", filepath.Join(dir, "config")); err != nil {
		return err
	}
	return v.listens(ctx)
}

// ssh returns the options that ssh and sftp share.
func (v *server) ssh() []string {
	dir := filepath.Dir(v.key)
	return []string{"-q", "-F", "/dev/null", "-i", v.key, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"),
		"-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey"}
}

func startRsyncd(ctx context.Context, s *site, dir string, v *server) (err error) {
	if v.addr, err = s.freePort(); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(v.addr)
	who := ""
	if os.Getuid() == 0 {
		who = "uid = 0\ngid = 0\n"
	}
	config := fmt.Sprintf("%suse chroot = no\nreverse lookup = no\npid file = %s/pid\n[m]\npath = %s\nread only = no\n", who, dir, v.root)
	if err := writeFiles(dir, map[string]string{"config": config}); err != nil {
		return err
	}
	if err := s.launch(v, dir, nil, "rsync", "--daemon", "--no-detach", "--config", filepath.Join(dir, "config"), "--address", host, "--port", port); err != nil {
		return err
	}
	return v.listens(ctx)
}

// startVsftpd serves an anonymous user: nothing of the system's accounts is touched. Its root may not be writable, so clients
// work in pub below it.
func startVsftpd(ctx context.Context, s *site, dir string, v *server) (err error) {
	if v.addr, err = s.freePort(); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(v.addr)
	empty, root := filepath.Join(dir, "empty"), v.root
	v.root = filepath.Join(root, "pub")
	if err := errors.Join(os.Mkdir(empty, 0o555), os.Mkdir(v.root, 0o777), os.Chmod(v.root, 0o777)); err != nil {
		return err
	}
	who := "run_as_launching_user=YES"
	if os.Getuid() == 0 {
		name, err := userWithHome("ftp", "nobody", "daemon", "bin")
		if err != nil {
			return err
		}
		who = "ftp_username=" + name
	}
	config := fmt.Sprintf(`listen=YES
listen_address=%s
listen_port=%s
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=%s
anon_upload_enable=YES
anon_other_write_enable=YES
anon_mkdir_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
write_enable=YES
local_enable=NO
secure_chroot_dir=%s
seccomp_sandbox=NO
xferlog_enable=NO
connect_from_port_20=NO
pasv_address=%[1]s
%[5]s
`, host, port, root, empty, who)
	if err := writeFiles(dir, map[string]string{"config": config}); err != nil {
		return err
	}
	if err := s.launch(v, dir, nil, "vsftpd", filepath.Join(dir, "config")); err != nil {
		return err
	}
	return v.listens(ctx)
}

// userWithHome returns the first of some users without rights whose home is there: vsftpd goes through it on its way to the root.
func userWithHome(names ...string) (string, error) {
	for _, name := range names {
		if u, err := osuser.Lookup(name); err == nil {
			if _, err := os.Stat(u.HomeDir); err == nil {
				return name, nil
			}
		}
	}
	return "", errors.New("no user for anonymous logins: none of " + strings.Join(names, ", ") + " has a home")
}

// startNginx serves the same directory with and without TLS, and takes PUT.
func startNginx(ctx context.Context, s *site, dir string, v *server) (err error) {
	if v.addr, err = s.freePort(); err != nil {
		return err
	}
	if v.plain, err = s.freePort(); err != nil {
		return err
	}
	cert, err := bare.Certificate()
	if err != nil {
		return err
	}
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	who := ""
	if os.Getuid() == 0 {
		who = "user root;\n"
	}
	server := func(addr, more string) string {
		return fmt.Sprintf("server { listen %s; root %s; dav_methods PUT DELETE MKCOL; create_full_put_path on; %s }\n", addr, v.root, more)
	}
	config := who + fmt.Sprintf(`daemon off;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 256; }
http {
access_log off;
sendfile on;
tcp_nopush on;
client_max_body_size 0;
client_body_temp_path %[1]s/temp;
proxy_temp_path %[1]s/temp1; fastcgi_temp_path %[1]s/temp2; uwsgi_temp_path %[1]s/temp3; scgi_temp_path %[1]s/temp4;
ssl_certificate %[1]s/crt;
ssl_certificate_key %[1]s/key;
ssl_protocols TLSv1.3;
`, dir) + server(v.addr+" ssl", "") + server(v.plain, "") + "}\n"
	files := map[string]string{
		"config": config,
		"crt":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"key":    string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})),
	}
	if err := writeFiles(dir, files); err != nil {
		return err
	}
	if err := s.launch(v, dir, nil, "nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "config")); err != nil {
		return err
	}
	return v.listens(ctx)
}

func startBare(encrypt string) starter {
	return func(ctx context.Context, s *site, dir string, v *server) error {
		addr := filepath.Join(dir, "addr")
		err := s.launch(v, dir, nil, s.b.self, "@bare-serve", encrypt, "-listen", net.JoinHostPort(s.host, "0"), "-addr-file", addr)
		if err != nil {
			return err
		}
		if err := v.await(ctx, func() bool { _, err := os.Stat(addr); return err == nil }); err != nil {
			return err
		}
		text, err := os.ReadFile(addr)
		v.addr = string(text)
		return err
	}
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
